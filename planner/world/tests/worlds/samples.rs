//! Meshes, scenarios and worlds for the tests.

use std::path::PathBuf;

use foremesh_world::{Mesh, Minute, Scenario, World};

/// A day without noise, without losses and with caches that are always warm.
pub(crate) const STILL: &str = "
name: still
kind: steady
start: 2026-03-02T00:00:00Z
warmUp: 0m
load: { utilisation: 0.4, noise: 0 }
background: { noise: 0 }
telemetry: { noise: 0, loss: 0 }
";

/// A file of the repository's samples.
pub(crate) fn sample(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(path)
}

pub(crate) fn mesh(name: &str) -> Mesh {
    Mesh::read(sample(&format!("meshes/{name}.json"))).unwrap()
}

pub(crate) fn world(mesh_name: &str, scenario: &str, seed: u64) -> World {
    let scenario = Scenario::read(sample(&format!("scenarios/{scenario}.yaml"))).unwrap();
    World::new(&mesh(mesh_name), &scenario, seed).unwrap()
}

/// A world of a scenario text with warm caches and no start-up work.
pub(crate) fn still(mesh_name: &str, scenario: &str, seed: u64) -> World {
    let text = if scenario.contains("moves:") {
        scenario.to_owned()
    } else {
        format!("{scenario}moves: {{ coldFactor: 1, startUpCores: 0 }}\n")
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.yaml");
    std::fs::write(&path, text).unwrap();
    World::new(&mesh(mesh_name), &Scenario::read(path).unwrap(), seed).unwrap()
}

pub(crate) fn minutes(world: &mut World, count: usize) -> Vec<Minute> {
    (0..count).map(|_| world.tick()).collect()
}
