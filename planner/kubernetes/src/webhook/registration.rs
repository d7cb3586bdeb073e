//! What the API server is told of the webhook: nothing while nothing moves, else which pods it is for. Pure.
use super::{LOCATION_LABEL, WebhookAddress, WebhookSettings};
use crate::moving::{MOVING_NAME, Moved};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Path on which pods are asked about.
pub(super) const PLACE_PATH: &str = "/place";
/// Path, before a stamp, on which the API server is heard of.
pub(super) const PROBE_PATH: &str = "/probe/";
/// After this long the API server goes on without an answer.
const TIMEOUT_S: u32 = 2;

/// The `webhooks` of the configuration. `stamp` tells one writing of it from the next.
///
/// Two of them: for the pods of what moves, and for a dry run by which [`super::Placement::arm`] hears that the API server knows
/// this configuration and reaches the webhook. Without anything that moves there are none, so that a cluster at rest does
/// not even compare labels.
pub(super) fn webhooks(moving: &[Moved], settings: &WebhookSettings, ca_bundle: &str, stamp: &str) -> Value {
    let names: BTreeSet<(&str, &str)> =
        moving.iter().filter_map(|moved| moved.workload.as_str().split_once('/')).collect();
    if names.is_empty() {
        return json!([]);
    }
    let namespaces: BTreeSet<&str> = names.iter().map(|(namespace, _)| *namespace).collect();
    let of_namespaces = |namespaces: Value| json!([{"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}]);
    let placement = json!({
        "name": "placement.foremesh.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client(settings, ca_bundle, PLACE_PATH),
        "rules": [rule("CREATE", "pods")],
        "namespaceSelector": {
            "matchLabels": {settings.opt_in_label.as_str(): "true"},
            "matchExpressions": of_namespaces(json!(namespaces)),
        },
        // Deployments give the first label to their pods. Who has the second was here before.
        "objectSelector": {"matchExpressions": [
            {"key": "pod-template-hash", "operator": "Exists"},
            {"key": LOCATION_LABEL, "operator": "DoesNotExist"},
        ]},
        "matchConditions": [{"name": "made-for-what-moves", "expression": made_for(&names)}],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_S,
        // What a later webhook adds, such as a sidecar, changes nothing of what is decided here. `IfNeeded` would ask
        // again about each pod that gets one.
        "reinvocationPolicy": "Never",
    });
    let probe = json!({
        "name": "probe.foremesh.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client(settings, ca_bundle, &format!("{PROBE_PATH}{stamp}")),
        "rules": [rule("UPDATE", "configmaps")],
        "namespaceSelector": {"matchExpressions": of_namespaces(json!([settings.namespace]))},
        "matchConditions": [{"name": "dry-run-of-ours", "expression": format!(
            "request.name == '{MOVING_NAME}' && has(request.dryRun) && request.dryRun"
        )}],
        // Only our own dry run fails, and its error says why the webhook is not reached.
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_S,
        "reinvocationPolicy": "Never",
    });
    json!([placement, probe])
}

fn rule(operation: &str, resource: &str) -> Value {
    json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": [resource],
        "scope": "Namespaced"
    })
}

fn client(settings: &WebhookSettings, ca_bundle: &str, path: &str) -> Value {
    match &settings.address {
        WebhookAddress::Service { name, port } => {
            let service = json!({"namespace": settings.namespace, "name": name, "port": port, "path": path});
            json!({"caBundle": ca_bundle, "service": service})
        }
        WebhookAddress::Url { host, port } => {
            // An IPv6 address.
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            json!({"caBundle": ca_bundle, "url": format!("https://{host}:{port}{path}")})
        }
    }
}

/// CEL that holds for pods of a replica set that is named as a Deployment that moves names its own. Others may be named
/// so too: it spares the API server calls, and decides nothing.
fn made_for(names: &BTreeSet<(&str, &str)>) -> String {
    let prefixes: Vec<String> =
        names.iter().map(|(namespace, name)| format!("'{namespace}/{name}-'")).collect();
    format!(
        "has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(owner, \
         owner.kind == 'ReplicaSet' && [{}].exists(prefix, (request.namespace + '/' + owner.name).startsWith(prefix)))",
        prefixes.join(", ")
    )
}

/// Whether what is stored says all that is wanted. The API server adds to it what it takes for granted.
pub(super) fn says(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| stored.get(name).is_some_and(|stored| says(stored, wanted)))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len()
                && stored.iter().zip(wanted).all(|(stored, wanted)| says(stored, wanted))
        }
        _ => stored == wanted,
    }
}
