//! The guide of `docs/kubernetes.md`, run from its own text, up to the first recommended move.
use foremesh_tests::{Cluster, cluster::load_planner, guide};
use std::time::Duration;

const DOCUMENT: &str = include_str!("../../docs/kubernetes.md");
/// The guide says ten minutes, of which most are the build.
const WITHIN: Duration = Duration::from_secs(480);
/// Where the guide has the planner.
const HOME: &str = "node-3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_ends_with_a_recommended_move() {
    let cluster = Cluster::shared().await;
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    load_planner(cluster, folder.path(), HOME).await;
    let said = cluster.follow(folder.path(), &guide::commands(DOCUMENT), WITHIN).await;
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    println!("{said}");
    assert!(said.contains("web: node-1 to node-"), "{said}");
}
