//! The custom resource `RelocationPolicy`.
mod limits;

use super::{
    Column, Definition,
    status::{ACCEPTED, ACCEPTED_REASON, status},
    structural::structural,
    validation::apply,
};
use foremesh_core::policy::spec::{KIND, PolicySpec};
use serde_json::{Value, json};

/// Its plural, as the API server has it in addresses.
pub const PLURAL: &str = "relocationpolicies";

/// Its definition.
pub fn definition() -> Definition {
    Definition {
        kind: KIND,
        plural: PLURAL,
        short_name: "relpol",
        description: "Which services may be moved, when, and how carefully. A policy of a namespace is about services of that \
                      namespace; one of the planner's namespace may be about any. The same document may be a file of the \
                      planner.",
        columns: vec![
            Column {
                name: "Mode",
                kind: "string",
                path: ".spec.mode",
                description: "How far the policy may go.",
                wide: false,
            },
            Column {
                name: "Services",
                kind: "integer",
                path: ".status.services",
                description: "How many services it is about now.",
                wide: false,
            },
            ACCEPTED,
            ACCEPTED_REASON,
        ],
        spec: spec().0,
        status: status(&[(
            "services",
            json!({
                "type": "integer", "format": "int64",
                "description": "How many services of the mesh the selector matches now.",
            }),
        )]),
    }
}

/// The schema, and limits that found no field.
fn spec() -> (Value, Vec<String>) {
    let mut schema = structural::<PolicySpec>();
    let missing = apply(&mut schema, limits::limits());
    (schema, missing)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_limit_finds_its_field() {
        assert_eq!(super::spec().1, [""; 0]);
    }
}
