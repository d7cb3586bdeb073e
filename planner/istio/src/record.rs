//! What was there before, kept in an annotation of the object that was changed.
use crate::Shares;
pub(crate) use foremesh_kubernetes::mesh::RECORD as ANNOTATION;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the annotation says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Record {
    /// The host for which it was changed.
    pub(crate) host: String,
    /// The changed list of before: `spec.http` or `spec.subsets`. `None` when there was none.
    pub(crate) before: Option<Value>,
    /// Whether there were other annotations.
    pub(crate) annotated: bool,
    /// Of a rule: the route by its subsets is in force.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) routed: bool,
    /// Of a route: the shares that it has.
    #[serde(skip_serializing_if = "Shares::is_empty")]
    pub(crate) shares: Shares,
}

/// Reads it; one that makes no sense is none.
pub(crate) fn of(object: &Value) -> Option<Record> {
    let text = object.pointer("/metadata/annotations")?.get(ANNOTATION)?.as_str()?;
    serde_json::from_str(text).ok()
}

/// Writes it.
pub(crate) fn put(object: &mut Value, record: &Record) {
    let text = serde_json::to_string(record).unwrap_or_default();
    let metadata = &mut object["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = Value::Object(Map::new());
    }
    metadata["annotations"][ANNOTATION] = text.into();
}

/// Takes it off, and the map too where there was none.
pub(crate) fn take(object: &mut Value, record: Option<&Record>) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.remove(ANNOTATION);
    if annotations.is_empty() && record.is_some_and(|record| !record.annotated) {
        metadata.remove("annotations");
    }
}

/// Whether there are annotations besides ours.
pub(crate) fn annotated(object: &Value) -> bool {
    object["metadata"]["annotations"].is_object()
}
