//! Against a real cluster with Istio, from where its pods can be reached: `-- --ignored --nocapture kubernetes::staging`.
//! The image `localhost/workload:1` must be on its nodes.
use super::*;
use crate::trial::load;
use foremesh_core::{
    policy::TrialRequest,
    time::Timestamp,
    trial::{TrialReport, TrialVerdict, judge},
    units::Quantile,
};
use foremesh_kubernetes::staging::{STAGING_NAMESPACE, space};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::{io::AsyncWriteExt, process::Command, time::Instant};

const SHOP: &str = "trial-shop";

async fn kubectl(arguments: &[&str], input: Option<Value>) -> String {
    let mut command = Command::new("kubectl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Some(input) = input {
        stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    }
    drop(stdin);
    let output =
        tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A Deployment of the demo application on node-1 with its Service, and a reference to a map of settings.
fn deployment(name: &str, env: &Value) -> Value {
    let mut env = env.as_array().unwrap().clone();
    let from = json!({"configMapKeyRef": {"name": "settings", "key": "cpu"}});
    env.push(json!({"name": "CPU_MS", "valueFrom": from}));
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
         "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name},
                             "annotations": {"traffic.sidecar.istio.io/excludeInboundPorts": "8081"}},
                "spec": {
                    "serviceAccountName": name, "enableServiceLinks": false,
                    "containers": [{
                        "name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never", "args": ["serve"],
                        "env": env, "ports": [{"name": "web", "containerPort": 8080}],
                        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8081}, "periodSeconds": 1}
                    }]
                }
            }
        }}
    ]})
}

fn order(workload: &str) -> TrialOrder {
    let request = |path: &str| TrialRequest {
        path: path.to_owned(),
        method: "GET".to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: None,
        weight: 1,
    };
    TrialOrder {
        workload: format!("{SHOP}/{workload}").as_str().into(),
        service: format!("{workload}.{SHOP}.svc.cluster.local").as_str().into(),
        source: "node-1".into(),
        target: "node-2".into(),
        requests: vec![request("/cart"), request("/cart?all=1")],
        port: None,
        callees: Callees::None,
        copy_secrets: false,
        rate_rps: 50.0,
        peak_rps: 50.0,
        pairs: 800,
        most_pairs: 1600,
        warm_up_ms: 3_000,
        start_within_ms: 90_000,
        quantile: Quantile::new(0.95).unwrap(),
        // The machine of a testbed has other things to do.
        objective_ms: 1_000.0,
        error_margin: 0.02,
        latency_factor: 1.5,
        seed: 11,
    }
}

async fn trials() -> Trials {
    let settings = KubernetesSettings::default();
    Trials::open(&settings, &StagingSettings::default()).await.unwrap()
}

/// Copies of trials, whatever kind they are.
async fn left() -> String {
    let kinds = "pods,configmaps,secrets,services,serviceaccounts";
    kubectl(&["get", kinds, "-A", "-l", foremesh_kubernetes::staging::TRIAL_LABEL, "-o", "name"], None).await
}

async fn endpoints() -> String {
    let path = "jsonpath={range .items[*]}{.metadata.name}{.endpoints[*].addresses}{.ports[*].port}{end}";
    kubectl(&["-n", SHOP, "get", "endpointslices", "-o", path], None).await
}

/// A trial during which the copy on the target has a fault, when there is one.
async fn tried(trials: &Trials, id: &str, order: &TrialOrder, fault: &str) -> TrialReport {
    let begun = Instant::now();
    let samples = if fault.is_empty() {
        trials.try_move(&id.into(), order).await.unwrap()
    } else {
        let copies = trials.staging.start(&Trials::wanted(&id.into(), order)).await.unwrap();
        let client = reqwest::Client::new();
        let at = format!("http://{}:8081/faults?{fault}", copies.target.ip());
        assert!(client.put(&at).send().await.unwrap().status().is_success(), "{at}");
        let ends = Ends { source: copies.source, target: copies.target, host: order.service.to_string() };
        load(&ends, order).await.unwrap()
    };
    let report = judge(order, &samples, Timestamp::from_unix_ms(0));
    println!("{id} after {:.1} s: {}: {}", begun.elapsed().as_secs_f64(), report.verdict.name(), report.why);
    let clearing = Instant::now();
    trials.clear(&id.into()).await.unwrap();
    println!("{id} was torn down in {:.1} s", clearing.elapsed().as_secs_f64());
    assert_eq!(left().await, "", "{id} left something");
    report
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_real_mesh_tries_moves_and_forgets_them() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let labels = json!({"istio-injection": "enabled", "foremesh.dev/managed": "true"});
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP, "labels": labels}});
    kubectl(&["apply", "-f", "-"], Some(namespace)).await;
    let data = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"cpu": "1"}});
    kubectl(&["-n", SHOP, "apply", "-f", "-"], Some(data)).await;
    kubectl(&["-n", SHOP, "apply", "-f", "-"], Some(deployment("cart", &json!([])))).await;
    let calls = json!([{"name": "CALLS", "value": "http://cart/"}]);
    kubectl(&["-n", SHOP, "apply", "-f", "-"], Some(deployment("web", &calls))).await;
    for name in ["deployment/cart", "deployment/web"] {
        kubectl(&["-n", SHOP, "rollout", "status", name, "--timeout=90s"], None).await;
    }
    let before = endpoints().await;
    let trials = trials().await;
    let error = trials.try_move(&"trial-early.0".into(), &order("cart")).await.unwrap_err().to_string();
    println!("{error}");
    assert!(error.contains("it is not there") && error.contains("foremesh install staging"), "{error}");
    for object in space(STAGING_NAMESPACE, None) {
        kubectl(&["apply", "-f", "-"], Some(object)).await;
    }
    trials.sweep().await.unwrap();

    let good = order("cart");
    let watch = async {
        // While the copies are there, production's endpoints are those of before.
        let deadline = Instant::now() + Duration::from_secs(60);
        while left().await.matches("pod/").count() < 2 {
            assert!(Instant::now() < deadline, "there are no copies");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        for _ in 0..5 {
            assert_eq!(endpoints().await, before, "production's endpoints changed");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (report, ()) = tokio::join!(tried(&trials, "trial-good.0", &good, ""), watch);
    assert_eq!(report.verdict, TrialVerdict::Pass, "{}", report.why);

    let report = tried(&trials, "trial-errors.0", &good, "error_share=0.1").await;
    assert_eq!(report.verdict, TrialVerdict::Fail, "{}", report.why);
    let report = tried(&trials, "trial-slow.0", &good, "extra_ms=3000").await;
    assert_eq!(report.verdict, TrialVerdict::Fail, "{}", report.why);

    // What it calls is out of reach, unless the policy says otherwise.
    let calling = order("web");
    let report = tried(&trials, "trial-alone.0", &calling, "").await;
    assert_eq!(report.verdict, TrialVerdict::Inconclusive, "{}", report.why);
    let calling = TrialOrder { callees: Callees::Production, ..calling };
    let report = tried(&trials, "trial-calls.0", &calling, "").await;
    assert_eq!(report.verdict, TrialVerdict::Pass, "{}", report.why);

    // Killed in the middle: nobody clears, and the next planner sweeps.
    let copies = trials.staging.start(&Trials::wanted(&"trial-killed.0".into(), &good)).await.unwrap();
    println!("killed with copies at {copies:?}");
    assert_ne!(left().await, "");
    trials.sweep().await.unwrap();
    assert_eq!(left().await, "", "the sweep left something");

    // No room, and no place at all.
    let nowhere = TrialOrder { target: "node-99".into(), start_within_ms: 20_000, ..good.clone() };
    let error = trials.try_move(&"trial-nowhere.0".into(), &nowhere).await.unwrap_err().to_string();
    println!("{error}");
    assert!(error.contains("has no place on node-99"), "{error}");
    trials.clear(&"trial-nowhere.0".into()).await.unwrap();

    assert_eq!(endpoints().await, before, "production's endpoints changed");
    assert_eq!(left().await, "");
    kubectl(&["delete", "namespace", SHOP, STAGING_NAMESPACE, "--wait=false"], None).await;
}
