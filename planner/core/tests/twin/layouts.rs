//! A layout and its costs, under moves.
use crate::{
    cases::Case,
    world::{ServiceShape, World, millicores, noon},
};
use foremesh_core::{
    ids::ReplicaId,
    inputs::InFlight,
    learned::{Call, Distance, TwinOutcome},
    plan::{PairWeights, Traffic},
    splitmix::SplitMix,
    topology::{Replica, Tier},
    twin::{Evaluation, KNOTS, MEDIAN, MeshModel, UPPER},
};

const CART: ServiceShape = ServiceShape {
    name: "cart",
    node: "a",
    tier: Tier::Standard,
    used_millicores: 100.0,
    rps: |_| 50.0,
    p99_ms: |minute| if noon(minute) { 400.0 } else { 15.0 },
};

/// A second service on node `b`, which calls `cart`.
fn shop() -> World {
    let mut world = World::new();
    world.service(&ServiceShape { name: "web", node: "b", used_millicores: 50.0, ..CART });
    let call = Call { callee: "cart".into(), per_request: 1.0, retries: 0.0, waits: true };
    world.learned.graph.0.insert("web".into(), vec![call]);
    world
}

#[test]
fn the_present_layout_uses_what_is_forecast() {
    let world = World::new();
    let mesh = MeshModel::build(&world.inputs());
    let evaluation = mesh.start();
    let a = mesh.node_ix(&"a".into()).unwrap();
    let highest = (0..KNOTS).map(|knot| evaluation.node_use(a, knot, MEDIAN)).fold(0.0, f64::max);
    assert!((highest - 0.96).abs() < 0.03, "{highest}");
    assert!((evaluation.node_use(a, 0, MEDIAN) - 0.3).abs() < 0.02);
}

#[test]
fn moving_from_a_full_node_to_a_quiet_one_lowers_latency_and_risk() {
    let world = shop();
    let mesh = MeshModel::build(&world.inputs());
    let mut evaluation = mesh.start();
    let cart = mesh.service_ix(&"cart".into()).unwrap();
    let web = mesh.service_ix(&"web".into()).unwrap();
    let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
    let c = mesh.node_ix(&"c".into()).unwrap();
    let before = (evaluation.expected_ms(cart).unwrap(), evaluation.expected_ms(web).unwrap());
    assert!(evaluation.risk(cart) > 0.3, "{}", evaluation.risk(cart));
    let touched: Vec<_> = evaluation.touched(replica, c).collect();
    assert_eq!(touched, [cart, web]);
    let seen = evaluation.peek(replica, c);
    assert!(seen.risk < 0.0);
    let cost = evaluation.risk_cost();
    evaluation.move_replica(replica, c);
    assert!((evaluation.risk_cost() - cost - seen.risk).abs() < 1e-9);
    assert!(evaluation.expected_ms(cart).unwrap() < before.0 / 2.0);
    assert!(evaluation.expected_ms(web).unwrap() < before.1, "who waits for it gains too");
    assert!(evaluation.risk(cart) < 0.01);
}

#[test]
fn a_move_and_back_leaves_no_trace() {
    let world = shop();
    let mesh = MeshModel::build(&world.inputs());
    let (fresh, mut moved) = (mesh.start(), mesh.start());
    let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
    let home = moved.node_of(replica);
    for node in 0..mesh.nodes() {
        let _ = moved.peek(replica, node);
        moved.move_replica(replica, node);
    }
    moved.move_replica(replica, home);
    for service in 0..mesh.services() {
        for knot in 0..KNOTS {
            assert_eq!(fresh.latency(service, knot, MEDIAN), moved.latency(service, knot, MEDIAN));
        }
    }
    assert!((fresh.risk_cost() - moved.risk_cost()).abs() < 1e-6);
}

/// Everything that a layout says, without its costs.
fn said(layout: &Evaluation<'_>) -> Vec<Option<f64>> {
    let mesh = layout.mesh();
    let of_service = |service: usize| {
        let latencies = (0..KNOTS).map(move |knot| layout.latency(service, knot, UPPER));
        latencies.chain([layout.expected_ms(service), Some(layout.risk(service))])
    };
    let uses = (0..mesh.nodes()).map(|node| Some(layout.highest_use(node, UPPER)));
    (0..mesh.services()).flat_map(of_service).chain(uses).collect()
}

#[test]
fn what_is_taken_back_or_made_after_a_look_is_as_if_computed() {
    let (mut made, mut given_up) = (0, 0);
    for seed in 0..20 {
        let case = Case::random(seed);
        let world = case.world(None);
        let mesh = MeshModel::build(&world.inputs());
        let mut random = SplitMix::new(seed);
        let mut layout = mesh.start();
        let mut path = Vec::new();
        for step in 0..60 {
            let replica = random.below(mesh.replicas());
            let (from, to) = (layout.node_of(replica), random.below(mesh.nodes()));
            let before = said(&layout);
            match random.below(4) {
                // A look, and the same move after it.
                0 => {
                    let seen = layout.peek_with(replica, to, |then, _| said(then));
                    assert_eq!(said(&layout), before, "seed {seed}, step {step}: a look leaves no trace");
                    layout.move_replica(replica, to);
                    path.push((replica, from));
                    assert_eq!(said(&layout), seen, "seed {seed}, step {step}");
                    made += usize::from(from != to);
                }
                // A look that is given up on the way, and the same move after it.
                1 => {
                    let mut left = random.below(3);
                    let spares = |_: &Evaluation<'_>, _| -> Result<(), ()> {
                        left = left.checked_sub(1).ok_or(())?;
                        Ok(())
                    };
                    let seen = layout.peek_if(replica, to, |_| Ok::<_, ()>(()), spares, |_, _| ());
                    given_up += usize::from(seen.is_err());
                    assert_eq!(
                        said(&layout),
                        before,
                        "seed {seed}, step {step}: what is given up leaves no trace"
                    );
                    layout.move_replica(replica, to);
                    path.push((replica, from));
                }
                // As many moves back as were made, at most ten, and sometimes the last of them again.
                2 => {
                    for _ in 0..random.below(10) {
                        let Some((replica, back)) = path.pop() else { break };
                        let at = layout.node_of(replica);
                        layout.move_replica(replica, back);
                        if random.below(3) == 0 {
                            layout.move_replica(replica, at);
                            path.push((replica, back));
                        }
                    }
                }
                _ => {
                    layout.move_replica(replica, to);
                    path.push((replica, from));
                }
            }
            let mut computed = mesh.start();
            for replica in 0..mesh.replicas() {
                computed.move_replica(replica, layout.node_of(replica));
            }
            assert_eq!(said(&layout), said(&computed), "seed {seed}, step {step}");
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * (1.0 + a.abs());
            assert!(near(layout.risk_cost(), computed.risk_cost()), "seed {seed}, step {step}");
            assert!(near(layout.network_cost(), computed.network_cost()), "seed {seed}, step {step}");
        }
    }
    assert!(made > 100 && given_up > 50, "{made} {given_up}");
}

#[test]
fn latency_that_cpu_does_not_explain_stays_where_it_goes() {
    // The code waits for something: measured latency is high while the node is not.
    let mut world = World::new();
    world.node("a", |_| 300.0);
    world.service(&ServiceShape { p99_ms: |_| 400.0, ..CART });
    let mesh = MeshModel::build(&world.inputs());
    let mut evaluation = mesh.start();
    let cart = mesh.service_ix(&"cart".into()).unwrap();
    let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
    let here = evaluation.expected_ms(cart).unwrap();
    assert!((here - 400.0).abs() < 40.0, "{here}");
    evaluation.move_replica(replica, mesh.node_ix(&"b".into()).unwrap());
    let there = evaluation.expected_ms(cart).unwrap();
    assert!(there > 0.97 * here, "{there} instead of {here}");
}

#[test]
fn what_is_not_known_is_never_a_reason() {
    let mut world = shop();
    world.nodes.remove(&"c".into());
    let mesh = MeshModel::build(&world.inputs());
    let mut evaluation = mesh.start();
    let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
    let c = mesh.node_ix(&"c".into()).unwrap();
    assert!(mesh.node_unknown(c).is_some());
    assert!(evaluation.node_use(c, 0, MEDIAN).is_infinite());
    let cart = mesh.service_ix(&"cart".into()).unwrap();
    evaluation.move_replica(replica, c);
    assert_eq!(evaluation.latency(cart, 0, MEDIAN), None);
    assert!(evaluation.risk(cart) > 0.99);

    // A workload of unknown load makes its target unknown, and gains nothing itself.
    let mut world = shop();
    world.workload("cart").used = None;
    let mesh = MeshModel::build(&world.inputs());
    let mut evaluation = mesh.start();
    assert!(mesh.replica_unknown(replica).is_some());
    let b = mesh.node_ix(&"b".into()).unwrap();
    assert!(evaluation.peek(replica, b).risk >= 0.0);
    evaluation.move_replica(replica, b);
    assert!(evaluation.node_use(b, 0, MEDIAN).is_infinite());
}

#[test]
fn a_limit_slows_down_before_the_node_does() {
    let latency = |limit: Option<f64>| {
        let mut world = World::new();
        world.workload("cart").cpu_limit = limit.map(millicores);
        let mesh = MeshModel::build(&world.inputs());
        let cart = mesh.service_ix(&"cart".into()).unwrap();
        mesh.start().latency(cart, 0, 6).unwrap()
    };
    assert!(latency(Some(110.0)) > latency(None));
}

#[test]
fn distance_counts_for_who_waits() {
    let mut world = shop();
    let far = Distance { mean_ms: 20.0, error_ms: 0.1, calls: 1000 };
    world.learned.proximity.nodes.push(("a".into(), "b".into(), far));
    let mesh = MeshModel::build(&world.inputs());
    let mut evaluation = mesh.start();
    assert!((evaluation.network_cost() - 50.0 * 20.0).abs() < 30.0, "{}", evaluation.network_cost());
    let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
    let b = mesh.node_ix(&"b".into()).unwrap();
    let seen = evaluation.peek(replica, b);
    assert!((seen.network + evaluation.network_cost()).abs() < 1e-3, "{seen:?}");
}

#[test]
fn half_the_traffic_is_half_the_load() {
    let mut world = World::new();
    // Half of what was on one node is on the other now.
    world.workload("cart").replicas.insert("cart-2".into(), Replica::new("b".into(), true));
    let mesh = MeshModel::build(&world.inputs());
    let mut evaluation = mesh.start();
    let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
    let [a, b] = ["a", "b"].map(|node| mesh.node_ix(&node.into()).unwrap());
    let before = [a, b].map(|node| evaluation.node_use(node, 0, MEDIAN));
    evaluation.weigh(replica, 0.0);
    assert!(evaluation.share_of(replica) == 0.0);
    assert!((before[0] - evaluation.node_use(a, 0, MEDIAN) - 0.05).abs() < 0.005);
    assert!((evaluation.node_use(b, 0, MEDIAN) - before[1] - 0.05).abs() < 0.005);
    evaluation.weigh(replica, 100.0);
    assert!((evaluation.node_use(a, 0, MEDIAN) - before[0]).abs() < 1e-6);
}

/// What the platform says of weights is what the load is taken from, and a shift that is under way counts as done.
#[test]
fn weights_of_the_snapshot_are_shares() {
    let mut world = World::new();
    world.workload("cart").replicas.insert("cart-2".into(), Replica::new("b".into(), true));
    world.workload("cart").replicas.get_mut(&ReplicaId::new("cart-1")).unwrap().weight = 300;
    let share = |world: &World| {
        let mesh = MeshModel::build(&world.inputs());
        let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
        mesh.start().share_of(replica)
    };
    assert!((share(&world) - 0.75).abs() < 1e-6);
    let traffic = Traffic::shifted(PairWeights { source: 300, target: 100 }, 50);
    world.in_flight.push(InFlight {
        workload: "cart".into(),
        service: "cart".into(),
        replica: "cart-1".into(),
        from: "a".into(),
        to: "b".into(),
        traffic,
        shift_to: Some("cart-2".into()),
    });
    assert!((share(&world) - 0.375).abs() < 1e-6);
}

/// A fault in the code makes everything slower while nothing uses more CPU. Another node does not help.
#[test]
fn a_fault_in_the_code_is_not_cured_by_a_move() {
    // Use of the source, factor on the median and on the tail, largest gain that may be predicted as a share.
    let cases = [
        ("all requests, quiet node", 0.3, 3.0, 3.0, 0.1),
        ("all requests, half full node", 0.5, 3.0, 3.0, 0.2),
        ("the tail alone, quiet node", 0.3, 1.0, 8.0, 0.35),
        ("all requests by much, busy node", 0.8, 20.0, 20.0, 0.2),
    ];
    for (name, used, median, tail, most) in cases {
        let mut world = World::new();
        world.node("b", |_| 100.0);
        let node = foremesh_core::topology::Node {
            used: Some(millicores(used * 1e3)),
            ..foremesh_core::topology::Node::new(millicores(1e3))
        };
        world.snapshot.nodes.insert("a".into(), node);
        let certain = |value: f64| {
            let steps = [value; 45];
            let minute = foremesh_core::time::Step::MINUTE;
            Ok(foremesh_core::forecast::Forecast::certain("x", "x", crate::world::NOW, minute, &steps))
        };
        world.nodes.insert("a".into(), certain(used * 1e3));
        // What processor sharing makes of 2 ms of CPU, but for the fault.
        let usual = 2.0 / (1.0 - used);
        let known = world.services.get_mut(&"cart".into()).unwrap();
        let measured = known.measured.as_mut().unwrap();
        measured.latency_ms =
            [0.7 * median, 2.3 * median, 3.0 * tail, 4.8 * tail, 7.5 * tail].map(|x| x * usual);
        let mesh = MeshModel::build(&world.inputs());
        let mut evaluation = mesh.start();
        let cart = mesh.service_ix(&"cart".into()).unwrap();
        let replica = mesh.replica_ix(&"cart".into(), &"cart-1".into()).unwrap();
        let here = evaluation.expected_ms(cart).unwrap();
        evaluation.move_replica(replica, mesh.node_ix(&"b".into()).unwrap());
        let gain = 1.0 - evaluation.expected_ms(cart).unwrap() / here;
        assert!(gain <= most, "case: {name}: a gain of {:.0} % is predicted", 100.0 * gain);
    }
}

/// What past moves taught is the spread around every prediction: the more the twin was wrong, the more risk there is
/// below the objective, and the less above it.
#[test]
fn risk_follows_how_wrong_the_twin_was_about_past_moves() {
    // Logarithm of measured over predicted latency of past moves, in turn.
    let risk = |latency_ms: f64, ratios: [f64; 2]| {
        let mut world = World::new();
        world.node("a", |_| 300.0);
        let moves = (0..20).map(|at| TwinOutcome {
            workload: "cart".into(),
            predicted_ms: 100.0,
            measured_ms: 100.0 * ratios[at % 2].exp(),
        });
        world.learned.twin.moves = moves.collect();
        let measured = world.services.get_mut(&"cart".into()).unwrap().measured.as_mut().unwrap();
        measured.latency_ms = [0.15, 0.48, 0.62, 1.0, 1.5].map(|over_p99| over_p99 * latency_ms);
        let mesh = MeshModel::build(&world.inputs());
        mesh.start().risk(mesh.service_ix(&"cart".into()).unwrap())
    };
    let (right, wrong, too_low) = ([-0.05, 0.05], [-0.4, 0.4], [0.3, 0.3]);
    // The objective is 250 ms.
    assert!(risk(200.0, right) < risk(200.0, wrong), "{} {}", risk(200.0, right), risk(200.0, wrong));
    assert!(risk(320.0, right) > risk(320.0, wrong), "{} {}", risk(320.0, right), risk(320.0, wrong));
    assert!(risk(200.0, too_low) > 0.7, "{}", risk(200.0, too_low));
}
