//! A mesh and scenarios for tests.
#![allow(clippy::unwrap_used, reason = "clippy knows only functions marked as tests, not what they share")]
use foremesh_world::{Mesh, Scenario};
use std::path::PathBuf;

/// The sample mesh of the repository with fewest services.
pub(crate) fn mesh() -> Mesh {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Mesh::read(folder.join("../../tests/meshes/bookinfo.json")).unwrap()
}

/// A scenario from its text.
pub(crate) fn scenario(text: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.yaml");
    std::fs::write(&path, text).unwrap();
    Scenario::read(path).unwrap()
}
