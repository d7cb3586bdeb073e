//! The custom resources of Foremesh, `foremesh.dev/v1alpha1`: their definitions, with schemas made of the types that files
//! are read by, and what is read of and written to their objects.
//!
//! To add one: a module with a `definition`, and its line in [`definitions`].
pub mod calendar;
mod definition;
pub mod policy;
pub mod relocation;
mod status;
mod structural;
mod validation;
mod watched;

pub use definition::{Column, Definition};
pub use structural::structural;
pub use watched::{Resources, Stored, Written};

use serde_json::Value;

/// Group of all of them.
pub const GROUP: &str = "foremesh.dev";
/// Version of all of them.
pub const VERSION: &str = "v1alpha1";

/// The `CustomResourceDefinition`s, as they are applied to a cluster.
pub fn definitions() -> Vec<Value> {
    [policy::definition(), calendar::definition(), relocation::definition()]
        .iter()
        .map(Definition::manifest)
        .collect()
}

/// Whether a kind that is watched is one of ours, which may not be defined in a cluster yet.
pub(crate) fn is_ours(plural: &str) -> bool {
    [policy::PLURAL, calendar::PLURAL].contains(&plural)
}

/// The definitions as YAML, for `kubectl apply -f -`.
///
/// # Errors
/// When one of them cannot be written, which is a fault of Foremesh.
pub fn yaml() -> Result<String, yaml_serde::Error> {
    definitions().iter().try_fold(String::new(), |mut text, definition| {
        text.push_str("---\n");
        text.push_str(&yaml_serde::to_string(definition)?);
        Ok(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../istio/crds/foremesh.yaml");

    #[test]
    fn the_rendered_definitions_are_those_in_the_repository() {
        let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
        let again = "cargo test -p foremesh-kubernetes --lib write_the_definitions -- --ignored";
        assert!(yaml().unwrap() == golden, "istio/crds/foremesh.yaml is not what is rendered; {again}");
    }

    #[test]
    #[ignore = "writes istio/crds/foremesh.yaml"]
    fn write_the_definitions() {
        std::fs::write(GOLDEN, yaml().unwrap()).unwrap();
    }
}
