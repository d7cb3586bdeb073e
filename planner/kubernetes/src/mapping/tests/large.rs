//! What a large cluster costs. Run it optimised:
//! `cargo test --release -p foremesh-kubernetes -- --ignored --nocapture large`.
use crate::{
    mapping::snapshot,
    objects::{Keep, Objects},
    settings::Conventions,
    usage::Usage,
};
use foremesh_core::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

const NODES: usize = 1_000;
const PODS: usize = 10_000;
const WORKLOADS: usize = 1_000;
const NAMESPACES: usize = 20;

/// Read from text, as from the API server.
fn read<T: Keep>(manifest: &Value) -> Arc<T> {
    Arc::new(T::keep(serde_json::from_str(&manifest.to_string()).unwrap()))
}

fn uid(of: &str, index: usize) -> String {
    format!("{of:_<8}-{index:08}-4d3c-9a8b-0123456789ab")
}

fn namespace(workload: usize) -> String {
    format!("team-{}", workload % NAMESPACES)
}

fn pod(index: usize) -> Value {
    let workload = index % WORKLOADS;
    let app = format!("service-{workload}");
    let container = |cpu: &str| {
        json!({
            "name": "main", "image": "registry.example/team/service:1.2.3",
            "env": (0..20).map(|i| json!({"name": format!("VARIABLE_{i}"), "value": "a value of the usual length"})).collect::<Vec<_>>(),
            "resources": {"requests": {"cpu": cpu, "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
        })
    };
    json!({
        "metadata": {
            "name": format!("{app}-5d4f8c7b9d-{index:05}"), "namespace": namespace(workload), "uid": uid("pod", index),
            "labels": {
                "app": app, "version": "v1", "pod-template-hash": "5d4f8c7b9d",
                "security.istio.io/tlsMode": "istio", "service.istio.io/canonical-name": app,
                "service.istio.io/canonical-revision": "v1"
            },
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(2_000)},
            "managedFields": [{"manager": "kube-controller-manager", "fieldsV1": {"f:x": "y".repeat(2_000)}}],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": uid("rs", workload), "controller": true}]
        },
        "spec": {
            "nodeName": format!("node-{}", (index * 7) % NODES),
            "containers": [container("200m"), container("100m")], "initContainers": [container("10m")],
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            ],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
            ]}},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": app}}
            }],
            "volumes": [{"name": "kube-api-access", "projected": {"sources": []}}, {"name": "tmp", "emptyDir": {}}]
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    })
}

fn objects() -> Objects {
    let mut objects = Objects::default();
    for index in 0..NODES {
        let mut node = super::shop::node(&format!("node-{index}"), ["a", "b", "c"][index % 3]);
        node["status"]["images"] =
            json!((0..50).map(|i| json!({"names": ["x".repeat(100)], "sizeBytes": i})).collect::<Vec<_>>());
        objects.nodes.push(read(&node));
    }
    objects.pods = (0..PODS).map(|index| read(&pod(index))).collect();
    for index in 0..NAMESPACES {
        objects.namespaces.push(read(&json!({"metadata": {"name": format!("team-{index}"), "labels": {"foremesh.dev/managed": "true"}}})));
    }
    for index in 0..WORKLOADS {
        let (name, namespace) = (format!("service-{index}"), namespace(index));
        objects.deployments.push(read(&json!({
            "metadata": {"name": name, "namespace": namespace, "uid": uid("deploy", index)},
            "spec": {"replicas": PODS / WORKLOADS},
            "status": {"replicas": PODS / WORKLOADS, "updatedReplicas": PODS / WORKLOADS}
        })));
        // Ten versions are kept of each.
        for old in 0..10 {
            let uid_of = if old == 0 { uid("rs", index) } else { uid("old", index * 10 + old) };
            objects.replica_sets.push(read(&json!({"metadata": {
                "name": format!("{name}-{old}"), "namespace": namespace, "uid": uid_of,
                "labels": {"app": name, "version": "v1", "pod-template-hash": format!("{old}")},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid("deploy", index), "controller": true}]
            }})));
        }
        let selector = json!({"app": name});
        objects.services.push(read(&json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": selector, "clusterIP": "10.0.0.1"}})));
        objects.budgets.push(read(&json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": {"matchLabels": selector}}, "status": {"currentHealthy": 10, "desiredHealthy": 9}})));
    }
    objects
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
#[ignore = "measures; run it alone and optimised"]
fn a_large_cluster_is_small_in_memory_and_soon_mapped() {
    let before = resident_mb();
    let objects = objects();
    let held = resident_mb() - before;
    let mut times = Vec::new();
    for _ in 0..11 {
        let start = tokio::time::Instant::now();
        let snapshot =
            snapshot(&objects, &Usage::default(), &Conventions::default(), Timestamp::from_unix_ms(7));
        times.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!((snapshot.nodes.len(), snapshot.workloads.len()), (NODES, WORKLOADS));
        let placed: usize = snapshot.workloads.values().map(|workload| workload.replicas.len()).sum();
        assert_eq!(
            (placed, snapshot.workloads.values().filter(|workload| workload.pinned.is_some()).count()),
            (PODS, 0)
        );
    }
    times.sort_by(f64::total_cmp);
    println!("held {held:.0} MB; snapshot median {:.1} ms, highest {:.1} ms", times[5], times[10]);
    assert!(held <= 300.0 && times[5] <= 50.0);
}
