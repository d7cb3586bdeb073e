//! Moves from begin to end, and those that are refused.

use foremesh_world::{Minute, MoveId, Refused, World};

use crate::samples::{STILL, minutes, still};

#[test]
fn traffic_goes_over_in_steps_and_none_is_lost() {
    let mut without = still("bookinfo", STILL, 1);
    let workload = "details-v1";
    let entry = |world: &World| {
        let inventory = world.inventory();
        inventory.workloads.into_iter().find(|entry| &*entry.name == workload).unwrap()
    };
    let from = entry(&without).replicas[0].node.clone();
    let to = without.inventory().nodes.into_iter().map(|node| node.name).find(|node| *node != from).unwrap();
    let mut with = without.clone();
    let id = with.begin_move(workload, 0, &to, &[10, 25, 50]).unwrap();
    let mut shares = Vec::new();
    for _ in 0..20 {
        let (a, b) = (without.tick(), with.tick());
        let cpu = |minute: &Minute, node: &str| -> f64 {
            let replicas = minute.observed.replicas.iter();
            let here = replicas.filter(|it| {
                &*it.workload == workload && it.replica == 0 && (node.is_empty() || *it.node == *node)
            });
            here.map(|replica| replica.cpu_m).sum()
        };
        let load = |minute: &Minute| {
            minute.truth.services.iter().map(|service| service.load_rps).collect::<Vec<_>>()
        };
        assert_eq!(load(&a), load(&b));
        assert!((cpu(&a, "") - cpu(&b, "")).abs() < 1e-6, "{} {}", cpu(&a, ""), cpu(&b, ""));
        let share = cpu(&b, &to) / cpu(&b, "");
        shares.push((share * 100.0).round() as u8);
    }
    shares.dedup();
    assert_eq!(shares, [0, 10, 25, 50, 100]);
    let state = &with.moves()[0];
    assert_eq!((state.id, state.succeeded), (id, true));
    assert_eq!(state.ended_minute, state.ready_minute.map(|ready| ready + 4));
    assert_eq!(entry(&with).replicas[0].node, to);
}

#[test]
fn a_move_can_be_taken_back() {
    let mut without = still("bookinfo", STILL, 1);
    let inventory = without.inventory();
    let from = &inventory.workloads[0].replicas[0].node;
    let to = &inventory.nodes.iter().find(|node| node.name != *from).unwrap().name;
    let mut with = without.clone();
    let id = with.begin_move(&inventory.workloads[0].name, 0, to, &[50]).unwrap();
    for _ in 0..60 {
        without.tick();
        with.tick();
        if with.moves()[0].ready_minute.is_some() {
            break;
        }
    }
    assert!(with.abort_move(id));
    assert!(!with.abort_move(id) && !with.abort_move(MoveId(7)));
    assert_eq!(minutes(&mut without, 20), minutes(&mut with, 20));
    assert!(!with.moves()[0].succeeded && with.moves()[0].ended_minute.is_some());
    assert_eq!(with.inventory(), inventory);
}

#[test]
fn a_replica_that_never_gets_ready_leaves_everything_where_it_was() {
    let mut world = still("bookinfo", &format!("{STILL}moves: {{ failureShare: 1 }}\n"), 1);
    let inventory = world.inventory();
    let from = &inventory.workloads[0].replicas[0].node;
    let to = &inventory.nodes.iter().find(|node| node.name != *from).unwrap().name;
    world.begin_move(&inventory.workloads[0].name, 0, to, &[]).unwrap();
    minutes(&mut world, 60);
    assert!(world.moves()[0].ended_minute.is_some() && !world.moves()[0].succeeded);
    assert_eq!(world.inventory(), inventory);
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let mut world = still("bookinfo", STILL, 1);
    let inventory = world.inventory();
    let (name, from) =
        (inventory.workloads[0].name.to_string(), inventory.workloads[0].replicas[0].node.to_string());
    let to = inventory.nodes.iter().find(|node| *node.name != *from).unwrap().name.to_string();
    let refused = |world: &mut World, name: &str, replica, to: &str, ramp: &[u8]| {
        world.begin_move(name, replica, to, ramp).unwrap_err().to_string()
    };
    for (name, replica, to, ramp, says) in [
        ("ratings", 0, &*to, &[][..], "no workload `ratings`"),
        (&name, 99, &to, &[], "no replica 99"),
        (&name, 0, "node-99", &[], "no node `node-99`"),
        (&name, 0, &from, &[], "already"),
        (&name, 0, &to, &[0], "0 is not such a step"),
        (&name, 0, &to, &[50, 20], "20 is not such a step"),
    ] {
        let text = refused(&mut world, name, replica, to, ramp);
        assert!(text.contains(says), "{text}");
    }
    world.begin_move(&name, 0, &to, &[]).unwrap();
    assert_eq!(world.begin_move(&name, 0, &to, &[]), Err(Refused::Moving { workload: name, replica: 0 }));
    // Until nothing fits any more, everything goes to one node.
    let full = inventory.workloads.iter().flat_map(|workload| {
        workload.replicas.iter().map(|replica| (workload.name.to_string(), replica.replica))
    });
    let full: Vec<_> =
        full.filter_map(|(name, replica)| world.begin_move(&name, replica, &to, &[]).err()).collect();
    assert!(full.iter().any(|refused| matches!(refused, Refused::NoRoom { .. })), "{full:?}");
}
