//! The API `metrics.k8s.io`, which metrics-server and others serve.
use super::{Usage, UsageSource};
use crate::{error::in_full, objects::Quantity};
use async_trait::async_trait;
use foremesh_core::time::Timestamp;
use hyper::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// A snapshot does not wait for it any longer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What was measured longer ago says nothing of now. Metrics-server measures every 15 to 60 seconds.
const OLDEST_MS: i64 = 5 * 60_000;

/// Reads `metrics.k8s.io` by plain requests: it cannot be watched.
pub struct MetricsApi {
    client: kube::Client,
    /// It was said that it does not answer.
    said: AtomicBool,
}

impl fmt::Debug for MetricsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsApi").finish_non_exhaustive()
    }
}

impl MetricsApi {
    /// Through a client of the cluster.
    pub fn new(client: kube::Client) -> Self {
        Self { client, said: AtomicBool::new(false) }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, String> {
        let request = Request::get(path).body(Vec::new()).map_err(|error| in_full(&error))?;
        let answer = tokio::time::timeout(DEADLINE, self.client.request::<List<T>>(request)).await;
        match answer {
            Ok(Ok(list)) => Ok(list.items),
            Ok(Err(error)) => Err(in_full(&error)),
            Err(_) => Err(format!("no answer within {DEADLINE:?}")),
        }
    }
}

#[async_trait]
impl UsageSource for MetricsApi {
    async fn usage(&self, now: Timestamp) -> Usage {
        let (nodes, pods) = tokio::join!(self.read::<Measured>(NODES), self.read::<MeasuredPod>(PODS));
        let failed = nodes.as_ref().err().or(pods.as_ref().err());
        match failed {
            // Once, and again when it had answered meanwhile: a cluster without it is no error at every snapshot.
            Some(error) if !self.said.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    %error,
                    "CPU in use is not known: metrics.k8s.io does not answer; install metrics-server, or let the \
                     planner's account list nodes and pods of metrics.k8s.io"
                );
            }
            Some(_) => {}
            None => self.said.store(false, Ordering::Relaxed),
        }
        of(nodes.unwrap_or_default(), pods.unwrap_or_default(), now)
    }
}

/// What was measured recently enough.
fn of(nodes: Vec<Measured>, pods: Vec<MeasuredPod>, now: Timestamp) -> Usage {
    let mut usage = Usage::default();
    let recent = |at: &Time| now.ms_since(Timestamp::from_unix_ms(at.0.as_millisecond())) <= OLDEST_MS;
    for node in nodes.into_iter().filter(|node| recent(&node.timestamp)) {
        if let Some(cpu) = node.usage.cpu {
            usage.set_node(node.metadata.name, cpu.millicores());
        }
    }
    for pod in pods.into_iter().filter(|pod| recent(&pod.timestamp) && !pod.containers.is_empty()) {
        let sum: Option<f64> =
            pod.containers.iter().map(|container| container.usage.cpu.map(Quantity::millicores)).sum();
        if let Some(sum) = sum {
            usage.set_pod(pod.metadata.namespace, pod.metadata.name, sum);
        }
    }
    usage
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct Measured {
    metadata: Name,
    timestamp: Time,
    usage: Amount,
}

#[derive(Deserialize)]
struct MeasuredPod {
    metadata: Name,
    timestamp: Time,
    #[serde(default)]
    containers: Vec<MeasuredContainer>,
}

#[derive(Deserialize)]
struct MeasuredContainer {
    usage: Amount,
}

#[derive(Deserialize)]
struct Amount {
    cpu: Option<Quantity>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(rfc3339: &str) -> Timestamp {
        let time: Time = serde_json::from_value(json!(rfc3339)).unwrap();
        Timestamp::from_unix_ms(time.0.as_millisecond())
    }

    #[test]
    fn what_is_old_or_not_measured_is_missing_and_not_zero() {
        let node = |name: &str, at: &str, usage| json!({"metadata": {"name": name}, "timestamp": at, "usage": usage});
        let nodes = json!([
            node("n1", "2026-11-29T12:00:00Z", json!({"cpu": "1250m", "memory": "1Gi"})),
            node("old", "2026-11-29T11:54:00Z", json!({"cpu": "1"})),
            node("none", "2026-11-29T12:00:00Z", json!({"memory": "1Gi"})),
        ]);
        let pods = json!([
            {"metadata": {"name": "a", "namespace": "shop"}, "timestamp": "2026-11-29T12:00:00Z",
             "containers": [{"usage": {"cpu": "100m"}}, {"usage": {"cpu": "5000000n"}}]},
            {"metadata": {"name": "half", "namespace": "shop"}, "timestamp": "2026-11-29T12:00:00Z",
             "containers": [{"usage": {"cpu": "100m"}}, {"usage": {}}]},
            {"metadata": {"name": "starting", "namespace": "shop"}, "timestamp": "2026-11-29T12:00:00Z"},
        ]);
        let read = |nodes, pods| {
            of(
                serde_json::from_value(nodes).unwrap(),
                serde_json::from_value(pods).unwrap(),
                at("2026-11-29T12:00:30Z"),
            )
        };
        let usage = read(nodes, pods);
        let nodes = ["n1", "old", "none"].map(|name| usage.node(name));
        assert_eq!(nodes, [Some(1250.0), None, None]);
        let pods = ["a", "half", "starting"].map(|name| usage.pod("shop", name));
        assert_eq!(pods, [Some(105.0), None, None]);
    }
}
