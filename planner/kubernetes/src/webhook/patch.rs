//! What is done to a pod, as a JSON Patch: it only adds, and keeps what the pod has.
use super::{COST_ANNOTATION, LOCATION_LABEL};
use foremesh_core::ids::NodeId;
use serde_json::{Map, Value, json};

/// Until its promotion the new replica is the one that goes when anybody scales down.
const COST: i64 = -100;
/// The most that one preference can weigh.
const WEIGHT: i64 = 100;

const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Operations that give a pod a location, and the new replica its node and its cost.
pub(super) fn patch(pod: &Value, location: &str, node: Option<&NodeId>) -> Vec<Value> {
    let mut patch = vec![entry(pod, "labels", LOCATION_LABEL, location)];
    if let Some(node) = node {
        patch.push(entry(pod, "annotations", COST_ANNOTATION, &cost(pod)));
        patch.push(preference(pod, node));
    }
    patch
}

fn add(path: &str, value: impl Into<Value>) -> Value {
    json!({"op": "add", "path": path, "value": value.into()})
}

/// One entry of a map of the metadata, which may be missing as a whole.
fn entry(pod: &Value, map: &str, name: &str, value: &str) -> Value {
    if pod["metadata"][map].is_object() {
        return add(&format!("/metadata/{map}/{}", escaped(name)), value);
    }
    let entries: Map<String, Value> = [(name.to_owned(), value.into())].into_iter().collect();
    add(&format!("/metadata/{map}"), entries)
}

/// A name as one step of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Lower than that of the replicas beside it, which have the one of the template too.
fn cost(pod: &Value) -> String {
    let own =
        pod["metadata"]["annotations"][COST_ANNOTATION].as_str().and_then(|own| own.parse::<i32>().ok());
    let lower = own.map_or(COST, |own| (i64::from(own) + COST).min(COST));
    lower.max(i64::from(i32::MIN)).to_string()
}

/// By the node's name, not by a label that may differ from it. Weights of a node add up, so it is said as often as it
/// takes to outweigh all that the pod prefers itself.
fn preference(pod: &Value, node: &NodeId) -> Value {
    let affinity = &pod["spec"]["affinity"];
    let of_nodes = &affinity["nodeAffinity"];
    let own = of_nodes[PREFERRED].as_array().map(Vec::as_slice).unwrap_or_default();
    let weight: i64 = own.iter().filter_map(|term| term["weight"].as_i64()).sum();
    let term = json!({"weight": WEIGHT, "preference": {
        "matchFields": [{"key": "metadata.name", "operator": "In", "values": [node.as_str()]}]
    }});
    let mut terms = own.to_vec();
    terms.extend((0..=weight / WEIGHT).map(|_| term.clone()));
    if of_nodes.is_object() {
        add(&format!("/spec/affinity/nodeAffinity/{PREFERRED}"), terms)
    } else if affinity.is_object() {
        add("/spec/affinity/nodeAffinity", json!({PREFERRED: terms}))
    } else {
        add("/spec/affinity", json!({"nodeAffinity": {PREFERRED: terms}}))
    }
}
