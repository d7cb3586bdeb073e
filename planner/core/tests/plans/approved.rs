//! A human says yes to a plan that has waited: it is carried out as it is, or refused with what has changed.
use crate::world::{MINUTE, NOW, ServiceShape, World, noon};
use foremesh_core::{
    approval::{Approval, approved},
    decide::decide,
    ids::PlanId,
    inputs::{Freeze, InFlight},
    plan::Plan,
    policy::{Mode, PastMove, ServiceGlob},
    report::Refusal,
    topology::{Replica, Tier},
    trial::TestedPlan,
};
use std::collections::BTreeMap;

const LIMIT_MS: i64 = 30 * MINUTE;

fn waiting() -> World {
    let mut world = World::new();
    world.policies[0].mode = Mode::Approve;
    world
}

fn yes() -> Approval {
    Approval { by: "ana".to_owned(), reason: "I saw it too".to_owned(), at: NOW }
}

/// `cart` far from its objective at all times, on a node with room.
pub(crate) fn quiet_cart(world: &mut World) {
    world.node("a", |_| 300.0);
    world.service(&ServiceShape {
        name: "cart",
        node: "a",
        tier: Tier::Standard,
        used_millicores: 100.0,
        rps: |_| 50.0,
        p99_ms: |_| 15.0,
    });
}

fn frozen(world: &mut World) {
    world.freezes = vec![Freeze {
        policy: "shop".into(),
        window: "sale".to_owned(),
        from: NOW.plus_ms(-MINUTE),
        to: NOW.plus_ms(10 * MINUTE),
    }];
}

fn moved(world: &mut World) {
    let replica = Replica::new("b".into(), true);
    world.workload("cart").replicas = BTreeMap::from([("cart-1".into(), replica)]);
}

fn in_flight(world: &mut World, plan: &Plan, workload: &str) {
    let flying = InFlight { workload: workload.into(), ..InFlight::of(&plan.moves[0]) };
    world.in_flight = vec![flying];
}

fn moved_before(world: &mut World) {
    world.past_moves = vec![PastMove {
        workload: "cart".into(),
        service: "cart".into(),
        from: "c".into(),
        to: "a".into(),
        started_at: NOW.plus_ms(-2 * MINUTE),
        ended_at: NOW.plus_ms(-MINUTE),
        failed: false,
        then: Vec::new(),
    }];
}

#[test]
fn an_approved_plan_is_carried_out_as_it_is_or_refused_with_what_has_changed() {
    type Change = fn(&mut World, &mut Plan);
    let cases: &[(&str, Change, Option<&str>)] = &[
        ("nothing has changed", |_, _| {}, None),
        ("another node is cheaper by now", |w, _| w.node("b", |_| 400.0), None),
        ("its policy may move by itself now", |w, _| w.policies[0].mode = Mode::Auto, None),
        ("as old as it may be", |_, p| aged(p, LIMIT_MS), None),
        ("too old", |_, p| aged(p, LIMIT_MS + 1), Some("made 30 min ago, and can be approved for 30 min")),
        (
            "a plan with the same number was begun meanwhile",
            |w, _| (w.newest_generation, w.parent) = (7, Some("plan-newer".into())),
            Some("plan `plan-newer` was begun since it was made (generation 7, this one has 7)"),
        ),
        (
            "its policy may not move any more",
            |w, _| w.policies[0].mode = Mode::Recommend,
            Some("policy `shop` is in mode recommend now"),
        ),
        (
            "nobody waives the trial, and there is nowhere to try it",
            |w, _| w.policies[0].waiver = None,
            Some("policy `shop` does not waive the trial, and there is no staging mesh"),
        ),
        ("its policy is gone", |w, _| w.policies.clear(), Some("rule `slow` of policy `shop`")),
        ("the breach is called off", |w, _| quiet_cart(w), Some("no breach of `cart` is predicted")),
        ("the target is full", |w, _| w.node("b", |_| 950.0), Some("node `b` does not take workload `cart`")),
        ("a freeze began", |w, _| frozen(w), Some("moves nothing in its freeze `sale`, which has begun")),
        ("it runs there already", |w, _| moved(w), Some("replica `cart-1` runs on `b`, not on `a`")),
        ("it is gone", |w, _| w.workload("cart").replicas.clear(), Some("is not in the snapshot")),
        ("it is moving", |w, p| in_flight(w, p, "cart"), Some("workload `cart` has more than one move")),
        (
            "as many moves as allowed are under way",
            |w, p| in_flight(w, p, "other"),
            Some("1 moves at once and 1 are in flight, but 1 at a time are allowed"),
        ),
        ("it has just moved", |w, _| moved_before(w), Some("workload `cart` may not move")),
        (
            "the snapshot is old",
            |w, _| w.snapshot.taken_at = NOW.plus_ms(-60 * MINUTE),
            Some("the snapshot is 1 h old, but at most 1 min are allowed"),
        ),
        ("somebody changed it", |_, p| p.moves[0].to = "c".into(), Some("was changed after it was made")),
    ];
    for (name, change, want) in cases {
        let mut world = waiting();
        let mut plan = decide(&world.inputs()).unwrap().awaiting_approval.unwrap();
        change(&mut world, &mut plan);
        let got = approved(plan.clone(), yes(), &world.inputs(), LIMIT_MS, None);
        match (want, got) {
            (None, Ok(tested)) => {
                assert_eq!(tested.plan(), &plan, "case {name}: exactly that plan");
                assert_eq!(tested.approval(), Some(&yes()), "case {name}");
            }
            (Some(part), Err(why)) => assert!(why.to_string().contains(part), "case {name}: {why}"),
            (_, got) => panic!("case {name}: {:?}", got.map(|tested| tested.plan().clone())),
        }
    }
}

/// As if it had been made so long ago.
fn aged(plan: &mut Plan, age_ms: i64) {
    plan.made_at = NOW.plus_ms(-age_ms);
    plan.id = plan.content_id().unwrap();
}

#[test]
fn all_that_stands_in_the_way_is_named_and_kept_as_a_refusal() {
    let mut world = waiting();
    let plan = decide(&world.inputs()).unwrap().awaiting_approval.unwrap();
    frozen(&mut world);
    moved(&mut world);
    let why = approved(plan.clone(), yes(), &world.inputs(), LIMIT_MS, None).unwrap_err();
    for part in ["freeze `sale`", "runs on `b`, not on `a`"] {
        assert!(why.to_string().contains(part), "`{part}` is missing in: {why}");
    }
    assert!(matches!(Refusal::from(&why), Refusal::Checker(_)), "{why:?}");
    let old = approved(plan, yes(), &world.inputs(), -1, None).unwrap_err();
    assert!(matches!(Refusal::from(&old), Refusal::Outdated(text) if text.contains("approveWithin")));
}

/// What waits finds the moves of mode `auto` of the same pass under way, so it is not out of date when they begin.
#[test]
fn what_waits_comes_after_what_begins_in_the_same_pass() {
    let mut world = waiting();
    world.settings.max_concurrent_moves = 2;
    world.node("d", |minute| if noon(minute) { 960.0 } else { 300.0 });
    world.service(&ServiceShape {
        name: "till",
        node: "d",
        tier: Tier::Standard,
        used_millicores: 100.0,
        rps: |_| 50.0,
        p99_ms: |minute| if noon(minute) { 400.0 } else { 15.0 },
    });
    let mut own = world.policies[0].clone();
    (own.id, own.mode) = ("till".into(), Mode::Auto);
    own.services = vec![ServiceGlob::new("till")];
    world.policies.push(own);
    let decision = decide(&world.inputs()).unwrap();
    let (begun, waits) = (decision.plan.unwrap(), decision.awaiting_approval.unwrap());
    assert_eq!((begun.generation, waits.generation), (7, 8));
    assert_eq!(waits.parent, Some(begun.id.clone()));
    assert_eq!(waits.content_id().unwrap(), waits.id);

    world.newest_generation = begun.generation;
    world.parent = Some(begun.id);
    world.in_flight = vec![InFlight::of(&begun.moves[0])];
    let tested: Result<TestedPlan, _> = approved(waits.clone(), yes(), &world.inputs(), LIMIT_MS, None);
    assert_eq!(tested.map(|tested| tested.plan().clone()), Ok(waits.clone()));

    (world.newest_generation, world.parent) = (8, Some(PlanId::new("plan-later")));
    let why = approved(waits, yes(), &world.inputs(), LIMIT_MS, None).unwrap_err().to_string();
    assert!(why.contains("plan `plan-later` was begun since"), "{why}");
}

#[test]
fn a_shift_of_traffic_is_approved_as_a_move_is() {
    let mut world = waiting();
    world.snapshot.capabilities.weights = true;
    world.workload("cart").replicas.insert("cart-2".into(), Replica::new("b".into(), true));
    let plan = decide(&world.inputs()).unwrap().awaiting_approval.unwrap();
    assert!(plan.moves[0].is_shift(), "{plan:?}");
    let tested = approved(plan.clone(), yes(), &world.inputs(), LIMIT_MS, None);
    assert_eq!(tested.map(|tested| tested.plan().clone()), Ok(plan.clone()));

    plan.moves[0].apply(&mut world.snapshot);
    let why = approved(plan, yes(), &world.inputs(), LIMIT_MS, None).unwrap_err().to_string();
    assert!(why.contains("cart"), "{why}");
}
