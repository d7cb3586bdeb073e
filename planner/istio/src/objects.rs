//! The objects of the mesh that decide, as JSON, so that no field that is not known here is lost.
use crate::{Host, Kind};
use serde_json::Value;

/// What is there now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// All of the mesh.
    pub virtual_services: Vec<Value>,
    /// All of the mesh.
    pub destination_rules: Vec<Value>,
    /// Of the Gateway API; empty where it is not installed.
    pub http_routes: Vec<Value>,
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn texts<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v str> {
    list(value, pointer).iter().filter_map(Value::as_str)
}

/// How an object is called in messages.
pub(crate) fn called(kind: Kind, object: &Value) -> String {
    format!("{} {}/{}", kind.name(), namespace(object), name(object))
}

/// Whether an object is one of ours for this host, made by us and not by a user.
pub(crate) fn is_own(object: &Value, host: &Host) -> bool {
    name(object) == host.own()
        && namespace(object) == host.namespace
        && object.pointer("/metadata/labels/app.kubernetes.io~1managed-by").and_then(Value::as_str)
            == Some(crate::MANAGER)
}

/// Whether a route is for the sidecars, not for gateways only.
pub(crate) fn in_mesh(route: &Value) -> bool {
    let gateways = list(route, "/spec/gateways");
    gateways.is_empty() || gateways.iter().any(|gateway| gateway == "mesh")
}

/// Whether every namespace sees the object.
pub(crate) fn seen_by_all(object: &Value) -> bool {
    let to = list(object, "/spec/exportTo");
    to.is_empty() || to.iter().any(|namespace| namespace == "*")
}
