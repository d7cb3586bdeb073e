//! Sidecars of a real mesh report to a planner that reads a real cluster: each form in which Istio takes the filter.
use foremesh_tests::{
    Cluster, Namespace, WorkloadSpec,
    cluster::{InCluster, Load, NODES},
    until,
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

const SOON: Duration = Duration::from_secs(40);
/// A proxy drains for 45 s.
const DRAINED_WITHIN: Duration = Duration::from_secs(90);
const LOAD_WITHIN: Duration = Duration::from_secs(60);
const POLICY: &str = "apiVersion: foremesh.dev/v1alpha1\nkind: RelocationPolicy\nmetadata: {name: all}\nspec:\n  \
    selector: {services: [\"*\"]}\n  mode: recommend\n  rules:\n  - {name: slow, predictedLatency: \
    {quantile: 0.99, above: 500ms, within: 10s}}\n";

/// Observations by workload and direction-independent: one sidecar sees each request once.
async fn observed(planner: &InCluster, space: &Namespace) -> Result<BTreeMap<String, u64>, String> {
    let answer = planner.get("/api/v1/proxies").await?;
    let mut counts = BTreeMap::new();
    let prefix = format!("{}/", space.name());
    for proxy in answer["proxies"].as_array().ok_or_else(|| format!("no proxies: {answer}"))? {
        let workload = proxy["workload"].as_str().unwrap_or_default();
        if let Some(name) = workload.strip_prefix(&prefix) {
            assert_eq!(proxy["config_error"], "", "{proxy:#}");
            *counts.entry(name.to_owned()).or_default() += proxy["observations"].as_u64().unwrap_or(0);
        }
    }
    Ok(counts)
}

/// When the filter comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// Into sidecars that run and have traffic.
    Later,
    /// Before them.
    First,
}

/// From a namespace without the filter to every request counted at both ends, by the cluster's names.
async fn reports(planner: &InCluster, name: &'static str, api: &str, comes: Comes) {
    let space = Namespace::meshed(Cluster::shared().await, name).await;
    space.kubectl(&["label", "namespace", name, "foremesh.dev/managed=true"]).await.expect("it is labelled");
    // The Deployment has another name than the service that it answers for.
    let web = WorkloadSpec { nodes: vec!["node-2"], version: Some("v1"), ..WorkloadSpec::service("web") };
    let workloads = [web, WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") }];
    let host = planner.host();
    let objects = planner
        .command(&[
            "install",
            "sidecars",
            "--into",
            name,
            "--planner",
            &host,
            "--module-port",
            "8700",
            "--api",
            api,
        ])
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    if comes == Comes::First {
        space.apply(&objects).await;
    }
    space.start(&workloads).await;
    let client = space.pod("app=client").await.name;
    if comes == Comes::Later {
        let answer = space.call_from(&client, "http://web:8080/").await.expect("a call");
        assert_eq!(answer["status"], 200, "{answer}");
        space.apply(&objects).await;
    }

    let url = "http://web:8080/";
    until("both sidecars to report", SOON, async || {
        space.call_from(&client, url).await?;
        let seen = observed(planner, &space).await?;
        if seen.len() == 2 { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    if comes == Comes::Later {
        // A connection of before the filter goes on without it until its listener has drained.
        for pod in [&client, &space.pod("app=web").await.name] {
            until("listeners without the filter to be gone", DRAINED_WITHIN, async || {
                let stats = space.sidecar(pod, "stats?filter=total_listeners_draining").await?;
                if stats.trim().ends_with(": 0") { Ok(()) } else { Err(stats) }
            })
            .await;
        }
    }
    let before = settled(planner, &space).await;
    let load =
        Load::start(&space, &client, url, &["--rate", "150", "--seconds", "8"], LOAD_WITHIN).finish().await;
    let sent = load["sent"].as_u64().expect("a count");
    assert_eq!(load["failed"], 0, "{load:#}");
    until("every request to be counted at both ends", SOON, async || {
        let now = observed(planner, &space).await?;
        let more = |name: &str| now.get(name).copied().unwrap_or(0) - before.get(name).copied().unwrap_or(0);
        if more("client") == sent && more("web-v1") == sent {
            Ok(())
        } else {
            let proxies = planner.get("/api/v1/proxies").await?;
            Err(format!("{sent} sent; client {}, web {}: {proxies:#}", more("client"), more("web-v1")))
        }
    })
    .await;
    println!("{api}: {sent} requests, each counted once by the caller and once by the callee");

    named_as_in_the_cluster(planner, &space).await;

    // The same output takes it away again, and requests pass all the time.
    let argv = ["delete", "--wait=true", "-l", "app.kubernetes.io/managed-by=foremesh"];
    let kind = match api {
        "traffic-extension" => "trafficextensions.extensions.istio.io",
        "wasm-plugin" => "wasmplugins.extensions.istio.io",
        _ => "envoyfilters.networking.istio.io",
    };
    space.kubectl(&[&argv[..2], &[kind], &argv[2..]].concat()).await.expect("it is taken away");
    let answer = space.call_from(&client, url).await.expect("a call");
    assert_eq!(answer["status"], 200, "{answer}");
}

/// The service has the name of what callers call, and its proxies their own pods and nodes.
async fn named_as_in_the_cluster(planner: &InCluster, space: &Namespace) {
    let name = space.name();
    let service = format!("web.{name}.svc.cluster.local");
    let services = planner.get("/api/v1/services").await.expect("services");
    let all = services["services"].as_array().expect("a list");
    let names: Vec<&str> = all.iter().filter_map(|of| of["id"].as_str()).collect();
    assert!(!names.iter().any(|name| name.starts_with("web-v1")), "named after its Deployment: {names:?}");
    let web = all
        .iter()
        .find(|of| of["id"] == *service)
        .unwrap_or_else(|| panic!("{service} is none of {names:?}"));
    assert_eq!(web["nodes"], serde_json::json!(["node-2"]), "{web:#}");
    assert!(web["measured"]["latency_p99_ms"].as_f64() > Some(0.0), "{web:#}");
    let proxies = planner.get("/api/v1/proxies").await.expect("proxies");
    let nodes: Vec<(&Value, &Value)> = proxies["proxies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|of| of["workload"] == format!("{name}/web-v1"))
        .map(|of| (&of["node"], &of["pod"]))
        .collect();
    let pod = space.pod("app=web").await;
    assert!(
        !nodes.is_empty() && nodes.iter().all(|(node, of)| **node == *pod.node && **of == *pod.name),
        "{nodes:?}"
    );
}

/// Counts that do not change any more.
async fn settled(planner: &InCluster, space: &Namespace) -> BTreeMap<String, u64> {
    let mut last = BTreeMap::new();
    until("counts that stay the same", SOON, async || {
        let before = observed(planner, space).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        last = observed(planner, space).await?;
        if last == before { Ok(()) } else { Err(format!("{before:?}, then {last:?}")) }
    })
    .await;
    last
}

/// Nothing is ever moved to a node of which the use is not known.
async fn use_of_nodes_is_known(planner: &InCluster) {
    until("the use of every node", SOON, async || {
        let answer = planner.get("/api/v1/nodes").await?;
        let nodes = answer["nodes"].as_array().ok_or_else(|| format!("no nodes: {answer}"))?;
        let known = nodes.iter().filter(|node| node["used_millicores"].is_f64()).count();
        if known == nodes.len() && known == NODES.len() + 1 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_counted_at_both_ends_in_each_form() {
    let planner = InCluster::start(Cluster::shared().await, "foremesh-telemetry", 8700, POLICY).await;
    use_of_nodes_is_known(&planner).await;
    reports(&planner, "by-traffic-extension", "traffic-extension", Comes::Later).await;
    reports(&planner, "by-wasm-plugin", "wasm-plugin", Comes::First).await;
    reports(&planner, "by-envoy-filter", "envoy-filter", Comes::First).await;
}
