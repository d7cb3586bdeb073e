//! A move is judged again just before it begins.
use crate::approved::quiet_cart;
use crate::world::{ServiceShape, World, millicores, noon, policy};
use foremesh_core::{decide::decide, plan::Move, policy::Mode, revalidate::revalidate, topology::Tier};
use serde_json::json;

fn planned(world: &World) -> Move {
    decide(&world.inputs()).unwrap().plan.unwrap().moves[0].clone()
}

#[test]
fn a_move_stands_until_what_it_was_made_for_changes() {
    type Change = fn(&mut World);
    let cases: &[(&str, Change, Option<&str>)] = &[
        ("nothing has changed", |_| {}, None),
        ("another node is cheaper by now", |w| w.node("b", |_| 400.0), None),
        ("the breach is called off", quiet_cart, Some("no breach of `cart` is predicted any more")),
        ("the target is full by now", |w| w.node("b", |_| 950.0), Some("node `b`")),
        ("it is pinned by now", |w| w.workload("cart").pinned = Some("frozen".into()), Some("frozen")),
    ];
    for (name, change, want) in cases {
        let mut world = World::new();
        let decided = planned(&world);
        assert_eq!((decided.workload.as_str(), decided.to.as_str()), ("cart", "b"));
        change(&mut world);
        let got = revalidate(&world.inputs(), &decided, Mode::Auto).map_err(|why| why.to_string());
        match want {
            None => assert_eq!(got, Ok(()), "case: {name}"),
            Some(part) => {
                let why = got.unwrap_err();
                assert!(why.contains(part), "case: {name}: {why}");
            }
        }
    }
}

#[test]
fn a_neighbours_move_stands_for_the_service_that_it_cures() {
    let mut world = World::new();
    world.service(&ServiceShape {
        name: "batch",
        node: "a",
        tier: Tier::BestEffort,
        used_millicores: 400.0,
        rps: |_| 2.0,
        p99_ms: |m| if noon(m) { 400.0 } else { 15.0 },
    });
    let slow =
        json!([{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "60s", "within": "40m"}}]);
    let mut patient = policy(&json!({"selector": {"services": ["batch"]}, "rules": slow}));
    patient.id = "patient".into();
    world.policies = vec![policy(&json!({"selector": {"services": ["cart"]}})), patient];
    let decided = planned(&world);
    assert_eq!((decided.workload.as_str(), decided.reason.on_behalf_of.is_some()), ("batch", true));
    assert_eq!(revalidate(&world.inputs(), &decided, Mode::Auto), Ok(()));
    world.node_mut("b").capacity = millicores(10.0);
    assert!(revalidate(&world.inputs(), &decided, Mode::Auto).is_err());
}
