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
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// A snapshot does not wait for it any longer.
const DEADLINE: Duration = Duration::from_secs(10);

/// What was measured longer ago says nothing of now. Metrics-server measures every 15 to 60 seconds.
const OLDEST_MS: i64 = 5 * 60_000;

/// How often it is asked. Its answer has an entry for every pod of the cluster, and metrics-server has nothing newer sooner.
const ASKED_EVERY_MS: i64 = 15_000;

/// What was read longer ago than this is read again before anything is said; else a snapshot does not wait for it.
const WAITED_FOR_MS: i64 = 3 * ASKED_EVERY_MS;

/// Reads `metrics.k8s.io` by plain requests, now and then: it cannot be watched.
pub struct MetricsApi(Arc<Asked>);

struct Asked {
    client: kube::Client,
    /// It was said that it does not answer.
    said: AtomicBool,
    /// What was read last, and when that was begun.
    known: Mutex<Option<(Timestamp, Arc<Usage>)>>,
    /// It is being read.
    reading: tokio::sync::Mutex<()>,
}

impl fmt::Debug for MetricsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsApi").finish_non_exhaustive()
    }
}

impl MetricsApi {
    /// Through a client of the cluster.
    pub fn new(client: kube::Client) -> Self {
        Self(Arc::new(Asked {
            client,
            said: AtomicBool::new(false),
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }))
    }
}

impl Asked {
    /// What was read, if that is not too long ago.
    fn known(&self, now: Timestamp, within_ms: i64) -> Option<Arc<Usage>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(at, _)| now.ms_since(*at) < within_ms).map(|(_, usage)| Arc::clone(usage))
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

    async fn read_all(&self, now: Timestamp) -> Arc<Usage> {
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
        let usage = Arc::new(of(nodes.unwrap_or_default(), pods.unwrap_or_default(), now));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&usage)));
        usage
    }
}

#[async_trait]
impl UsageSource for MetricsApi {
    async fn usage(&self, now: Timestamp) -> Arc<Usage> {
        let Self(asked) = self;
        if let Some(usage) = asked.known(now, ASKED_EVERY_MS) {
            return usage;
        }
        if let Some(usage) = asked.known(now, WAITED_FOR_MS) {
            let asked = Arc::clone(asked);
            tokio::spawn(async move {
                // Who reads already reads for all.
                if let Ok(_reading) = asked.reading.try_lock() {
                    asked.read_all(now).await;
                }
            });
            return usage;
        }
        let _reading = asked.reading.lock().await;
        match asked.known(now, ASKED_EVERY_MS) {
            Some(usage) => usage,
            None => asked.read_all(now).await,
        }
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

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_now_and_then_and_a_snapshot_hardly_ever_waits_for_it() {
        let server = foremesh_played::Stored::default();
        let measured = |cpu: &str| json!({"metadata": {"name": "n1"}, "timestamp": "2026-11-29T12:00:00Z", "usage": {"cpu": cpu}});
        server.store("/apis/metrics.k8s.io/v1beta1/nodes/n1", measured("1"));
        let api = MetricsApi::new(server.client());
        let begun = at("2026-11-29T12:00:00Z");
        let asked = async |after_ms: i64| {
            let usage = api.usage(begun.plus_ms(after_ms)).await;
            // What is asked for in the background.
            tokio::time::sleep(Duration::from_millis(1)).await;
            (usage.node("n1"), server.asked().len())
        };
        assert_eq!(asked(0).await, (Some(1000.0), 2), "the first one is waited for");
        server.store("/apis/metrics.k8s.io/v1beta1/nodes/n1", measured("2"));
        assert_eq!(asked(14_999).await, (Some(1000.0), 0));
        assert_eq!(asked(15_000).await, (Some(1000.0), 2), "the answer is there the next time");
        assert_eq!(asked(16_000).await, (Some(2000.0), 0));
        server.store("/apis/metrics.k8s.io/v1beta1/nodes/n1", measured("3"));
        assert_eq!(asked(80_000).await, (Some(3000.0), 2), "what is too old is not given");
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
