//! The guide of `docs/swarm.md`, run from its own text, up to the first recommended move.
use foremesh_tests::{Swarm, guide};
use std::time::Duration;

const DOCUMENT: &str = include_str!("../../docs/swarm.md");
/// The guide says ten minutes, of which most are the build.
const WITHIN: Duration = Duration::from_secs(420);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_ends_with_a_recommended_move() {
    let swarm = Swarm::shared().await;
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    swarm.load_planner(folder.path(), "localhost/foremesh:guide").await;
    let said = swarm.follow(folder.path(), &guide::commands(DOCUMENT), WITHIN).await;
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    println!("{said}");
    // The guide does not wait for what it has removed; the next test must.
    swarm.remove_stacks(&["shop", "foremesh"]).await;
    assert!(said.contains("shop_web: node-2 to node-"), "{said}");
}
