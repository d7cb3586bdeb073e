//! The custom resource `EventCalendar`.
use super::Definition;
use serde_json::json;

/// Its definition.
pub fn definition() -> Definition {
    Definition {
        kind: "EventCalendar",
        plural: "eventcalendars",
        short_name: "evcal",
        description: "Known events: what takes place when, and on what it has an effect.",
        columns: Vec::new(),
        spec: json!({"type": "object"}),
        status: json!({"type": "object"}),
    }
}
