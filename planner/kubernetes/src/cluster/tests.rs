//! Watches against an API server that is played, in time that passes at once.
mod server;

use super::*;
use crate::{
    mesh::{Index, Named, Routing},
    resources::{Resources, Written},
};
use server::Server;
use std::time::Duration;
use tower::Layer;

/// Longer than anything here takes in real time.
const DEADLINE: Duration = Duration::from_secs(3600);

fn watched(server: &Server) -> Cluster {
    let began = tokio::time::Instant::now();
    let clock: Clock = Arc::new(move || {
        let passed = i64::try_from(began.elapsed().as_millis()).unwrap();
        Timestamp::from_unix_ms(1_000_000 + passed)
    });
    let heard = Heard::new(Arc::clone(&clock));
    let client = Client::new(heard.layer(server.clone()), "default");
    Cluster::watch(&client, heard, ClusterSettings::default(), clock)
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_complete_or_an_error() {
    for streams in [true, false] {
        let server = Server::new(streams);
        let cluster = watched(&server);
        let early = cluster.snapshot().await.unwrap_err().to_string();
        assert_eq!(
            early,
            "watch of nodes: its first list is not complete after 0 s; check that the API server answers and is \
             not overloaded"
        );
        after(1).await;
        let snapshot = cluster.snapshot().await.unwrap();
        assert_eq!((snapshot.nodes.len(), snapshot.workloads.len()), (2, 1), "lists are streamed: {streams}");
        let nodes: Vec<f64> = snapshot.nodes.values().map(|node| node.capacity.get()).collect();
        assert_eq!(nodes, [4000.0, 2000.0]);
        assert_eq!(cluster.addresses(), [("10.0.0.1".to_owned(), NodeId::new("n1"))].into());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_streams_no_end_of_its_lists_is_asked_for_pages() {
    let server = Server::new(true);
    server.never_ends_lists();
    let cluster = watched(&server);
    // It has sent all that it has at once, and nothing after that.
    after(9).await;
    assert!(cluster.snapshot().await.is_err());
    after(3).await;
    assert_eq!(cluster.snapshot().await.unwrap().nodes.len(), 2);
}

/// Nothing changes for hours, and the snapshot is never older than a watch may be quiet.
#[tokio::test(start_paused = true)]
async fn a_quiet_cluster_is_heard_of() {
    let server = Server::new(true);
    let cluster = watched(&server);
    tokio::time::timeout(DEADLINE, async {
        for _ in 0..50 {
            after(61).await;
            let now = (cluster.clock)();
            let age = now.ms_since(cluster.snapshot().await.unwrap().taken_at);
            assert!((0..=31_000).contains(&age), "the snapshot is {age} ms old");
        }
    })
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_makes_the_snapshot_an_error_that_says_since_when() {
    let server = Server::new(true);
    let cluster = watched(&server);
    after(5).await;
    cluster.snapshot().await.unwrap();
    server.silence(true);
    after(100).await;
    cluster.snapshot().await.expect("it is not stale yet");
    after(60).await;
    let error = cluster.snapshot().await.unwrap_err();
    assert_eq!(error.object, "watch of nodes");
    assert!(error.problem.starts_with("nothing was heard of it for 145 s, and it fails since "), "{error}");
    assert!(error.problem.contains("did not begin to answer within 30s"), "{error}");
    server.silence(false);
    // The longest that a watch waits before it tries again, and half as much for chance.
    after(90).await;
    cluster.snapshot().await.expect("it is back");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_named_with_what_helps() {
    let server = Server::new(true);
    server.forbid("/api/v1/pods");
    let cluster = watched(&server);
    after(7).await;
    let error = cluster.snapshot().await.unwrap_err();
    assert_eq!(error.object, "watch of pods");
    assert!(
        error.problem.starts_with("its first list is not complete after 7 s, and it fails since "),
        "{error}"
    );
    assert!(error.problem.contains("pods is forbidden"), "{error}");
    assert_eq!(error.remedy, "let the planner's account list and watch pods in all namespaces");
}

/// The definitions of our kinds may come after the planner.
#[tokio::test(start_paused = true)]
async fn policies_are_known_once_they_are_defined_and_unknown_when_nothing_is_heard() {
    let path = "/apis/foremesh.dev/v1alpha1/relocationpolicies";
    let server = Server::new(true);
    server.define(path, false);
    let began = tokio::time::Instant::now();
    let clock: Clock = Arc::new(move || {
        let passed = i64::try_from(began.elapsed().as_millis()).unwrap();
        Timestamp::from_unix_ms(1_000_000 + passed)
    });
    let heard = Heard::new(Arc::clone(&clock));
    let client = Client::new(heard.layer(server.clone()), "default");
    let resources = Resources::watch(client, heard, Duration::from_secs(120), clock);
    after(600).await;
    let error = resources.stored(Written::Policy).unwrap_err();
    assert_eq!(error.object, "watch of relocationpolicies");
    assert_eq!(
        error.remedy,
        "run `foremesh crds | kubectl apply -f -` to have policies and calendars in the cluster"
    );
    assert_eq!(resources.stored(Written::Calendar).unwrap(), [], "one kind does not wait for the other");
    server.define(path, true);
    // The longest that a watch waits before it tries again, and half as much for chance.
    after(90).await;
    assert_eq!(resources.stored(Written::Policy).unwrap(), []);
    server.change(
        path,
        serde_json::json!({
            "metadata": {"name": "p", "namespace": "shop", "uid": "p", "resourceVersion": "9", "generation": 2},
            "spec": {"mode": "auto", "unheard": ["of"]}
        }),
    );
    after(31).await;
    let stored = resources.stored(Written::Policy).unwrap();
    assert_eq!((stored.len(), stored[0].generation), (1, 2));
    assert_eq!(stored[0].spec["unheard"][0], "of", "nothing is lost of what people wrote");
    server.silence(true);
    after(200).await;
    let error = resources.stored(Written::Policy).unwrap_err().to_string();
    assert!(error.contains("nothing was heard of it for"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_read_is_not_passed_over() {
    let server = Server::new(true);
    let cluster = watched(&server);
    after(5).await;
    server.change("/api/v1/nodes", server::node("n2", "lots", None));
    after(31).await;
    let error = cluster.snapshot().await.unwrap_err();
    assert_eq!(error.object, "watch of nodes");
    assert!(error.problem.starts_with("an object of it could not be read"), "{error}");
    // The played server lists what was there before the change, so the next list is whole again.
    after(35).await;
    cluster.snapshot().await.expect("all can be read again");
}

#[tokio::test(start_paused = true)]
async fn changes_are_taken_in() {
    let server = Server::new(true);
    let cluster = watched(&server);
    after(5).await;
    server.change("/api/v1/nodes", server::node("n3", "8", None));
    after(31).await;
    let capacity = cluster.snapshot().await.unwrap().nodes[&NodeId::new("n3")].capacity;
    assert_eq!(capacity, foremesh_core::units::Millicores::new(8000.0).unwrap());
}

fn pod(name: &str, owner: &str) -> serde_json::Value {
    serde_json::json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": "4", "labels": {"app": "cart"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "X", "name": owner, "uid": owner, "controller": true}]
        },
        "spec": {"nodeName": "n1", "schedulerName": "default-scheduler", "containers": []},
        "status": {"phase": "Running"}
    })
}

/// A guess would be kept for good, and the proxy sends again.
#[tokio::test(start_paused = true)]
async fn a_proxy_waits_until_it_is_known_what_makes_its_pod() {
    let server = Server::new(true);
    let cluster = watched(&server);
    assert!(cluster.proxy("shop", "cart", "cart-1", None).await.is_err(), "nothing is listed yet");
    after(5).await;
    server.change("/api/v1/pods", pod("cart-1", "set"));
    server.change("/api/v1/pods", pod("logs-1", "daemon"));
    after(31).await;
    for _ in 0..2 {
        let error = cluster.proxy("shop", "cart", "cart-1", None).await.unwrap_err().to_string();
        assert!(error.starts_with("pod shop/cart-1: what makes it is not known yet"), "{error}");
        cluster.proxy("shop", "logs", "logs-1", None).await.unwrap_err();
    }
    let front = serde_json::json!({
        "metadata": {"name": "front", "namespace": "shop", "uid": "s", "resourceVersion": "4"},
        "spec": {"selector": {"app": "cart"}, "clusterIP": "10.0.0.9"}
    });
    server.change("/api/v1/services", front);
    let set = serde_json::json!({"metadata": {
        "name": "cart-abc", "namespace": "shop", "uid": "set", "resourceVersion": "4",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart", "uid": "d", "controller": true}]
    }});
    server.change("/apis/apps/v1/replicasets", set);
    after(31).await;
    let cart = cluster.proxy("shop", "cart", "cart-1", None).await.unwrap();
    assert_eq!((cart.service.as_str(), cart.node), ("front.shop.svc.cluster.local", Some(NodeId::new("n1"))));
    let logs = cluster.proxy("shop", "logs", "logs-1", None).await.unwrap();
    assert_eq!(logs.service.as_str(), "logs.shop.svc.cluster.local", "nothing that is known makes it");
    server.silence(true);
    after(600).await;
    assert_eq!(cluster.proxy("shop", "cart", "cart-1", None).await.unwrap().service, cart.service);
}

#[tokio::test(start_paused = true)]
async fn the_mesh_is_known_by_the_hosts_that_its_objects_name_while_it_is_heard_of() {
    let server = Server::new(true);
    server.define("/apis/gateway.networking.k8s.io/v1/httproutes", false);
    let cluster = watched(&server).with_mesh();
    let mesh = cluster.mesh().unwrap();
    let naming = |of: &str| mesh.naming(&|_, _, host| host == of);
    assert_eq!(naming("web"), None, "nothing is listed yet");
    after(2).await;
    assert_eq!(naming("web").unwrap(), [], "the Gateway API may be missing");
    let routes = "/apis/networking.istio.io/v1/virtualservices";
    let route = |name: &str, annotations: serde_json::Value| {
        serde_json::json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "9", "annotations": annotations},
            "spec": {"hosts": ["*.example"], "http": [{"route": [{"destination": {"host": name}}]}]}
        })
    };
    server.change(routes, route("web", serde_json::json!({})));
    server.change(routes, route("other", serde_json::json!({})));
    after(11).await;
    let named = |name: &str| Named {
        kind: Routing::VirtualService,
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(naming("web").unwrap(), [named("web")]);
    assert_eq!(naming("*.example").unwrap(), [named("other"), named("web")]);
    server.change(routes, route("moves", serde_json::json!({"foremesh.dev/traffic": "{}"})));
    after(11).await;
    assert_eq!(naming("web").unwrap(), [named("moves"), named("web")], "what is changed for a move counts");
    server.silence(true);
    after(45).await;
    assert_eq!(naming("web"), None, "it may be old");
    server.silence(false);
    after(90).await;
    assert_eq!(naming("web").unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_by_namespace_while_the_watches_work() {
    let server = Server::new(true);
    let cluster = watched(&server).with_mesh();
    let news = cluster.news();
    assert_eq!(news.mark("shop"), None, "nothing is listed yet");
    after(2).await;
    let (shop, other) = (news.mark("shop").unwrap(), news.mark("other").unwrap());
    after(40).await;
    assert_eq!(news.mark("shop"), Some(shop), "watches that were taken up again are no news");
    server.change("/api/v1/pods", pod("cart-1", "set"));
    // Nodes change all the time, and decide on no move that is under way.
    server.change("/api/v1/nodes", server::node("n3", "8", None));
    after(31).await;
    assert_ne!(news.mark("shop"), Some(shop));
    assert_eq!(news.mark("other"), Some(other));
    let rule = serde_json::json!({
        "metadata": {"name": "r", "namespace": "shop", "uid": "r", "resourceVersion": "9"}, "spec": {"host": "web"}
    });
    server.change("/apis/networking.istio.io/v1/destinationrules", rule);
    after(11).await;
    assert_ne!(news.mark("other"), Some(other), "a rule may be about any namespace");
    server.forbid("/api/v1/services");
    after(31).await;
    assert_eq!(news.mark("shop"), None, "a watch that fails would tell nothing");
}
