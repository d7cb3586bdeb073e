//! Moves of replicas in a real cluster: inside of `scripts/testbed exec`, run the test binary with `--ignored --nocapture
//! --test-threads 1`. It needs nodes `node-1` and `node-2` and the image `localhost/workload:1`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod killed;
mod load;
mod others;
mod refused;
mod space;

use foremesh_core::ids::{NodeId, ReplicaId};
use foremesh_kubernetes::relocate::{Relocate, Why};
use killed::Kill;
use kube::Client;
use serde_json::{Value, json};
use space::{Space, until};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A replica that ends at once when it is told to.
fn quick() -> Value {
    json!([{"name": "DRAIN_MS", "value": "0"}])
}

/// Moves a replica to a node and says how long it took. Every call can be repeated, so all are.
async fn move_to(space: &Space, client: &Client, source: &(ReplicaId, NodeId), to: &str) -> ReplicaId {
    move_by(space, &space.relocate(client), source, to).await
}

async fn move_by(
    space: &Space,
    relocate: &Relocate,
    (source, from): &(ReplicaId, NodeId),
    to: &str,
) -> ReplicaId {
    let (workload, node) = (space.workload(), NodeId::new(to));
    let began = Instant::now();
    let target = relocate.place(&workload, &node).await.unwrap();
    assert_eq!(relocate.place(&workload, &node).await.unwrap(), target, "it is found again");
    let placed = began.elapsed();
    until("the new replica to be ready", Duration::from_secs(30), async || {
        relocate.readiness(&workload, &node, &target).await.unwrap()
    })
    .await;
    let ready = began.elapsed();
    relocate.retire(&workload, from, Some(source)).await.unwrap();
    assert!(!relocate.is_ready(&workload, from, source).await.unwrap());
    relocate.release(&workload).await.unwrap();
    relocate.retire(&workload, from, Some(source)).await.unwrap();
    relocate.release(&workload).await.unwrap();
    println!("{from} to {to}: placed after {placed:?}, ready {ready:?}, retired {:?}", began.elapsed());
    target
}

/// Moves the only replica.
async fn there(space: &Space, client: &Client, to: &str) {
    let source = space.pods().await.remove(0);
    space.steer(to).await;
    let target = move_to(space, client, &source, to).await;
    assert_eq!(space.pods().await, [(target, NodeId::new(to))]);
    space.nothing_left(client).await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn the_only_replica_goes_to_another_node_and_back() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-there", 1, "node-1", json!([])).await;
    let (before, hashes) = (space.get(&["deployment", "web"]).await, space.hashes().await);
    for time in 0..5 {
        if time == 2 {
            // From then on the API server does not know any more who scaled last.
            space.kubectl(&["scale", "deployment/web", "--replicas=1"]).await;
        }
        there(&space, &client, "node-2").await;
        there(&space, &client, "node-1").await;
    }
    let after = space.get(&["deployment", "web"]).await;
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(space.hashes().await, hashes, "no other template was ever rolled out");
    space.close().await;
}

/// The planner dies before each of its writes in turn; another one repeats its calls.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_planner_that_is_killed_between_its_writes_goes_on() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-killed", 1, "node-1", quick()).await;
    let (mut writes, mut nodes) = (0, ["node-2", "node-1"]);
    loop {
        let source = space.pods().await.remove(0);
        space.steer(nodes[0]).await;
        let kill = Kill::after(writes);
        let mortal = kill.client().await;
        let died = tokio::select! {
            _ = move_to(&space, &mortal, &source, nodes[0]) => false,
            () = kill.dead() => true,
        };
        println!("died before write {writes}: {died}; {}", entry(&space, &client).await);
        if died {
            move_to(&space, &client, &source, nodes[0]).await;
        }
        let pods = space.pods().await;
        assert_eq!((pods.len(), pods[0].1.as_str()), (1, nodes[0]), "{pods:?}");
        space.nothing_left(&client).await;
        if !died {
            break;
        }
        (writes, nodes) = (writes + 1, [nodes[1], nodes[0]]);
    }
    assert!(writes >= 11, "{writes} writes");
    space.close().await;
}

async fn entry(space: &Space, client: &Client) -> String {
    let all = space.list(client).all().await.unwrap();
    let words = all.values().map(|moved| format!("{:?}, target {:?}", moved.phase, moved.target));
    words.collect::<Vec<_>>().join("; ")
}

/// The planner dies for good, in each state that it leaves; the next one sweeps.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn what_a_planner_left_is_swept() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-swept", 1, "node-1", quick()).await;
    for writes in [2, 3, 6, 8, 10] {
        let source = space.pods().await.remove(0);
        let to = if source.1.as_str() == "node-1" { "node-2" } else { "node-1" };
        space.steer(to).await;
        let kill = Kill::after(writes);
        let mortal = kill.client().await;
        tokio::select! {
            _ = move_to(&space, &mortal, &source, to) => panic!("it lives"),
            () = kill.dead() => {}
        }
        let left = entry(&space, &client).await;
        let relocate = space.relocate(&client);
        assert_eq!(relocate.sweep(&[space.workload()].into()).await.unwrap().len(), 0, "it is alive");
        let swept = relocate.sweep(&[].into()).await.unwrap();
        assert!(matches!(swept.as_slice(), [(_, Ok(()))]), "{swept:?}");
        space.settled(1).await;
        let pods = space.pods().await;
        println!("dead before write {writes} ({left}): {pods:?}, it was {source:?}");
        assert_eq!(pods[0] == source, writes < 10, "only what was lowered is ended");
        space.nothing_left(&client).await;
    }
    space.close().await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn with_an_autoscaler_its_least_number_is_raised_and_put_back() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-hpa", 1, "node-1", quick()).await;
    space
        .apply(&json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": space.name},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 1, "maxReplicas": 3,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]
            }
        }))
        .await;
    for (to, writes) in [("node-2", usize::MAX), ("node-1", 2), ("node-2", 8), ("node-1", 9)] {
        let source = space.pods().await.remove(0);
        space.steer(to).await;
        until("the autoscaler to have looked", Duration::from_secs(40), async || {
            let status = &space.get(&["hpa", "web"]).await["status"];
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            // Where it cannot measure it says so when it has looked.
            let blind =
                conditions.any(|about| about["type"] == "ScalingActive" && about["status"] == "False");
            let settled = status["currentReplicas"] == 1 && (blind || status["desiredReplicas"] == 1);
            if settled { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        let kill = Kill::after(writes);
        let mortal = kill.client().await;
        tokio::select! {
            _ = move_to(&space, &mortal, &source, to) => {}
            () = kill.dead() => {
                println!("died before write {writes}: {}", entry(&space, &client).await);
                move_to(&space, &client, &source, to).await;
            }
        }
        space.settled(1).await;
        assert_eq!(space.pods().await[0].1.as_str(), to);
        space.nothing_left(&client).await;
        assert_eq!(space.get(&["hpa", "web"]).await["spec"]["minReplicas"], 1);
    }
    space.close().await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_replica_that_does_not_start_is_taken_back_with_the_reason() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-back", 1, "node-1", quick()).await;
    let (source, relocate) = (space.pods().await.remove(0), space.relocate(&client));
    let place = async |to: &str| {
        let (workload, node) = (space.workload(), NodeId::new(to));
        let error = relocate.place(&workload, &node).await.unwrap_err();
        relocate.retire(&workload, &node, None).await.unwrap();
        relocate.release(&workload).await.unwrap();
        error
    };
    // Nothing sends it to node-2.
    let wrong = place("node-2").await;
    println!("{wrong}");
    assert_eq!(wrong.why, Why::WrongNode);
    assert_eq!(space.pods().await, std::slice::from_ref(&source));
    space.nothing_left(&client).await;
    // No node has this name.
    space.steer("node-9").await;
    let unscheduled = place("node-2").await;
    println!("{unscheduled}");
    assert_eq!(unscheduled.why, Why::DidNotStart);
    assert!(unscheduled.problem.contains("node(s) didn't match"), "{unscheduled}");
    // The namespace has no room for one more.
    space
        .apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": space.name},
            "spec": {"hard": {"pods": "1"}}
        }))
        .await;
    let full = place("node-2").await;
    println!("{full}");
    assert!(full.problem.contains("exceeded quota: full"), "{full}");
    assert_eq!(space.pods().await, [source]);
    space.nothing_left(&client).await;
    space.close().await;
}

/// With the webhook, which only prefers the node and is asked only while something moves; killed now and then.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn the_webhook_sends_it_there() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-webhook", 1, "node-1", quick()).await;
    space.unsteered().await;
    let placement = space.webhook(&client).await;
    for (to, writes) in [("node-3", usize::MAX), ("node-2", 1), ("node-1", 2), ("node-3", 3), ("node-1", 8)] {
        let source = space.pods().await.remove(0);
        let kill = Kill::after(writes);
        let mortal = space.relocate(&kill.client().await).with_placement(Arc::clone(&placement));
        let relocate = space.relocate(&client).with_placement(Arc::clone(&placement));
        tokio::select! {
            _ = move_by(&space, &mortal, &source, to) => {}
            () = kill.dead() => {
                println!("died before write {writes}: {}", entry(&space, &client).await);
                move_by(&space, &relocate, &source, to).await;
            }
        }
        let pods = space.pods().await;
        assert_eq!((pods.len(), pods[0].1.as_str()), (1, to), "{pods:?}");
        space.nothing_left(&client).await;
    }
    space.close().await;
}
