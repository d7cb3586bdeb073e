//! What else is going on, and what operators do not want to happen.
use crate::{
    story::Story,
    world::{MINUTE, NOW, World, policy},
};
use foremesh_core::{
    inputs::Freeze,
    topology::{Autoscaler, BudgetHealth, DisruptionBudget},
};
use serde_json::json;

/// While the autoscaler lowers the number of replicas, pods are evicted as duplicates: the two fight.
#[test]
fn descheduler_921_fights_the_autoscaler() {
    let mut world = World::new();
    world.workload("cart").scheduling.autoscaler = Some(autoscaler(5, true));
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("autoscaler `cart`"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);

    // An autoscaler that is content is no reason to wait.
    world.workload("cart").scheduling.autoscaler = Some(autoscaler(5, false));
    assert_eq!(Story::of(&world).moves().len(), 1);
}

/// At its highest number of replicas, the autoscaler would take a successor away again.
#[test]
fn descheduler_921_a_successor_too_many() {
    let mut world = World::new();
    world.workload("cart").scheduling.autoscaler = Some(autoscaler(1, false));
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("allows at most 1"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// A new version is being rolled out: nothing moves meanwhile.
#[test]
fn descheduler_921_a_rollout_is_under_way() {
    let mut world = World::new();
    world.workload("cart").scheduling.changing = Some("revision 7 is being rolled out".to_owned());
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("revision 7"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// The only replica was evicted and the service was away; or, with a disruption budget, it could never be moved at all. We
/// start the successor first, so a budget that allows no disruption does not keep a single replica where it is.
#[test]
fn descheduler_1558_single_replica() {
    let mut world = World::new();
    world.workload("cart").scheduling.budgets.push(DisruptionBudget {
        name: "cart".to_owned(),
        allowed_now: 0,
        health: Some(BudgetHealth { healthy: 1, wanted: 1 }),
    });
    let story = Story::of(&world);
    assert_eq!(story.moves().len(), 1);
    let ramp = &story.decision.plan.as_ref().unwrap().moves[0].ramp_percent;
    assert_eq!(ramp.last(), Some(&100), "all traffic is at the successor before the old one goes");
    insta::assert_snapshot!(story);
}

/// A budget that is broken already: something of it is unwell, and nothing is moved on top of that.
#[test]
fn karpenter_740_the_disruption_budget_is_broken() {
    let mut world = World::new();
    world.workload("cart").scheduling.budgets.push(DisruptionBudget {
        name: "cart".to_owned(),
        allowed_now: 0,
        health: Some(BudgetHealth { healthy: 1, wanted: 2 }),
    });
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("disruption budget `cart`"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// A workload with one replica that cannot have a successor beside it was evicted all the same.
#[test]
fn descheduler_786_one_replica_without_a_successor() {
    let mut world = World::new();
    world.workload("cart").scheduling.no_surge = Some("it is a member of stateful set `cart`".to_owned());
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("stateful set"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// Consolidation should follow a schedule. In a freeze nothing moves, nor shortly before one that a move would run into.
#[test]
fn karpenter_1757_consolidate_on_a_schedule() {
    let with_freeze = |from_min: i64, to_min: i64| {
        let mut world = World::new();
        world.durations.insert("cart".into(), 5 * MINUTE);
        world.freezes.push(Freeze {
            policy: "shop".into(),
            window: "sale".to_owned(),
            from: NOW.plus_ms(from_min * MINUTE),
            to: NOW.plus_ms(to_min * MINUTE),
        });
        Story::of(&world)
    };
    let story = with_freeze(-10, 60);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("freeze `sale`"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
    assert!(with_freeze(3, 60).moves().is_empty(), "it would run into the freeze");
    assert_eq!(with_freeze(10, 60).moves().len(), 1, "it is over before the freeze");
    assert_eq!(with_freeze(-60, 0).moves().len(), 1, "the freeze is over");
}

/// Different reasons should wait differently long. A policy for money rests for hours where one for latency rests for
/// minutes.
#[test]
fn aws_karpenter_2308_different_waits_by_reason() {
    let mut world = World::new();
    world.moved("cart", "c", "a", 30);
    let mut money = policy(&json!({"cooldown": "6h"}));
    money.id = "money".into();
    world.policies = vec![money];
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("rests"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
    world.policies = vec![policy(&json!({"cooldown": "15m"}))];
    assert_eq!(Story::of(&world).moves().len(), 1);
}

/// Somebody else wants to take an eviction over, or the operator wants none: a workload that is opted out stays.
#[test]
fn koordinator_1102_somebody_else_takes_it_over() {
    let mut world = World::new();
    world.workload("cart").pinned = Some("its owner moves it by hand".to_owned());
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("its owner moves it by hand"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// A dry run should be the same code: advice is the plan that would be carried out.
#[test]
fn descheduler_1584_a_dry_run_is_the_same_code() {
    let mut world = World::new();
    let done = Story::of(&world);
    world.policies = vec![policy(&json!({"mode": "recommend"}))];
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    let advised = &story.decision.recommended.as_ref().unwrap().moves[0];
    let carried_out = &done.decision.plan.as_ref().unwrap().moves[0];
    assert_eq!(advised, carried_out);
    insta::assert_snapshot!(story);
}

fn autoscaler(max_replicas: u32, scaling: bool) -> Autoscaler {
    Autoscaler { name: "cart".to_owned(), max_replicas, scaling }
}
