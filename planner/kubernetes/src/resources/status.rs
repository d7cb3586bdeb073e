//! The part `status` that our resources have in common.
use super::Column;
use serde_json::{Map, Value, json};

/// Whether the planner accepts it.
pub(super) const ACCEPTED: Column = Column {
    name: "Accepted",
    kind: "string",
    path: r#".status.conditions[?(@.type=="Accepted")].status"#,
    description: "Whether the planner accepts it. What is not accepted moves nothing; the condition says why.",
    wide: false,
};

/// Why.
pub(super) const ACCEPTED_REASON: Column = Column {
    name: "Reason",
    kind: "string",
    path: r#".status.conditions[?(@.type=="Accepted")].reason"#,
    description: "Why it is accepted or not, in a word.",
    wide: true,
};

/// The schema of a status with these fields of its own.
pub(super) fn status(own: &[(&str, Value)]) -> Value {
    let mut fields = Map::new();
    fields.insert(
        "observedGeneration".to_owned(),
        json!({
            "type": "integer", "format": "int64",
            "description": "The generation (`metadata.generation`) that all of this is about.",
        }),
    );
    fields.extend(own.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
    fields.insert("conditions".to_owned(), conditions());
    json!({
        "type": "object",
        "description": "What the planner makes of it; written by the planner.",
        "properties": fields,
    })
}

fn conditions() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "array",
        "description": "`Accepted` is `True` when the planner accepts it, and `False` with every problem in its message when \
                        not. What is not accepted moves nothing.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": text("`Accepted`."),
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "`True`, `False` or `Unknown`.",
                },
                "reason": text("Why, in a word."),
                "message": text("Why, in words: what is wrong, what is allowed, and what to write instead."),
                "observedGeneration": {
                    "type": "integer", "format": "int64",
                    "description": "The generation that the condition is about.",
                },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time", "description": "When `status` changed last.",
                },
            },
        },
    })
}
