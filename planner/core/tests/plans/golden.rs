//! Decisions in full, as text. A change of a decision shows as a diff that can be read.
use crate::world::{MINUTE, NOW, ServiceShape, World, noon, policy};
use foremesh_core::{
    decide::decide,
    policy::PastMove,
    report::records,
    topology::{NodeState, Tier},
};
use serde_json::json;
use std::fmt::Write as _;

/// What was decided in words, then the plans. Digests are cut out: they change with every field that is added.
fn rendered(world: &World) -> String {
    let inputs = world.inputs();
    let decision = decide(&inputs).unwrap();
    let mut text = String::new();
    for record in records(&inputs, &decision, 1) {
        text += &record.explain();
    }
    for (name, plan) in [("plan", &decision.plan), ("recommended", &decision.recommended)] {
        match plan {
            None => writeln!(text, "{name}: none").unwrap(),
            Some(plan) => {
                writeln!(text, "{name}: {}", serde_json::to_string_pretty(plan).unwrap()).unwrap();
                text = text.replace(plan.id.as_str(), "[plan id]").replace(&plan.input_digest, "[digest]");
            }
        }
    }
    text
}

#[test]
fn a_breach_is_avoided_by_moving() {
    insta::assert_snapshot!(rendered(&World::new()));
}

#[test]
fn no_node_can_take_it() {
    let mut world = World::new();
    world.node("b", |minute| if noon(minute) { 650.0 } else { 100.0 });
    world.node_mut("c").state = NodeState::Cordoned;
    world.node("d", |_| 100.0);
    world.node_mut("d").state = NodeState::Unreachable("connection refused".to_owned());
    world.node("e", |_| 100.0);
    world.nodes.remove(&"e".into());
    world.node("f", |_| 100.0);
    world.workload("cart").allowed_nodes = ["a", "b", "c", "d", "e"].map(Into::into).into();
    insta::assert_snapshot!(rendered(&world));
}

#[test]
fn the_move_would_come_too_late() {
    let mut world = World::new();
    world.durations.insert("cart".into(), 21 * MINUTE);
    insta::assert_snapshot!(rendered(&world));
}

#[test]
fn no_node_is_better_when_the_cause_is_not_the_node() {
    let mut world = World::new();
    // Latency rises every noon, but the node has CPU to spare: the code is slow, and would be anywhere.
    world.node("a", |_| 300.0);
    insta::assert_snapshot!(rendered(&world));
}

#[test]
fn a_workload_rests_after_its_moves() {
    let mut world = World::new();
    for ended_min_ago in [10, 300] {
        let ended_at = NOW.plus_ms(-ended_min_ago * MINUTE);
        world.past_moves.push(PastMove {
            failed: false,
            then: Vec::new(),
            workload: "cart".into(),
            service: "cart".into(),
            from: "b".into(),
            to: "a".into(),
            started_at: ended_at.plus_ms(-2 * MINUTE),
            ended_at,
        });
    }
    insta::assert_snapshot!(rendered(&world));
}

#[test]
fn stale_data_moves_nothing() {
    let mut world = World::new();
    world.now = NOW.plus_ms(7 * MINUTE);
    world.snapshot.taken_at = world.now;
    insta::assert_snapshot!(rendered(&world));
}

#[test]
fn too_little_history_moves_nothing() {
    let mut world = World::new();
    let new = ServiceShape {
        name: "new",
        node: "b",
        tier: Tier::Critical,
        used_millicores: 50.0,
        rps: |_| 10.0,
        p99_ms: |_| 900.0,
    };
    world.service(&new);
    world.short_history(&new, 2);
    world.policies = vec![policy(&json!({"selector": {"services": ["new"]}}))];
    insta::assert_snapshot!(rendered(&world));
}

#[test]
fn the_heavier_service_goes_first_and_advice_is_not_acted_on() {
    let mut world = World::new();
    let pay = ServiceShape {
        name: "pay",
        node: "a",
        tier: Tier::Critical,
        used_millicores: 150.0,
        rps: |_| 40.0,
        p99_ms: |minute| if noon(minute) { 600.0 } else { 20.0 },
    };
    world.service(&pay);
    world.service(&ServiceShape { name: "search", tier: Tier::BestEffort, ..pay });
    let mut advice = policy(&json!({"selector": {"services": ["search"]}, "mode": "recommend"}));
    advice.id = "advice".into();
    world.policies = vec![policy(&json!({"selector": {"services": ["cart", "pay"]}})), advice];
    insta::assert_snapshot!(rendered(&world));
}
