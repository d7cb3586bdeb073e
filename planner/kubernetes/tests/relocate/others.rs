//! Others who change the workload while a replica of it moves.
use super::{
    quick,
    space::{Space, until},
};
use foremesh_core::ids::NodeId;
use foremesh_kubernetes::relocate::Why;
use kube::Client;
use std::time::Duration;

/// Somebody else scales, or rolls out another version, while a replica is on its way.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn others_who_scale_meanwhile_have_what_they_want() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-others", 1, "node-1", quick()).await;
    let (relocate, workload) = (space.relocate(&client), space.workload());
    let scale = async |replicas: u32| {
        space.kubectl(&["scale", "deployment/web", &format!("--replicas={replicas}")]).await;
        space.settled(replicas).await;
    };
    for (to, number, on) in [
        ("node-2", 3, true),
        ("node-1", 3, false),
        ("node-1", 1, false),
        ("node-1", 1, false),
        ("node-1", 4, false),
    ] {
        let before = space.pods().await;
        let (source, from) = before.iter().find(|(_, node)| node.as_str() != to).unwrap().clone();
        space.steer(to).await;
        let node = NodeId::new(to);
        let target = relocate.place(&workload, &node).await.unwrap();
        until("the new replica to be ready", Duration::from_secs(30), async || {
            relocate.readiness(&workload, &node, &target).await.unwrap()
        })
        .await;
        scale(number).await;
        let meanwhile = space.pods().await;
        let stays = meanwhile.iter().any(|(pod, _)| *pod == target);
        if on {
            relocate.retire(&workload, &from, Some(&source)).await.unwrap();
        } else {
            if !stays {
                let refused = relocate.retire(&workload, &from, Some(&source)).await.unwrap_err();
                assert_eq!(refused.why, Why::NothingToStay);
            }
            relocate.retire(&workload, &node, Some(&target)).await.unwrap();
        }
        relocate.release(&workload).await.unwrap();
        space.settled(number).await;
        let after = space.pods().await;
        println!(
            "{} replicas, {number} while one goes to {to}, on {on}: the target stayed {stays}",
            before.len()
        );
        let gone = if on { &source } else { &target };
        assert!(after.iter().all(|(pod, _)| pod != gone), "{gone} of {after:?}");
        space.nothing_left(&client).await;
    }
    // Another version is rolled out while one is on its way: it is the end of the move.
    let (source, from) = space.pods().await.remove(0);
    let to = if from.as_str() == "node-1" { "node-2" } else { "node-1" };
    space.steer(to).await;
    let target = relocate.place(&workload, &NodeId::new(to)).await.unwrap();
    space.kubectl(&["set", "env", "deployment/web", "OTHER=1"]).await;
    relocate.retire(&workload, &NodeId::new(to), Some(&target)).await.unwrap();
    relocate.release(&workload).await.unwrap();
    space.settled(4).await;
    let after = space.pods().await;
    assert!(after.iter().all(|(pod, _)| *pod != target && *pod != source), "{after:?}");
    space.nothing_left(&client).await;
    space.close().await;
}
