//! The custom resource `RelocationPolicy`.
use super::Definition;
use serde_json::json;

/// Its definition.
pub fn definition() -> Definition {
    Definition {
        kind: "RelocationPolicy",
        plural: "relocationpolicies",
        short_name: "relpol",
        description: "Which services may be moved, when, and how carefully.",
        columns: Vec::new(),
        spec: json!({"type": "object"}),
        status: json!({"type": "object"}),
    }
}
