//! The planner moves the only replica of a Deployment to a cheaper node, under load, without a failed request: its own
//! decision, its own webhook, weights in Istio's objects, gates on what the sidecars report.
use foremesh_tests::{
    Cluster, Namespace, WorkloadSpec,
    cluster::{InCluster, Load, NODES},
    until,
};
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);
const RATE: u64 = 200;
const LOAD_SECONDS: u64 = 130;
/// From the start of the load to the end of the move.
const MOVED_WITHIN: Duration = Duration::from_secs(125);
const SPACE: &str = "moved";
const POLICY: &str = "apiVersion: foremesh.dev/v1alpha1\nkind: RelocationPolicy\nmetadata: {name: web}\nspec:\n  \
    selector: {services: [web.moved.svc.cluster.local]}\n  mode: auto\n  ramp: [10, 50, 100]\n  \
    trial: {waivedBy: the cluster tests, reason: there is no staging mesh}\n  rules:\n  \
    - {name: slow, predictedLatency: {quantile: 0.99, above: 500ms, within: 10s}}\n  \
    - {name: cheaper, costSaving: {atLeast: 1}}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_replica_goes_to_a_cheaper_node_and_no_request_fails() {
    let cluster = Cluster::shared().await;
    let planner = InCluster::start_moving(cluster, "foremesh-moves", 8710, POLICY).await;
    let space = Namespace::meshed(cluster, SPACE).await;
    space.kubectl(&["label", "namespace", SPACE, "foremesh.dev/managed=true"]).await.expect("it is labelled");
    let host = planner.host();
    let objects = planner
        .command(&[
            "install",
            "sidecars",
            "--into",
            SPACE,
            "--planner",
            &host,
            "--module-port",
            "8700",
            "--interval",
            "1s",
        ])
        .await;
    space.apply(&objects.unwrap_or_else(|error| panic!("{error}"))).await;
    let web = WorkloadSpec::service("web");
    space.start(&[web, WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") }]).await;
    let (client, old) = (space.pod("app=client").await.name, space.pod("app=web").await);
    let template = template(&space).await;

    let options = ["--rate", &RATE.to_string(), "--seconds", &LOAD_SECONDS.to_string()];
    let mut load = Load::start(&space, &client, "http://web:8080/", &options, Duration::from_secs(180));
    for (node, _, _) in NODES {
        let cost = if node == old.node { 10 } else { 1 };
        let price = format!("foremesh.dev/cost-per-hour={cost}");
        cluster.kubectl(&["annotate", "--overwrite", "node", node, &price]).await.expect("it has a price");
    }
    let ended = until("the move to be over", MOVED_WITHIN, async || {
        let all = planner.get("/api/v1/relocations").await?;
        let said = planner.get("/api/v1/services/web.moved.svc.cluster.local").await;
        let all = all["relocations"].as_array().cloned().unwrap_or_default();
        // One of which nothing was done, because the plan was older than what was known a moment later, is made anew.
        let over = all.iter().find(|of| of["over"] == true && of["state"] != "Aborted");
        over.cloned().ok_or_else(|| format!("nothing is moved yet: {all:#?}; {said:?}"))
    })
    .await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    assert!(load.runs(), "the load ended before the move: {ended:#}");
    let result = load.finish().await;
    println!("{}", ended["history"]);
    println!(
        "{} requests, {} failed, P50 {} ms, P99 {} ms, slowest {} ms",
        result["sent"],
        result["failed"],
        result["latency_ms"]["p50"],
        result["latency_ms"]["p99"],
        result["latency_ms"]["max"]
    );
    assert_eq!(result["failed"], 0, "{:#}", result["failures"]);

    let new = space.pod("app=web").await;
    assert_ne!((&new.name, &new.node), (&old.name, &old.node), "{new:?}");
    assert_eq!(self::template(&space).await, template, "the template is as it was");
    until("nothing of the move to be left", SOON, async || {
        for kind in ["virtualservices.networking.istio.io", "destinationrules.networking.istio.io"] {
            let left = space.get(&[kind]).await?;
            if left["items"] != serde_json::json!([]) {
                return Err(left.to_string());
            }
        }
        let pod = space.get(&["pod", &new.name]).await?;
        let label = &pod["metadata"]["labels"]["foremesh.dev/location"];
        let cost = &pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
        let moving = cluster.get(&["--namespace", "foremesh-moves", "configmap", "foremesh-moving"]).await?;
        let empty = moving["data"].as_object().is_none_or(serde_json::Map::is_empty);
        if label.is_null() && cost.is_null() && empty { Ok(()) } else { Err(format!("{pod:#} {moving:#}")) }
    })
    .await;
    for (node, _, _) in NODES {
        let _ = cluster.kubectl(&["annotate", "node", node, "foremesh.dev/cost-per-hour-"]).await;
    }
}

async fn template(space: &Namespace) -> Value {
    space.get(&["deployment", "web"]).await.expect("the Deployment is there")["spec"]["template"].clone()
}
