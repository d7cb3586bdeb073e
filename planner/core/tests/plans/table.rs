//! One change to the small mesh at a time, and the reason that follows from it.
use crate::world::{MINUTE, NOW, ServiceShape, World, forecast_of, history, noon, policy};
use foremesh_core::{decide::decide, inputs::InFlight, topology::Tier, verify::verify};
use serde_json::json;

/// `to NODE` when cart is moved, else the reason.
fn outcome(world: &World) -> String {
    let decision = decide(&world.inputs()).unwrap();
    if let Some(plan) = &decision.plan {
        plan.moves.iter().map(|m| format!("{} to {}", m.service, m.to)).collect::<Vec<_>>().join(", ")
    } else {
        let (_, why) = decision.nothing_because.iter().find(|(s, _)| s.as_str() == "cart").unwrap();
        why.to_string()
    }
}

fn flight(workload: &str, to: &str) -> InFlight {
    InFlight {
        workload: workload.into(),
        service: workload.into(),
        replica: format!("{workload}-1").as_str().into(),
        from: "a".into(),
        to: to.into(),
        traffic: foremesh_core::plan::Traffic::WHOLE,
        shift_to: None,
    }
}

/// What has been in use on `a` besides cart, as seen for so many steps.
fn background(world: &mut World, steps: usize) {
    let forecast = forecast_of("a", "cpu_background_millicores", &history(steps, |_| 200.0));
    world.background.insert("a".into(), forecast);
}

const HUGE: ServiceShape = ServiceShape {
    name: "huge",
    node: "a",
    tier: Tier::Standard,
    used_millicores: 500.0,
    rps: |_| 50.0,
    p99_ms: |_| 15.0,
};

#[test]
fn each_reason_follows_from_one_change() {
    type Change = fn(&mut World);
    let cases: &[(&str, Change, &str)] = &[
        ("nothing changed", |_| (), "cart to b"),
        (
            "healthy",
            |w| {
                w.node("a", |_| 600.0);
                w.service(&ServiceShape { name: "cart", p99_ms: |_| 15.0, ..HUGE });
            },
            "no breach is predicted: 15.3 ms at worst against 250.0 ms, probability of a breach 0.01",
        ),
        (
            "a background that has been as low as it is for days",
            |w| background(w, 180),
            "the cause is not the node: by the use of the nodes it would reach 15.1 ms, but 403.8 ms are forecast",
        ),
        ("a background of a few steps beside days of the node", |w| background(w, 6), "cart to b"),
        (
            "mode observe",
            |w| w.policies = vec![policy(&json!({"mode": "observe"}))],
            "policy `shop` only says what it sees: its mode is observe",
        ),
        (
            "mode recommend",
            |w| w.policies = vec![policy(&json!({"mode": "recommend"}))],
            "policy `shop` only says what it would do: its mode is recommend",
        ),
        (
            "pinned",
            |w| w.workload("cart").pinned = Some("holds a licence".to_owned()),
            "workload `cart` is pinned: holds a licence",
        ),
        (
            "a replica is not ready",
            |w| w.workload("cart").replicas.values_mut().for_each(|r| r.ready = false),
            "replica `cart-1` of workload `cart` is not ready",
        ),
        (
            "no workload",
            |w| w.workload("cart").service = "other".into(),
            "no workload in the snapshot answers for it",
        ),
        (
            "old snapshot",
            |w| w.snapshot.taken_at = NOW.plus_ms(-2 * MINUTE),
            "the snapshot is 2 min old, but at most 1 min are allowed",
        ),
        (
            "snapshot from the future",
            |w| w.snapshot.taken_at = NOW.plus_ms(2 * MINUTE),
            "the snapshot is -2 min old, but at most 1 min are allowed",
        ),
        (
            "no CPU figure",
            |w| w.workload("cart").used = None,
            "what a move would bring is not known: CPU use of workload `cart` is not known; check that the platform reports it",
        ),
        (
            "no traffic now",
            |w| w.services.get_mut(&"cart".into()).unwrap().measured = None,
            "what a move would bring is not known: service `cart` has had less than 0.1 requests per second lately, too few to tell CPU per request",
        ),
        (
            "source unknown",
            |w| drop(w.nodes.remove(&"a".into())),
            "what a move would bring is not known: CPU use of node `a` is not known over the whole window",
        ),
        (
            "measured long ago",
            |w| {
                let known = w.services.get_mut(&"cart".into()).unwrap();
                known.measured.as_mut().unwrap().at = NOW.plus_ms(-6 * MINUTE);
            },
            "what a move would bring is not known: service `cart` has had less than 0.1 requests per second lately, too few to tell CPU per request",
        ),
        (
            "an old forecast of a target",
            |w| w.nodes.get_mut(&"b".into()).unwrap().as_mut().unwrap().data_age_ms = 6 * MINUTE,
            "cart to c",
        ),
        (
            "horizon too short",
            |w| {
                w.policies = vec![policy(
                    &json!({"rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "2h"}}]}),
                )];
            },
            "the future is not known: the forecast reaches 45 min ahead, but the rule looks 2 h ahead; lengthen the horizon or shorten `within`",
        ),
        (
            "a quantile that nobody forecast",
            |w| {
                w.policies = vec![policy(
                    &json!({"rules": [{"name": "slow", "predictedLatency": {"quantile": 0.5, "above": "250ms"}}]}),
                )];
            },
            "the future is not known: there is no forecast of latency_p50_ms",
        ),
        (
            "it moves already",
            |w| w.in_flight = vec![flight("cart", "b")],
            "workload `cart` is moving already",
        ),
        (
            "another one moves, and nothing more is needed",
            |w| {
                w.service(&HUGE);
                w.in_flight = vec![flight("huge", "c")];
            },
            "it is expected to keep its objective with the moves that are chosen or in flight",
        ),
        (
            "another one moves, and more is needed",
            |w| {
                w.service(&ServiceShape { node: "c", used_millicores: 50.0, ..HUGE });
                w.in_flight = vec![InFlight { from: "c".into(), ..flight("huge", "b") }];
            },
            "1 moves at the same time are allowed, and that many run or were chosen before it; then `cart` would go to `b`",
        ),
        (
            "a move in flight fills the best node",
            |w| {
                w.settings.max_concurrent_moves = 2;
                w.service(&ServiceShape { node: "c", ..HUGE });
                w.in_flight = vec![InFlight { from: "c".into(), ..flight("huge", "b") }];
            },
            "cart to c",
        ),
        (
            "load of unknown size on its way",
            |w| {
                w.settings.max_concurrent_moves = 2;
                w.in_flight = vec![flight("ghost", "b")];
            },
            "cart to c",
        ),
        ("the nearest name wins a tie", |w| w.node("a2", |_| 200.0), "cart to a2"),
        ("an expensive node", |w| w.node_mut("b").cost_per_hour = 5.0, "cart to c"),
        (
            "moving costs more than the breach",
            |w| w.settings.disruption = 5.0,
            "staying costs 66.54, the cheapest move, to `b`, costs 277.06",
        ),
        (
            "the target has its own noon",
            |w| {
                w.node("b", |m| if noon(m) { 960.0 } else { 200.0 });
            },
            "cart to c",
        ),
        (
            "a wide margin",
            |w| w.policies = vec![policy(&json!({"margin": {"target": 0.95, "gain": 0.2}}))],
            "none of the nodes can take it",
        ),
    ];
    for (name, change, want) in cases {
        let mut world = World::new();
        change(&mut world);
        assert_eq!(outcome(&world), *want, "case: {name}");
    }
}

#[test]
fn moves_of_one_pass_see_each_other() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 2;
    world.service(&ServiceShape {
        name: "huge",
        used_millicores: 120.0,
        p99_ms: |m| if noon(m) { 400.0 } else { 15.0 },
        ..HUGE
    });
    // It stays full without either of them. Each alone would fit on b; together they would pass the headroom.
    world.node("a", |m| if noon(m) { 1300.0 } else { 300.0 });
    world.node("b", |_| 500.0);
    world.node("c", |_| 510.0);
    assert_eq!(outcome(&world), "huge to b, cart to c");
    world.node("c", |_| 950.0);
    let decision = decide(&world.inputs()).unwrap();
    assert_eq!(outcome(&world), "huge to b");
    let (service, why) = &decision.nothing_because[0];
    assert_eq!((service.as_str(), why.to_string().as_str()), ("cart", "none of the nodes can take it"));
}

#[test]
fn the_cheapest_cure_may_be_a_neighbour() {
    let mut world = World::new();
    // It serves few requests and takes much CPU.
    world.service(&ServiceShape {
        name: "batch",
        tier: Tier::BestEffort,
        used_millicores: 400.0,
        rps: |_| 2.0,
        ..HUGE
    });
    let slow = |above: &str| json!([{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": above, "within": "40m"}}]);
    let mut patient = policy(&json!({"selector": {"services": ["batch"]}, "rules": slow("60s")}));
    patient.id = "patient".into();
    world.policies = vec![policy(&json!({"selector": {"services": ["cart"]}})), patient];
    let decision = decide(&world.inputs()).unwrap();
    assert_eq!(outcome(&world), "batch to b");
    let (service, why) = decision.nothing_because.iter().find(|(s, _)| s.as_str() == "cart").unwrap();
    assert_eq!(
        (service.as_str(), why.to_string().as_str()),
        ("cart", "workload `batch`, moved from `a` to `b`, is expected to cure it")
    );
    let plan = decision.plan.unwrap();
    assert_eq!(plan.moves[0].reason.on_behalf_of, Some("cart".into()));
    let cart = plan.effects.iter().find(|effect| effect.service.as_str() == "cart").unwrap();
    assert!(cart.move_ms.unwrap() < 100.0 && cart.stay_ms.unwrap() > 250.0, "{cart:?}");
    assert!(verify(plan, &world.inputs()).is_ok());
    // Nobody may be moved whom no policy is about.
    world.policies = vec![policy(&json!({"selector": {"services": ["cart"]}}))];
    assert_eq!(outcome(&world), "cart to b");
}

#[test]
fn the_replica_on_the_bad_node_moves() {
    let mut world = World::new();
    let good = world.workload("cart").replicas.values().next().unwrap().clone();
    let replicas = &mut world.workload("cart").replicas;
    replicas.insert("cart-0".into(), foremesh_core::topology::Replica { node: "b".into(), ..good });
    let decision = decide(&world.inputs()).unwrap();
    let planned = &decision.plan.unwrap().moves[0];
    assert_eq!((planned.replica.as_str(), planned.from.as_str(), planned.to.as_str()), ("cart-1", "a", "c"));
}
