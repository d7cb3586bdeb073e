//! What a world promises whatever it plays: it repeats itself, and a move touches only what it must.

use std::path::PathBuf;

use foremesh_world::{Mesh, Minute, Refused, Scenario, World};

fn sample(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(path)
}

fn world(mesh: &str, scenario: &str, seed: u64) -> World {
    let mesh = Mesh::read(sample(&format!("meshes/{mesh}.json"))).unwrap();
    let scenario = Scenario::read(sample(&format!("scenarios/{scenario}.yaml"))).unwrap();
    World::new(&mesh, &scenario, seed).unwrap()
}

fn minutes(world: &mut World, count: usize) -> Vec<Minute> {
    (0..count).map(|_| world.tick()).collect()
}

#[test]
fn a_seed_repeats_itself_and_another_differs() {
    let first = minutes(&mut world("sock-shop", "peak-nodes", 1), 200);
    assert_eq!(first, minutes(&mut world("sock-shop", "peak-nodes", 1), 200));
    assert_ne!(first, minutes(&mut world("sock-shop", "peak-nodes", 2), 200));
}

#[test]
fn a_clone_tells_the_future() {
    let mut world = world("bookinfo", "neighbour-steps", 3);
    minutes(&mut world, 100);
    let foreseen = minutes(&mut world.clone(), 50);
    assert_eq!(foreseen, minutes(&mut world, 50));
}

#[test]
fn a_replica_that_does_not_exist_is_not_moved() {
    let mut world = world("bookinfo", "steady-days", 1);
    let refused = world.begin_move("ratings", 0, "node-1", &[]);
    assert_eq!(refused, Err(Refused::UnknownWorkload("ratings".to_owned())));
}
