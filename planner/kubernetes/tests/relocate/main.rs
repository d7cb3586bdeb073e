//! Moves of replicas in a real cluster: inside of `scripts/testbed exec`, run the test binary with `--ignored --nocapture
//! --test-threads 1`. It needs nodes `node-1` and `node-2` and the image `localhost/workload:1`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod killed;
mod space;

use foremesh_core::ids::NodeId;
use kube::Client;
use serde_json::json;
use space::Space;
use tokio::time::Instant;

/// Moves the only replica to a node, and says how long it took.
async fn there(space: &Space, client: &Client, to: &str) {
    let (relocate, workload, node) = (space.relocate(client), space.workload(), NodeId::new(to));
    let (source, from) = space.pods().await.remove(0);
    space.steer(to).await;
    let began = Instant::now();
    let target = relocate.place(&workload, &node).await.unwrap();
    assert_eq!(relocate.place(&workload, &node).await.unwrap(), target, "it is found again");
    let placed = began.elapsed();
    space::until("the new replica to be ready", std::time::Duration::from_secs(30), async || {
        relocate.readiness(&workload, &node, &target).await.unwrap()
    })
    .await;
    let ready = began.elapsed();
    assert!(relocate.is_ready(&workload, &from, &source).await.unwrap(), "new before old");
    relocate.retire(&workload, &from, Some(&source)).await.unwrap();
    assert!(!relocate.is_ready(&workload, &from, &source).await.unwrap());
    relocate.release(&workload).await.unwrap();
    relocate.retire(&workload, &from, Some(&source)).await.unwrap();
    println!("{from} to {to}: placed after {placed:?}, ready {ready:?}, retired {:?}", began.elapsed());
    assert_eq!(space.pods().await, [(target, node)]);
    space.nothing_left(client).await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn the_only_replica_goes_to_another_node_and_back() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-there", 1, "node-1", json!([])).await;
    let (before, hashes) = (space.get(&["deployment", "web"]).await, space.hashes().await);
    for _ in 0..5 {
        there(&space, &client, "node-2").await;
        there(&space, &client, "node-1").await;
    }
    let after = space.get(&["deployment", "web"]).await;
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(space.hashes().await, hashes, "no other template was ever rolled out");
    space.close().await;
}
