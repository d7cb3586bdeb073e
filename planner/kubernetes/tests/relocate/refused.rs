//! What is refused before anything is changed.
use super::{
    quick,
    space::{self, Space, until},
};
use foremesh_core::ids::{NodeId, WorkloadId};
use foremesh_kubernetes::{
    Cluster, ClusterSettings,
    relocate::{Relocate, RelocateError, Why},
};
use kube::Client;
use serde_json::json;
use std::{sync::Arc, time::Duration};

async fn prepare(
    cluster: &Cluster,
    relocate: &Relocate,
    namespace: &str,
    workload: &str,
    node: &str,
) -> Result<(), RelocateError> {
    // The snapshot is a moment behind what kubectl has done.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let snapshot = until("a snapshot", Duration::from_secs(120), async || {
        cluster.snapshot().await.map_err(|error| error.to_string())
    })
    .await;
    let workload = WorkloadId::new(format!("{namespace}/{workload}"));
    let outcome = relocate.prepare(&snapshot, &workload, &NodeId::new(node)).await;
    let said = outcome.as_ref().map_or_else(ToString::to_string, |()| "yes".to_owned());
    println!("{workload} to {node}: {said}");
    outcome
}

/// What cannot be moved is refused, with the reason, and nothing is changed; a budget without a disruption to give is no
/// reason.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn what_cannot_be_moved_is_refused_with_the_reason() {
    let client = Client::try_default().await.unwrap();
    let space = Space::open("w-relocate-refused", 1, "node-1", quick()).await;
    let cluster = Cluster::connect(ClusterSettings::default(), Arc::new(space::now)).await.unwrap();
    // What sends it somewhere would be one of its own rules.
    space.unsteered().await;
    space.kubectl(&["delete", "pods", "--all"]).await;
    space.settled(1).await;
    let (_, from) = space.pods().await.remove(0);
    let to = if from.as_str() == "node-1" { "node-2" } else { "node-1" };
    let (relocate, name) = (space.relocate(&client), space.name.as_str());
    let prepare = async |workload: &str, node: &str| prepare(&cluster, &relocate, name, workload, node).await;
    let before = space.get(&["deployment", "web"]).await;
    space
        .apply(&json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
        }))
        .await;
    until("the budget to be counted", Duration::from_secs(20), async || {
        let budget = space.get(&["pdb", "web"]).await;
        if budget["status"]["currentHealthy"] == 1 { Ok(()) } else { Err(budget["status"].to_string()) }
    })
    .await;
    prepare("web", to).await.unwrap();
    let why = |outcome: Result<(), RelocateError>| outcome.unwrap_err().why;
    assert!(matches!(why(prepare("web", from.as_str()).await), Why::Rejected(_)), "it runs there already");
    assert!(matches!(why(prepare("web", "control").await), Why::Rejected(_)), "its taint");
    assert_eq!(why(prepare("web", "node-9").await), Why::NoNode);
    assert_eq!(why(prepare("nothing", to).await), Why::NotFound);
    assert_eq!(why(prepare("statefulset/db", to).await), Why::NotADeployment);
    let pod = json!({"containers": [{"name": "c", "image": "localhost/workload:1", "imagePullPolicy": "Never", "args": ["idle"]}]});
    space
        .apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": name}, "spec": pod}))
        .await;
    assert_eq!(why(prepare("bare", to).await), Why::NotADeployment);
    space.kubectl(&["rollout", "pause", "deployment/web"]).await;
    assert_eq!(why(prepare("web", to).await), Why::RollingOut);
    space.kubectl(&["rollout", "resume", "deployment/web"]).await;
    let annotate = async |annotation: &str| {
        let pods = space.pods().await;
        space.kubectl(&["annotate", "--overwrite", "pod", pods[0].0.as_str(), annotation]).await;
    };
    annotate("cluster-autoscaler.kubernetes.io/safe-to-evict=false").await;
    assert!(matches!(why(prepare("web", to).await), Why::Immovable(_)));
    annotate("cluster-autoscaler.kubernetes.io/safe-to-evict-").await;
    annotate("karpenter.sh/do-not-disrupt=true").await;
    assert!(matches!(why(prepare("web", to).await), Why::Immovable(_)));
    annotate("karpenter.sh/do-not-disrupt-").await;
    space
        .apply(&json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", "namespace": name},
            "spec": {"limits": [{"type": "Container", "min": {"memory": "64Mi"}}]}
        }))
        .await;
    assert_eq!(why(prepare("web", to).await), Why::Limited);
    space.kubectl(&["delete", "limitrange", "small"]).await;
    space
        .apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": name},
            "spec": {"hard": {"pods": "2"}}
        }))
        .await;
    assert!(matches!(why(prepare("web", to).await), Why::Immovable(_)), "web and bare are two");
    space.kubectl(&["delete", "resourcequota", "full"]).await;
    prepare("web", to).await.unwrap();
    space.kubectl(&["label", "namespace", name, "foremesh.dev/managed-"]).await;
    assert_eq!(why(prepare("web", to).await), Why::NotOptedIn);
    assert_eq!(space.get(&["deployment", "web"]).await["spec"], before["spec"]);
    assert_eq!(space.list(&client).all().await.unwrap().len(), 0);
    space.close().await;
}
