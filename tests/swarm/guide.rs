//! The guide of `docs/swarm.md`, run from its own text, up to the first recommended move.
use foremesh_tests::{Swarm, cluster::pack, guide};
use std::time::Duration;

const DOCUMENT: &str = include_str!("../../docs/swarm.md");
/// The guide says ten minutes, of which most are the build.
const WITHIN: Duration = Duration::from_secs(420);
/// Packing a debug build, and giving it to a node.
const PACKED_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_ends_with_a_recommended_move() {
    let swarm = Swarm::shared().await;
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let archive = pack(folder.path(), Some("localhost/foremesh:guide")).await;
    let load = ["on", "node-1", "docker", "load", "--input", &archive];
    swarm.within(&load, PACKED_WITHIN).await.unwrap_or_else(|error| panic!("{error}"));
    let said = swarm.follow(folder.path(), &guide::commands(DOCUMENT), WITHIN).await;
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    println!("{said}");
    assert!(said.contains("shop_web: node-2 to node-"), "{said}");
}
