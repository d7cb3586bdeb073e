//! The placement webhook against a real API server, scheduler and sidecar injector:
//! `scripts/testbed exec env KUBECONFIG=... target/debug/deps/placement_webhook-... --ignored --nocapture --test-threads=1`.
//! It must run where the API server can connect to it. Makes and removes namespaces, a cluster role and webhook
//! configurations whose names begin with `webhook-test`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#[path = "placement/cluster.rs"]
mod cluster;

use cluster::{Shop, another, now};
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
use foremesh_kubernetes::{
    moving::{Moved, MovedKind, MovedPhase, MovingList, Scaled},
    webhook::{COST_ANNOTATION, LOCATION_LABEL, Placement, WebhookAddress, WebhookSettings},
};
use futures::{StreamExt, future::ready, stream};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, time::Instant};

/// A webhook that runs in this process, with the rights that it says it needs and no others.
struct Running {
    placement: Placement,
    moving: MovingList,
    address: SocketAddr,
    /// How far the planner's clock is behind, in milliseconds.
    behind: Arc<AtomicI64>,
}

async fn run(shop: &Shop, address: impl FnOnce(SocketAddr) -> WebhookAddress) -> Running {
    run_at(shop, address, (shop.reachable_at().await, 0).into(), 0).await
}

async fn run_at(
    shop: &Shop,
    address: impl FnOnce(SocketAddr) -> WebhookAddress,
    at: SocketAddr,
    behind_ms: i64,
) -> Running {
    let listener = TcpListener::bind(at).await.unwrap();
    let bound = listener.local_addr().unwrap();
    let settings = WebhookSettings {
        configuration: shop.configuration.clone(),
        ..WebhookSettings::new(&shop.planner, address(bound))
    };
    let client = shop.as_planner().await;
    let behind = Arc::new(AtomicI64::new(behind_ms));
    let shown = Arc::clone(&behind);
    let clock = Arc::new(move || now().plus_ms(-shown.load(Ordering::Relaxed)));
    let placement = Placement::start(&client, settings, listener, clock).unwrap();
    Running { placement, moving: MovingList::new(client, &shop.planner), address: bound, behind }
}

fn by_url(address: SocketAddr) -> WebhookAddress {
    WebhookAddress::Url { host: address.ip().to_string(), port: address.port() }
}

/// The move of the only replica to another node.
fn moved(shop: &Shop, pod: &Value, to: &str) -> Moved {
    Moved {
        workload: WorkloadId::new(format!("{}/web", shop.namespace)),
        kind: MovedKind::Deployment,
        from: NodeId::new(node(pod)),
        to: NodeId::new(to),
        known: [ReplicaId::new(pod["metadata"]["name"].as_str().unwrap())].into(),
        replicas_before: 1,
        scaler: Scaled::Deployment,
        target: None,
        phase: MovedPhase::Surging,
    }
}

fn node(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap()
}

fn location(pod: &Value) -> Option<&str> {
    pod["metadata"]["labels"][LOCATION_LABEL].as_str()
}

/// The one that was not there before.
fn new<'p>(pods: &'p [Value], before: &[Value]) -> &'p Value {
    let name = |pod: &Value| pod["metadata"]["name"].clone();
    pods.iter().find(|pod| !before.iter().any(|old| name(old) == name(pod))).unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn the_extra_replica_starts_on_the_planned_node_and_nothing_else_is_touched() {
    let shop = Shop::open("place", true).await;
    let running = run(&shop, by_url).await;
    let first = shop.scaled(1).await;

    // Nothing moves: a scale-up is none of our business.
    let two = shop.scaled(2).await;
    assert_eq!(location(new(&two, &first)), None);
    assert!(new(&two, &first)["spec"]["affinity"].is_null());
    let first = shop.scaled(1).await;

    let from = node(&first[0]).to_owned();
    for to in shop.workers().await.into_iter().filter(|worker| *worker != from) {
        let moved = moved(&shop, &first[0], &to);
        running.moving.put(&moved).await.unwrap();
        running.placement.arm().await.unwrap();
        let two = shop.scaled(2).await;
        let extra = new(&two, &first);
        assert_eq!(node(extra), to);
        assert_eq!(location(extra), Some("target"));
        assert_eq!(extra["metadata"]["annotations"][COST_ANNOTATION], "-100");
        let containers: Vec<&str> = ["containers", "initContainers"]
            .iter()
            .filter_map(|list| extra["spec"][*list].as_array())
            .flatten()
            .map(|container| container["name"].as_str().unwrap())
            .collect();
        assert!(containers.contains(&"istio-proxy"), "the sidecar is there as well: {containers:?}");

        // Somebody scales up meanwhile: it stays wherever it is put.
        let three = shop.scaled(3).await;
        assert_eq!(location(new(&three, &two)), Some("stay"));
        assert!(new(&three, &two)["spec"]["affinity"].is_null());
        assert!(new(&three, &two)["metadata"]["annotations"][COST_ANNOTATION].is_null());
        // Somebody scales down: the one that was sent is the first to go.
        let two = shop.scaled(2).await;
        assert!(two.iter().all(|pod| location(pod) != Some("target")), "{two:?}");
        let one = shop.scaled(1).await;
        println!("from {from} to {to}; left after the scale-down: {:?}", one[0]["metadata"]["name"]);

        running.moving.remove(&moved.workload).await.unwrap();
        running.placement.disarm().await.unwrap();
        assert_eq!(shop.webhooks().await, json!([]));
        if one[0]["metadata"]["name"] != first[0]["metadata"]["name"] {
            // The one that stayed was taken for the older one; go on from where it is.
            break;
        }
    }
    let template = shop.deployment().await["spec"]["template"].clone();
    assert!(
        template["spec"]["affinity"].is_null() && template["metadata"]["labels"][LOCATION_LABEL].is_null()
    );
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn one_is_sent_whatever_happens_at_the_same_time() {
    let shop = Shop::open("crash", false).await;
    let running = run(&shop, by_url).await;
    let first = shop.scaled(1).await;
    let to = shop.workers().await.into_iter().find(|worker| worker != node(&first[0])).unwrap();
    running.moving.put(&moved(&shop, &first[0], &to)).await.unwrap();
    running.placement.arm().await.unwrap();
    // The replica crashes before it is scaled up.
    shop.delete_pod(first[0]["metadata"]["name"].as_str().unwrap()).await;
    let replaced = shop.scaled(1).await;
    assert_eq!(location(&replaced[0]), Some("stay"));
    // The planner crashes too, and another one starts with what is stored.
    let Running { placement, address, .. } = running;
    drop(placement);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let running = run_at(&shop, by_url, address, 0).await;
    running.placement.arm().await.unwrap();
    // Another scaler wants many more, and they come at once.
    let many = shop.scaled(9).await;
    let sent: Vec<&Value> = many.iter().filter(|pod| location(pod) == Some("target")).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(node(sent[0]), to);
    assert!(many.iter().all(|pod| location(pod).is_some()));
    running.placement.disarm().await.unwrap();
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn it_is_reached_by_a_service() {
    let shop = Shop::open("service", false).await;
    let service = |_| WebhookAddress::Service { name: "foremesh".to_owned(), port: 443 };
    let running = run(&shop, service).await;
    let first = shop.scaled(1).await;
    let to = shop.workers().await.into_iter().find(|worker| worker != node(&first[0])).unwrap();
    running.moving.put(&moved(&shop, &first[0], &to)).await.unwrap();
    let error = running.placement.arm().await.unwrap_err().to_string();
    println!("no service: {error}");
    assert!(error.contains("foremesh"), "{error}");

    shop.serve("foremesh", running.address).await;
    running.placement.arm().await.unwrap();
    let two = shop.scaled(2).await;
    assert_eq!(node(new(&two, &first)), to);
    shop.close().await;
}

/// A preference can be ignored: then the label says what was meant, and whoever scales down takes it back.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_node_that_cannot_have_it_leaves_it_elsewhere_and_first_to_go() {
    let shop = Shop::open("refused", false).await;
    let running = run(&shop, by_url).await;
    let first = shop.scaled(1).await;
    // It has a taint that the pod does not tolerate.
    running.moving.put(&moved(&shop, &first[0], "control")).await.unwrap();
    running.placement.arm().await.unwrap();
    let two = shop.scaled(2).await;
    let extra = new(&two, &first);
    assert_ne!(node(extra), "control");
    assert_eq!(location(extra), Some("target"));
    let one = shop.scaled(1).await;
    assert_eq!(one[0]["metadata"]["name"], first[0]["metadata"]["name"]);
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn no_admission_is_missed_while_the_certificate_is_replaced() {
    let shop = Shop::open("rotation", false).await;
    let days = 61 * 86_400_000;
    let running = run_at(&shop, by_url, (shop.reachable_at().await, 0).into(), days).await;
    let first = shop.scaled(1).await;
    running.moving.put(&moved(&shop, &first[0], "node-2")).await.unwrap();
    running.placement.arm().await.unwrap();
    let pod = another(&first[0]);
    let all_asked = async |when: &str| {
        for number in 0..20 {
            assert_eq!(location(&shop.dry_run(&pod).await), Some("target"), "{when}, number {number}");
        }
    };
    all_asked("with the first certificate").await;
    let before = shop.webhooks().await[0]["clientConfig"]["caBundle"].clone();
    running.behind.store(0, Ordering::Relaxed);
    running.placement.disarm().await.unwrap();
    assert_ne!(shop.webhooks().await[0]["clientConfig"]["caBundle"], before);
    all_asked("when the second one is trusted").await;
    running.placement.disarm().await.unwrap();
    all_asked("when the second one is served").await;
    // The API server has to connect again, and sees the second one.
    let Running { placement, address, .. } = running;
    drop(placement);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let running = run_at(&shop, by_url, address, 0).await;
    running.placement.arm().await.unwrap();
    all_asked("after a start").await;
    shop.close().await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn pods_come_up_without_it_and_what_it_costs() {
    let shop = Shop::open("cost", false).await;
    let running = run(&shop, by_url).await;
    let first = shop.scaled(1).await;
    let to = shop.workers().await.into_iter().find(|worker| worker != node(&first[0])).unwrap();
    let moved = moved(&shop, &first[0], &to);
    let pod = another(&first[0]);

    shop.dry_runs(20, &pod).await;
    let idle = shop.dry_runs(100, &pod).await;
    let mut arming = Vec::new();
    for _ in 0..10 {
        running.moving.put(&moved).await.unwrap();
        let began = Instant::now();
        running.placement.arm().await.unwrap();
        arming.push(began.elapsed());
        let armed = shop.dry_run(&pod).await;
        assert_eq!(location(&armed), Some("target"), "armed means that pods are asked about");
        running.moving.remove(&moved.workload).await.unwrap();
        running.placement.disarm().await.unwrap();
    }
    arming.sort();
    println!("arming: median {:?}, longest {:?}", arming[5], arming[9]);

    running.moving.put(&moved).await.unwrap();
    running.placement.arm().await.unwrap();
    let asked = shop.dry_runs(100, &pod).await;
    let began = Instant::now();
    let at_once = stream::iter(0..400).map(|_| shop.dry_run(&pod)).buffer_unordered(20);
    let missed = at_once.filter(|made| ready(location(made).is_none())).count().await;
    println!("400 admissions, 20 at a time, took {:?}; not asked about: {missed}", began.elapsed());
    assert_eq!(missed, 0);
    let mut other = pod.clone();
    other["metadata"]["ownerReferences"][0]["name"] = json!("other-7d4");
    let beside = shop.dry_runs(100, &other).await;
    let idle_again = {
        running.moving.remove(&moved.workload).await.unwrap();
        running.placement.disarm().await.unwrap();
        shop.dry_runs(100, &pod).await
    };
    running.moving.put(&moved).await.unwrap();
    running.placement.arm().await.unwrap();
    println!("one admission, nothing moves:             {idle}");
    println!("one admission, again:                     {idle_again}");
    println!("one admission, of what moves:             {asked}");
    println!("one admission, beside what moves:         {beside}");

    // The planner is killed: its port is closed.
    let Running { placement, address, .. } = running;
    drop(placement);
    tokio::time::sleep(Duration::from_millis(200)).await;
    println!("one admission, planner gone, port closed: {}", shop.dry_runs(20, &pod).await);
    let began = Instant::now();
    let two = shop.scaled(2).await;
    println!("scaled from 1 to 2 without the planner in {:?}", began.elapsed());
    assert_eq!(location(new(&two, &first)), None);

    // Its machine is gone: whoever connects waits.
    let mute = TcpListener::bind(address).await.unwrap();
    println!("one admission, planner mute:              {}", shop.dry_runs(5, &pod).await);
    shop.scaled(1).await;
    let began = Instant::now();
    let two = shop.scaled(2).await;
    println!("scaled from 1 to 2 with a mute planner in {:?}", began.elapsed());
    assert_eq!(two.len(), 2);
    drop(mute);
    shop.close().await;
}
