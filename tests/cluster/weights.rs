//! Weights of a `VirtualService` are what callers' sidecars do.
use foremesh_tests::{Cluster, Namespace, WorkloadSpec, cluster::Load};
use serde_json::json;
use std::time::Duration;

const REQUESTS: u64 = 2_000;
/// Share of the second subset.
const SHARE: f64 = 0.1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ninety_to_ten_between_two_subsets() {
    let space = Namespace::meshed(Cluster::shared().await, "weights").await;
    let version = |version| WorkloadSpec {
        version: Some(version),
        nodes: vec!["node-2", "node-3"],
        ..WorkloadSpec::service("web")
    };
    space
        .start(&[
            version("v1"),
            version("v2"),
            WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") },
        ])
        .await;
    let client = space.pod("app=client").await.name;
    let host = format!("web.{}.svc.cluster.local", space.name());
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    let part =
        |name: &str, weight: u32| json!({"destination": {"host": host, "subset": name}, "weight": weight});
    let routes = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "web"},
         "spec": {"host": host, "subsets": [subset("v1"), subset("v2")]}},
        {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web"},
         "spec": {"hosts": [host], "http": [{"route": [part("v1", 90), part("v2", 10)]}]}},
    ]});
    space.apply(&routes.to_string()).await;
    space
        .sidecar_until(&client, "config_dump?resource=dynamic_route_configs", "the weights", |dump| {
            dump.contains(&format!("|v2|{host}\",\"weight\":10"))
        })
        .await;
    for name in ["v1", "v2"] {
        let start = format!("outbound|8080|{name}|{host}::");
        space
            .sidecar_until(&client, "clusters", "a healthy replica of the subset", |clusters| {
                clusters
                    .lines()
                    .any(|line| line.starts_with(&start) && line.ends_with("::health_flags::healthy"))
            })
            .await;
    }

    let before = served(&space).await;
    let (requests, url) = (REQUESTS.to_string(), format!("http://web.{}:8080/", space.name()));
    let options = ["--rate", "250", "--requests", &requests];
    let result = Load::start(&space, &client, &url, &options, Duration::from_secs(60)).finish().await;
    assert_eq!((&result["ok"], &result["failed"]), (&REQUESTS.into(), &0.into()), "{result:#}");
    let after = served(&space).await;
    let (first, second) = (after[0] - before[0], after[1] - before[1]);
    println!("of {REQUESTS} requests {first} went to the subset of weight 90, {second} to that of weight 10");
    assert_eq!(first + second, REQUESTS, "every request is served once");
    // Four standard deviations of the binomial distribution: a right split is outside them once in 16 000 runs.
    let mean = REQUESTS as f64 * SHARE;
    let bound = 4.0 * (mean * (1.0 - SHARE)).sqrt();
    assert!((second as f64 - mean).abs() < bound, "{second} requests, want {mean} within {bound:.0}");
}

/// Requests that v1 and v2 have served.
async fn served(space: &Namespace) -> [u64; 2] {
    let mut counts = [0; 2];
    for (count, version) in counts.iter_mut().zip(["v1", "v2"]) {
        let pod = space.pod(&format!("app=web,version={version}")).await;
        *count = space.served(&pod).await.unwrap_or_else(|error| panic!("{error}"));
    }
    counts
}
