//! Decisions by tables; everything around them against an API server that is played.
mod certificates;
mod decisions;
mod registered;
mod served;

use super::*;
use crate::moving::{
    Moved, MovedPhase,
    played::{Stored, moved},
};
use foremesh_core::{
    ids::{ReplicaId, WorkloadId},
    time::Timestamp,
};
use serde_json::{Value, json};

const SECRET: &str = "/api/v1/namespaces/foremesh-system/secrets/foremesh-webhook";
const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/foremesh-placement";
/// 2026-11-29T12:00:00Z
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_953_600_000);

fn settings() -> WebhookSettings {
    let address = WebhookAddress::Service { name: "foremesh".to_owned(), port: 9443 };
    WebhookSettings::new("foremesh-system", address)
}

fn hosts(hosts: &[&str]) -> BTreeSet<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

/// A pod as its replica set asks for it.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "web-7d4-", "namespace": "shop",
            "labels": {"app": "web", "pod-template-hash": "7d4"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4", "uid": "rs", "controller": true}
            ]
        },
        "spec": {"containers": [{"name": "web", "image": "web"}]}
    })
}
