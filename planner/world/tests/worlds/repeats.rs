//! A world repeats itself, and a move touches only what it must.

use std::collections::BTreeSet;

use foremesh_world::{Mesh, Minute, World};

use crate::samples::{mesh, minutes, world};

#[test]
fn a_seed_repeats_itself_and_another_differs() {
    let first = minutes(&mut world("sock-shop", "peak-daily", 1), 200);
    assert_eq!(first, minutes(&mut world("sock-shop", "peak-daily", 1), 200));
    assert_ne!(first, minutes(&mut world("sock-shop", "peak-daily", 2), 200));
}

#[test]
fn a_clone_tells_the_future() {
    let mut world = world("bookinfo", "neighbour-steps", 3);
    minutes(&mut world, 100);
    let foreseen = minutes(&mut world.clone(), 50);
    assert_eq!(foreseen, minutes(&mut world, 50));
}

/// Services that a move can touch: those with a replica on either node, and all that wait for one of them.
fn touched(mesh: &Mesh, world: &World, nodes: [&str; 2]) -> BTreeSet<String> {
    let inventory = world.inventory();
    let mut touched: BTreeSet<String> = inventory
        .workloads
        .iter()
        .filter(|workload| workload.replicas.iter().any(|replica| nodes.contains(&&*replica.node)))
        .map(|workload| workload.name.to_string())
        .collect();
    for _ in 0..mesh.services.len() {
        for edge in &mesh.edges {
            if touched.contains(&*mesh.services[edge.to].name) {
                touched.insert(mesh.services[edge.from].name.to_string());
            }
        }
    }
    touched
}

#[test]
fn a_move_leaves_what_it_does_not_touch_exactly_as_it_was() {
    let mesh = mesh("sock-shop");
    let mut without = world("sock-shop", "peak-daily", 1);
    let inventory = without.inventory();
    let mut candidates = Vec::new();
    for workload in &inventory.workloads {
        for node in inventory.nodes.iter().filter(|node| node.name != workload.replicas[0].node) {
            let touched = touched(&mesh, &without, [&workload.replicas[0].node, &node.name]);
            candidates.push((touched.len(), workload.name.to_string(), node.name.to_string(), touched));
        }
    }
    candidates.sort();
    let (count, workload, node, touched) = candidates.remove(0);
    assert!(count < mesh.services.len(), "every move of this mesh touches everything: {touched:?}");
    let mut with = without.clone();
    with.begin_move(&workload, 0, &node, &[50, 100]).unwrap();
    let mut differed = false;
    for _ in 0..60 {
        let (a, b) = (without.tick(), with.tick());
        for (a, b) in a.truth.services.iter().zip(&b.truth.services) {
            assert!(a == b || touched.contains(&*a.service), "{a:?} {b:?}");
            differed |= a != b;
        }
        let others = |minute: &Minute| {
            let services = minute.observed.services.iter().cloned();
            services.filter(|service| !touched.contains(&*service.service)).collect::<Vec<_>>()
        };
        assert_eq!(others(&a), others(&b));
    }
    assert!(differed, "the move of {workload} to {node} changed nothing at all");
    assert!(with.moves()[0].succeeded);
}
