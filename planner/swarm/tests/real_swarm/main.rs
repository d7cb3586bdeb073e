//! Moves on a real Docker Swarm, of four nodes at least, whose manager is at `DOCKER_HOST`, with the image of the testbed on
//! all of them:
//!
//! ```text
//! scripts/testbed swarm up --nodes 4
//! scripts/testbed swarm exec TEST_BINARY --ignored --test-threads 1
//! ```
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod rig;

use foremesh_core::{time::Timestamp, topology::NodeState};
use foremesh_swarm::{Events, Why, mapping};
use rig::{Rig, docker, web};
use std::{collections::BTreeSet, time::Duration};

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn the_only_task_moves_and_the_spec_is_the_same_bytes() {
    let rig = Rig::with("one", web("one", 1)).await;
    let moved = rig.begin(1).await;
    let surge = rig.surge().await.expect("a surge service");
    assert!(surge.contains(r#""Replicas":1"#) && !surge.contains("Aliases"), "{surge}");
    assert_eq!(rig.spec().await, rig.before, "it is not touched before the hand-over");
    assert!(rig.relocate.is_ready(&rig.workload, &moved.to, &moved.replica).await.unwrap());
    rig.relocate.hand_over(&rig.workload, &moved.leaving).await.unwrap();
    rig.relocate.hand_over(&rig.workload, &moved.leaving).await.unwrap();
    rig.relocate.finish(&rig.workload).await.unwrap();
    rig.is_as_before(&moved).await;
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn one_of_three_moves_and_the_others_stay_what_they_are() {
    let rig = Rig::with("three", web("three", 3)).await;
    let others = rig.tasks_but(2).await;
    let moved = rig.begin(2).await;
    let (watched, handed) =
        tokio::join!(rig.while_handed_over(), rig.relocate.hand_over(&rig.workload, &moved.leaving));
    handed.unwrap();
    // In the middle only what is meant is changed.
    let without = |spec: &str| {
        let mut spec: serde_json::Value = serde_json::from_str(spec).unwrap();
        spec["TaskTemplate"].as_object_mut().unwrap().remove("Placement");
        spec.as_object_mut().unwrap().remove("UpdateConfig");
        spec
    };
    assert_eq!(without(&watched), without(&rig.before));
    let watched: serde_json::Value = serde_json::from_str(&watched).unwrap();
    assert_eq!(watched["UpdateConfig"]["Order"], "start-first");
    assert_eq!(watched["TaskTemplate"]["Placement"]["Constraints"][0], "node.labels.disk!=none");
    rig.relocate.finish(&rig.workload).await.unwrap();
    rig.is_as_before(&moved).await;
    assert_eq!(rig.tasks_but(2).await, others);
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn a_task_that_never_gets_healthy_leaves_the_source_alone() {
    // Its health check asks another service, which is gone when the slot's own task starts.
    let rig = Rig::with("sick", web("sick", 3)).await;
    let before = rig.tasks_but(0).await;
    let moved = rig.begin(2).await;
    docker(&["service", "scale", "--detach", "gate=0"]);
    rig.until("the gate is closed", async || rig.running_of("gate").await == 0).await;
    let error = rig.quick.hand_over(&rig.workload, &moved.leaving).await.unwrap_err();
    assert_eq!(error.why, Why::DidNotStart, "{error}");
    assert!(error.to_string().contains("it waited too long"), "{error}");
    assert_eq!(rig.spec().await, rig.before);
    assert_eq!(rig.tasks_but(0).await, before, "all tasks are what they were");
    assert!(rig.surge().await.is_some(), "it stands in until it is taken back");
    rig.relocate.back(&rig.workload).await.unwrap();
    assert!(rig.surge().await.is_none());
    // The same of the surge task.
    let error = rig.quick.place(&rig.workload, &moved.to, Some(&moved.leaving)).await.unwrap_err();
    assert_eq!(error.why, Why::DidNotStart, "{error}");
    assert!(rig.surge().await.is_none(), "it is taken back");
    assert_eq!(rig.tasks_but(0).await, before);
    docker(&["service", "scale", "--detach", "gate=1"]);
    rig.until("the gate is open", async || rig.running_of("gate").await == 1).await;
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn a_task_that_is_rejected_says_why() {
    let mut spec = web("mounted", 1);
    let container = &mut spec["TaskTemplate"]["ContainerSpec"];
    container["Mounts"] =
        serde_json::json!([{"Type": "bind", "Source": "/run/only-here", "Target": "/data"}]);
    spec["Labels"]["foremesh.dev/local-mounts"] = "same-everywhere".into();
    let on = |node: &str| format!("/run/nodes/{node}/only-here");
    for node in ["node-1", "node-2", "node-3", "node-4"] {
        std::fs::create_dir_all(on(node)).unwrap();
    }
    let rig = Rig::with("mounted", spec).await;
    let (leaving, to) = (rig.replica(1).await, rig.free_node().await);
    std::fs::remove_dir(on(to.as_str())).unwrap();
    let error = rig.relocate.place(&rig.workload, &to, Some(&leaving)).await.unwrap_err();
    assert_eq!(error.why, Why::DidNotStart);
    assert!(error.to_string().contains("bind source path does not exist: /run/only-here"), "{error}");
    assert!(rig.surge().await.is_none());
    assert_eq!(rig.spec().await, rig.before);
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn somebody_who_writes_in_between_is_not_overwritten() {
    let rig = Rig::with("between", web("between", 3)).await;
    let moved = rig.begin(1).await;
    let stale = rig.client.service("between").await.unwrap().unwrap();
    docker(&["service", "update", "--detach", "--label-add", "other=1", "between"]);
    let spec = foremesh_swarm::spec::Spec::new(stale.spec.get()).unwrap();
    let written = rig.client.update(&stale, &spec).await.unwrap();
    assert_eq!(written, foremesh_swarm::Written::Overtaken);
    // Labels and scale are anybody's to change, before and in the middle.
    let scaled = async {
        rig.while_handed_over().await;
        docker(&["service", "scale", "--detach", "between=4"]);
    };
    let (handed, ()) = tokio::join!(rig.relocate.hand_over(&rig.workload, &moved.leaving), scaled);
    handed.unwrap();
    rig.relocate.finish(&rig.workload).await.unwrap();
    let spec: serde_json::Value = serde_json::from_str(&rig.spec().await).unwrap();
    let mut expected: serde_json::Value = serde_json::from_str(&rig.before).unwrap();
    expected["Labels"]["other"] = "1".into();
    expected["Mode"]["Replicated"]["Replicas"] = 4.into();
    assert_eq!(spec, expected);
    rig.until("four tasks run", async || rig.running_of("between").await == 4).await;
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn another_image_overtakes_a_move() {
    for during in [false, true] {
        let rig = Rig::with("imaged", web("imaged", 3)).await;
        let moved = rig.begin(1).await;
        assert_eq!(rig.relocate.overtaken(&rig.workload).await.unwrap(), None);
        let update = || {
            docker(&[
                "service",
                "update",
                "--detach",
                "--no-resolve-image",
                "--env-add",
                "VERSION=2",
                "imaged",
            ])
        };
        if during {
            let updated = async {
                rig.while_handed_over().await;
                update();
            };
            let (handed, ()) = tokio::join!(rig.relocate.hand_over(&rig.workload, &moved.leaving), updated);
            assert!(handed.is_err(), "what it runs was changed");
        } else {
            update();
        }
        let seen = rig.relocate.overtaken(&rig.workload).await.unwrap();
        assert_eq!(seen.as_deref(), Some("what the service runs was changed"));
        rig.relocate.let_go(&rig.workload).await.unwrap();
        assert!(rig.surge().await.is_none());
        let spec: serde_json::Value = serde_json::from_str(&rig.spec().await).unwrap();
        let before: serde_json::Value = serde_json::from_str(&rig.before).unwrap();
        assert_eq!(spec["TaskTemplate"]["Placement"], before["TaskTemplate"]["Placement"]);
        assert_eq!(spec["UpdateConfig"], before["UpdateConfig"]);
        assert!(spec["TaskTemplate"]["ContainerSpec"]["Env"].to_string().contains("VERSION=2"), "{spec}");
        rig.until("three new tasks run", async || rig.running_with("VERSION=2") == 3).await;
    }
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn a_target_that_is_drained_in_the_middle_gives_the_slot_back() {
    let rig = Rig::with("drained", web("drained", 1)).await;
    let moved = rig.begin(1).await;
    let to = moved.to.as_str();
    let drained = async {
        rig.while_handed_over().await;
        docker(&["node", "update", "--availability", "drain", to]);
    };
    let (handed, ()) = tokio::join!(rig.relocate.hand_over(&rig.workload, &moved.leaving), drained);
    let nodes = rig.client.nodes().await.unwrap();
    docker(&["node", "update", "--availability", "active", to]);
    let drained = nodes.iter().find(|node| node.description.hostname == to).unwrap();
    assert_eq!(drained.spec.availability, "drain");
    let error = handed.unwrap_err();
    assert!(matches!(error.why, Why::DidNotStart | Why::Late), "{error}");
    assert_eq!(rig.spec().await, rig.before);
    rig.relocate.back(&rig.workload).await.unwrap();
    rig.until("its task runs where it was", async || rig.replica(1).await == moved.leaving).await;
    assert!(rig.surge().await.is_none());
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn what_runs_is_read_and_events_are_heard() {
    let rig = Rig::with("read", web("read", 3)).await;
    let mut events = Events::listen(rig.client.clone());
    events.next(Duration::from_secs(2)).await;
    let snapshot = mapping::snapshot(&rig.client.objects().await.unwrap(), Timestamp::from_unix_ms(1));
    let read = &snapshot.workloads[&rig.workload];
    assert_eq!((read.pinned.as_deref(), read.replicas.len()), (None, 3), "{read:?}");
    let nodes: BTreeSet<_> = read.replicas.values().map(|replica| replica.node.clone()).collect();
    assert_eq!(nodes.len(), 3);
    assert!(snapshot.nodes.values().all(|node| node.state == NodeState::Ready && node.zone.is_some()));
    let began = tokio::time::Instant::now();
    let (_, ()) = tokio::join!(
        tokio::task::spawn_blocking(|| docker(&[
            "service",
            "update",
            "--detach",
            "--label-add",
            "a=b",
            "read"
        ])),
        events.next(Duration::from_secs(20))
    );
    assert!(began.elapsed() < Duration::from_secs(10), "a change is told");
    let worker = rig::client("unix:///run/nodes/node-2/docker.sock");
    let error = worker.services().await.unwrap_err();
    assert_eq!(error.why, Why::NotAManager, "{error}");
}
