//! What a decision is made by, read from the API server when it is asked for.
//!
//! Nothing is watched: a watch is always a little behind, and the pod that is asked about is often made milliseconds after
//! its move was stored. Only pods of workloads that move come here, so few are read for.
use super::{
    LOCATION_LABEL,
    decision::{Maker, Peer, controller},
};
use crate::{ClusterError, error::request_failed};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{Api, Client, Resource, api::ListParams};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Then all are forgotten, which costs one request for each that is met again.
const MOST_KNOWN: usize = 4096;

/// Reads replica sets and pods.
pub(super) struct Lookup {
    client: Client,
    /// Deployment of each replica set, by the uid of the set: it never changes hands without being made anew.
    known: Mutex<HashMap<String, Option<String>>>,
}

impl Lookup {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The Deployment that a replica set belongs to, by its owner reference; `None` when it belongs to none.
    pub(super) async fn deployment(
        &self,
        namespace: &str,
        maker: &Maker,
    ) -> Result<Option<String>, ClusterError> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&maker.uid) {
            return Ok(known.clone());
        }
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), namespace);
        let found = sets.get_metadata_opt(&maker.name).await;
        let found = found.map_err(|error| failed("get", "replicasets", namespace, &error))?;
        // Another one of its name says nothing of it.
        let Some(set) = found.filter(|set| set.meta().uid.as_deref() == Some(&maker.uid)) else {
            return Ok(None);
        };
        let owners = serde_json::to_value(set.meta().owner_references.as_deref().unwrap_or_default());
        let owners = owners.unwrap_or_default();
        let owner = owners.as_array().and_then(|owners| controller(owners, "Deployment"));
        let deployment = owner.and_then(|owner| owner["name"].as_str()).map(str::to_owned);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(maker.uid.clone(), deployment.clone());
        Ok(deployment)
    }

    /// The pods of a replica set that have not ended and are not ending.
    pub(super) async fn peers(&self, namespace: &str, maker: &Maker) -> Result<Vec<Peer>, ClusterError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default()
            .labels(&format!("pod-template-hash={}", maker.revision))
            .fields("status.phase!=Succeeded,status.phase!=Failed");
        let list =
            pods.list_metadata(&params).await.map_err(|error| failed("list", "pods", namespace, &error))?;
        let made = list.items.into_iter().map(|pod| pod.metadata).filter(|meta| {
            let owners = meta.owner_references.as_deref().unwrap_or_default();
            let of_maker =
                owners.iter().any(|owner| owner.controller == Some(true) && owner.uid == maker.uid);
            of_maker && meta.deletion_timestamp.is_none()
        });
        let peer = |meta: kube::core::ObjectMeta| Peer {
            name: meta.name.unwrap_or_default(),
            location: meta.labels.and_then(|mut labels| labels.remove(LOCATION_LABEL)),
        };
        Ok(made.map(peer).collect())
    }
}

fn failed(verb: &str, plural: &str, namespace: &str, error: &kube::Error) -> ClusterError {
    let rights = format!("{verb} {plural} in all namespaces");
    request_failed(format!("{plural} of namespace {namespace}"), error, &rights)
}
