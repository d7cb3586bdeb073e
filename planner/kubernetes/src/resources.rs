//! The custom resources of Foremesh, `foremesh.dev/v1alpha1`: their definitions, with schemas made of the types that files
//! are read by, and what is read of and written to their objects.
//!
//! To add one: a module with a `definition`, and its line in [`definitions`].
pub mod calendar;
mod definition;
pub mod policy;

pub use definition::{Column, Definition};

use serde_json::Value;

/// Group of all of them.
pub const GROUP: &str = "foremesh.dev";
/// Version of all of them.
pub const VERSION: &str = "v1alpha1";

/// The CustomResourceDefinitions, as they are applied to a cluster.
pub fn definitions() -> Vec<Value> {
    [policy::definition(), calendar::definition()].iter().map(Definition::manifest).collect()
}
