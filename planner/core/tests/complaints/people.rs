//! What people want to see and to repeat.
use crate::{
    mesh::shopper,
    story::Story,
    world::{World, policy},
};
use foremesh_core::{decide::decide, inputs::OwnedInputs, report::AuditRecord};
use serde_json::json;

/// Who evicts a pod, for what reason, and with what result? A record names policy, rule, prediction, target, and every
/// node that was not taken, and can be read by machines.
#[test]
fn koordinator_196_who_moves_it_and_why() {
    let story = Story::of(&World::new());
    let text = story.explained("cart");
    for part in
        ["move cart-1 from a to", "rule shop/slow", "breach in 20 min", "forecast by", "not a:", "not c:"]
    {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
    let json = serde_json::to_string(&story.records).unwrap();
    assert_eq!(serde_json::from_str::<Vec<AuditRecord>>(&json).unwrap(), story.records);
    insta::assert_snapshot!(story);
}

/// The value, the limit and the reason should be on the object, for whoever looks for the cause.
#[test]
fn flagger_1810_show_the_values() {
    let mut world = World::new();
    world.p99("cart", |_| 15.0);
    world.node("a", |_| 300.0);
    let story = Story::of(&world);
    let record = serde_json::to_value(&story.records[0]).unwrap();
    assert!(record["seen"]["measured"]["latency_ms"].is_array(), "{record}");
    assert!(record["seen"]["verdict"].is_object(), "{record}");
    assert!(story.stays("cart").contains("250"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// To simulate one's own cluster, its state must be taken along. What a decision looked at is one document, and decides
/// the same elsewhere.
#[test]
fn kube_scheduler_simulator_141_my_own_cluster() {
    let mut world = World::new();
    // Rules of all kinds, since each must find its way through the document.
    world.policies = vec![policy(&json!({"rules": [
        {"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}},
        {"name": "hot", "predictedUsage": {"of": "node", "resource": "cpu", "above": "99%"}},
        {"name": "full", "predictedExhaustion": {"of": "node", "resource": "memory"}},
        {"name": "short", "predictedThroughput": {"belowDemandBy": "50%"}},
        {"name": "dear", "costSaving": {"atLeast": 5}},
        {"name": "down", "all": [
            {"predictedAvailability": {"below": "50%"}},
            {"predictedUsage": {"of": "workload", "resource": "memory", "above": "2Gi"}},
        ]},
    ]}))];
    let inputs = world.inputs();
    let owned = OwnedInputs {
        now: world.now,
        services: world.services.clone(),
        nodes: world.nodes.clone(),
        background: world.background.clone(),
        resources: world.resources.clone(),
        learned: world.learned.clone(),
        policies: world.policies.clone(),
        freezes: world.freezes.clone(),
        past_moves: world.past_moves.clone(),
        in_flight: world.in_flight.clone(),
        move_duration_ms: world.durations.clone(),
        settings: world.settings,
        newest: world.parent.clone().map(|parent| (parent, world.newest_generation)),
        ..OwnedInputs::new(world.snapshot.clone())
    };
    let document = serde_json::to_string(&owned).unwrap();
    let elsewhere: OwnedInputs = serde_json::from_str(&document).unwrap();
    let (here, there) = (decide(&inputs).unwrap(), decide(&elsewhere.borrow()).unwrap());
    assert!(here.plan.is_some());
    assert_eq!(serde_json::to_string(&here).unwrap(), serde_json::to_string(&there).unwrap());
    insta::assert_snapshot!(Story::of(&world));
}

/// A node that joins stays empty for ever. Who is at risk goes there.
#[test]
fn moby_24103_a_new_node_stays_empty() {
    let mut world = World::new();
    world.node("b", |_| 650.0);
    world.node("c", |_| 650.0);
    assert!(Story::of(&world).moves().is_empty(), "there was no place before");
    world.node("new", |_| 20.0);
    let story = Story::of(&world);
    assert_eq!(story.moves(), ["cart-1: a to new"]);
    insta::assert_snapshot!(story);
}

/// The only way to rebalance restarted every task. One task moves, and who is well stays.
#[test]
fn moby_28989_only_all_tasks_at_once() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 10;
    for name in ["pay", "search", "mail"] {
        world.service(&shopper(name, "c", 30.0));
        world.p99(name, |_| 15.0);
    }
    world.replica("cart", "cart-2", "c");
    let story = Story::of(&world);
    assert_eq!(story.moves().len(), 1, "{:?}", story.moves());
    assert!(story.moves()[0].starts_with("cart-1: a to "), "{:?}", story.moves());
    insta::assert_snapshot!(story);
}
