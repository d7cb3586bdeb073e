//! Against a real API server: `KUBECONFIG=... cargo test -p foremesh-kubernetes --test real_cluster -- --ignored --nocapture`.
//! It reads only.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use foremesh_core::{time::Timestamp, topology::Snapshot};
use foremesh_kubernetes::{Clock, Cluster, ClusterSettings};
use std::{sync::Arc, time::Duration};

#[expect(clippy::disallowed_methods, reason = "a real server is asked in real time")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap())
}

async fn first(cluster: &Cluster) -> Snapshot {
    let mut last = String::new();
    for _ in 0..300 {
        match cluster.snapshot().await {
            Ok(snapshot) => return snapshot,
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("no snapshot within a minute: {last}");
}

#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn a_real_cluster_is_read_and_stays_fresh() {
    let clock: Clock = Arc::new(now);
    let cluster = Cluster::connect(ClusterSettings::default(), clock).await.unwrap();
    let start = now();
    let snapshot = first(&cluster).await;
    println!("first snapshot after {} ms", now().ms_since(start));
    for (id, node) in &snapshot.nodes {
        println!("node {id}: {:?} {} m, besides {:?}", node.state, node.capacity.get(), node.besides);
    }
    for (id, workload) in &snapshot.workloads {
        println!(
            "workload {id}: {} replicas, pinned {:?}, {:?}",
            workload.replicas.len(),
            workload.pinned,
            workload.scheduling
        );
    }
    assert!(!snapshot.nodes.is_empty(), "a cluster has nodes");
    // Watches are heard of at least every half minute, however quiet the cluster is.
    tokio::time::sleep(Duration::from_secs(70)).await;
    let later = cluster.snapshot().await.unwrap();
    let age = now().ms_since(later.taken_at);
    println!("later: {age} ms old");
    assert!(later.taken_at > snapshot.taken_at && age < 45_000, "it is {age} ms old");
}
