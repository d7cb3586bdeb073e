//! Answers the API server: reads what a decision is made by, and never stands in the way.
use super::{
    decision::{decide, maker, of_namespace},
    lookup::Lookup,
    registration::{PLACE_PATH, PROBE_PATH},
    review::Request,
    server::Answers,
};
use crate::{ClusterError, moving::MovingList};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{sync::Semaphore, time::timeout};

/// Annotation by which the API server's dry run tells which configuration it used.
pub(super) const PROBED: &str = "foremesh.dev/probed";
/// The API server waits for two seconds.
const READ_WITHIN: Duration = Duration::from_millis(1500);
/// So many pods are read for at the same time, whoever connects.
const AT_ONCE: usize = 64;

/// Answers for pods and for the probe.
pub(super) struct Admission {
    moving: MovingList,
    lookup: Lookup,
    room: Semaphore,
}

impl Admission {
    pub(super) fn new(client: &Client, moving: MovingList) -> Self {
        Self { moving, lookup: Lookup::new(client.clone()), room: Semaphore::new(AT_ONCE) }
    }

    /// What is done to a new pod. What cannot be learnt leaves it as it is, with a warning; the relocator sees then that
    /// the new replica did not come.
    async fn place(&self, request: &Request) -> Vec<Value> {
        if !request.makes_pod() {
            return Vec::new();
        }
        match timeout(READ_WITHIN, self.decide(request)).await {
            Ok(Ok(patch)) => patch,
            Ok(Err(error)) => {
                tracing::warn!(%error, namespace = request.namespace, "a new pod was not placed");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!(
                    namespace = request.namespace,
                    "a new pod was not placed: the API server did not answer within {READ_WITHIN:?}"
                );
                Vec::new()
            }
        }
    }

    async fn decide(&self, request: &Request) -> Result<Vec<Value>, ClusterError> {
        let Some(maker) = maker(&request.object) else { return Ok(Vec::new()) };
        // Waiting counts as reading does.
        let _place = self.room.acquire().await;
        let namespace = &request.namespace;
        // At once: somebody waits for the pod, and most of those that are asked about are of what moves.
        let (moving, deployment, peers) = tokio::join!(
            self.moving.readable(),
            self.lookup.deployment(namespace, &maker),
            self.lookup.peers(namespace, &maker)
        );
        let mut moving = of_namespace(moving?, namespace);
        let Some(moved) = deployment?.and_then(|name| moving.remove(&name)) else { return Ok(Vec::new()) };
        if let Err(error) = &peers {
            tracing::warn!(%error, workload = %moved.workload, "a new pod is not sent to another node");
        }
        let patch = decide(&request.object, &moved, peers.as_deref().ok());
        tracing::debug!(workload = %moved.workload, ?patch, "a new pod of a workload that moves");
        Ok(patch)
    }
}

impl Answers for Admission {
    fn answer(&self, path: String, body: Bytes) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        async move {
            let request = Request::read(&body)?;
            let patch = if path == PLACE_PATH {
                self.place(&request).await
            } else if let Some(stamp) = path.strip_prefix(PROBE_PATH) {
                probed(&request.object, stamp)
            } else {
                return Err(format!("nothing is answered at {path}"));
            };
            Ok(request.allowed(&patch).to_string().into_bytes())
        }
        .boxed()
    }
}

/// Tells the dry run which configuration the API server has used: its path has the stamp.
fn probed(object: &Value, stamp: &str) -> Vec<Value> {
    if object["metadata"]["annotations"].is_object() {
        let path = format!("/metadata/annotations/{}", PROBED.replace('/', "~1"));
        vec![json!({"op": "add", "path": path, "value": stamp})]
    } else {
        vec![json!({"op": "add", "path": "/metadata/annotations", "value": {PROBED: stamp}})]
    }
}
