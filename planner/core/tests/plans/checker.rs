//! The checker and the twin refuse what breaks an invariant, whoever made the plan.
use crate::world::{NOW, ServiceShape, World, noon, policy};
use foremesh_core::{
    decide::decide,
    ids::PlanId,
    inputs::InFlight,
    plan::{Move, Plan},
    report::{AuditRecord, Decided, Refusal, records, refuse},
    topology::{NodeState, Tier},
    trial::{TestedPlan, Trial, waive},
    twin::simulate,
    verify::verify,
};
use serde_json::json;

fn planned(world: &World) -> Plan {
    decide(&world.inputs()).unwrap().plan.unwrap()
}

/// All violations of a plan as text; a changed plan gets the id of its new content.
fn violations(mut plan: Plan, world: &World) -> Vec<String> {
    plan.id = plan.content_id().unwrap();
    match verify(plan, &world.inputs()) {
        Ok(_) => Vec::new(),
        Err(error) => error.violations.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_planners_own_plan_goes_all_the_way() {
    let world = World::new();
    let plan = planned(&world);
    assert_eq!((plan.generation, plan.parent.as_ref()), (7, world.parent.as_ref()));
    let verified = verify(plan.clone(), &world.inputs()).unwrap();
    let simulated = simulate(verified, &world.inputs()).unwrap();
    let prediction = &simulated.predictions()[0];
    assert!((prediction.demand_core_ms - 2.0).abs() < 1e-9);
    assert!(prediction.source.worst_ms().unwrap() > 200.0, "{prediction:?}");
    assert!(prediction.target.worst_ms().unwrap() < 20.0, "{prediction:?}");
    let tested = waive(simulated, "ana", "no staging mesh", NOW);
    assert_eq!(*tested.plan(), plan);
    let want = Trial::Waived { by: "ana".to_owned(), reason: "no staging mesh".to_owned(), at: NOW };
    assert_eq!(tested.trial(0), Some(&want));
    // Through the journal and back.
    let json = serde_json::to_string(&tested).unwrap();
    assert_eq!(serde_json::from_str::<TestedPlan>(&json).unwrap(), tested);
}

#[test]
fn each_broken_invariant_is_named() {
    type Change = fn(&mut Plan, &mut World);
    let cases: &[(&str, Change, &[&str])] = &[
        ("unchanged", |_, _| (), &[]),
        ("no moves", |p, _| p.moves.clear(), &["the plan has no moves"]),
        ("old", |p, _| p.generation = 6, &["the plan has generation 6, but generation 6 was seen already"]),
        (
            "to where it is",
            |p, _| p.moves[0].to = "a".into(),
            &["replica `cart-1` would move from `a` to itself"],
        ),
        (
            "replica gone",
            |_, w| w.workload("cart").replicas.clear(),
            &["replica `cart-1` of workload `cart` is not in the snapshot"],
        ),
        (
            "replica moved",
            |_, w| w.workload("cart").replicas.values_mut().for_each(|r| r.node = "c".into()),
            &["replica `cart-1` runs on `c`, not on `a`"],
        ),
        (
            "target cordoned",
            |_, w| w.node_mut("b").state = NodeState::Cordoned,
            &["node `b` does not take workload `cart`: the node takes no new replicas"],
        ),
        (
            "target forbidden",
            |_, w| w.workload("cart").allowed_nodes = ["a".into(), "c".into()].into(),
            &["node `b` does not take workload `cart`: the workload may not run there"],
        ),
        (
            "target unheard of",
            |p, _| p.moves[0].to = "z".into(),
            &["node `z` does not take workload `cart`: the node cannot be reached: not in the snapshot"],
        ),
        (
            "falling ramp",
            |p, _| p.moves[0].ramp_percent = vec![50, 10, 100],
            &["the ramp [50, 10, 100] must rise from at least 1 and end with 100"],
        ),
        (
            "endless ramp",
            |p, _| p.moves[0].ramp_percent = vec![10, 50],
            &["the ramp [10, 50] must rise from at least 1 and end with 100"],
        ),
        (
            "empty ramp",
            |p, _| p.moves[0].ramp_percent.clear(),
            &["the ramp [] must rise from at least 1 and end with 100"],
        ),
        (
            "pinned since",
            |_, w| w.workload("cart").pinned = Some("audit".to_owned()),
            &["workload `cart` is pinned: audit"],
        ),
        (
            "other service",
            |p, _| p.moves[0].service = "pay".into(),
            &["workload `cart` answers for `cart`, not for `pay`"],
        ),
        (
            "policy gone",
            |_, w| w.policies.clear(),
            &["rule `slow` of policy `shop` does not apply to `cart` any more"],
        ),
        (
            "policy about others now",
            |_, w| w.policies = vec![policy(&json!({"selector": {"services": ["pay"]}}))],
            &["rule `slow` of policy `shop` does not apply to `cart` any more"],
        ),
        (
            "moved twice",
            |p, w| {
                w.settings.max_concurrent_moves = 2;
                let again = p.moves[0].clone();
                p.moves.push(again);
            },
            &[
                "workload `cart` has more than one move",
                "node `b` does not take workload `cart`: another replica of the workload runs there",
            ],
        ),
        (
            "too many",
            |_, w| w.in_flight = vec![flight("other", "c")],
            &["the plan has 1 moves at once and 1 are in flight, but 1 at a time are allowed"],
        ),
        (
            "moving already",
            |_, w| {
                w.settings.max_concurrent_moves = 2;
                w.in_flight = vec![flight("cart", "c")];
            },
            &["workload `cart` has more than one move"],
        ),
        (
            "target filled since",
            |_, w| w.node("b", |_| 650.0),
            &[
                "node `b` does not take workload `cart`: it needs 101 millicores, but 45 are free at the fullest moment",
            ],
        ),
        (
            "CPU unknown since",
            |_, w| w.workload("cart").used = None,
            &[
                "capacity could not be checked: CPU use of workload `cart` is not known; check that the platform reports it",
            ],
        ),
    ];
    for (name, change, want) in cases {
        let mut world = World::new();
        let mut plan = planned(&world);
        change(&mut plan, &mut world);
        assert_eq!(violations(plan, &world), *want, "case: {name}");
    }
}

fn flight(workload: &str, to: &str) -> InFlight {
    InFlight {
        workload: workload.into(),
        service: workload.into(),
        replica: "cart-1".into(),
        from: "a".into(),
        to: to.into(),
        traffic: foremesh_core::plan::Traffic::WHOLE,
        shift_to: None,
    }
}

#[test]
fn a_plan_that_was_changed_is_refused() {
    let world = World::new();
    let mut plan = planned(&world);
    plan.moves[0].to = "c".into();
    let error = verify(plan, &world.inputs()).unwrap_err();
    assert_eq!(error.violations.len(), 1);
    assert!(error.to_string().contains("was changed after it was made"), "{error}");
    let mut nameless = planned(&world);
    nameless.id = PlanId::new("");
    assert!(verify(nameless, &world.inputs()).is_err());
}

#[test]
fn a_refused_plan_is_recorded_as_refused() {
    let mut world = World::new();
    let decision = decide(&world.inputs()).unwrap();
    let mut trail = records(&world.inputs(), &decision, 1);
    let plan = decision.plan.unwrap();
    world.workload("cart").pinned = Some("audit".to_owned());
    let error = verify(plan.clone(), &world.inputs()).unwrap_err();
    refuse(&mut trail, &PlanId::new("plan-other"), &Refusal::Executor("unrelated".to_owned()));
    assert!(matches!(trail[0].decided, Decided::Move(_)), "another plan was refused");
    refuse(&mut trail, &plan.id, &Refusal::Checker(error));
    let first = trail[0].explain().lines().next().unwrap().replace(plan.id.as_str(), "[plan]");
    assert_eq!(
        first,
        "cart: not moved: cart-1 from a to b ([plan]), because the checker refused it: plan `[plan]` breaks 1 invariants, first: workload `cart` is pinned: audit"
    );
    let json = serde_json::to_string(&trail).unwrap();
    assert_eq!(serde_json::from_str::<Vec<AuditRecord>>(&json).unwrap(), trail);
}

#[test]
fn only_quiet_records_of_one_kind_repeat() {
    let record = |world: &World| records(&world.inputs(), &decide(&world.inputs()).unwrap(), 1).remove(0);
    let (moved, mut pinned, mut late) = (record(&World::new()), World::new(), World::new());
    pinned.workload("cart").pinned = Some("audit".to_owned());
    late.durations.insert("cart".into(), 3_600_000);
    let pinned_first = record(&pinned);
    pinned.workload("cart").pinned = Some("other words".to_owned());
    assert!(record(&pinned).repeats(&pinned_first));
    assert!(!record(&late).repeats(&pinned_first));
    assert!(!moved.repeats(&moved));
}

#[test]
fn the_checker_refuses_a_breach_on_the_target_and_what_it_does_not_know() {
    type Change = fn(&mut World);
    let cases: &[(&str, Change, &str)] = &[
        (
            "the target got a noon of its own",
            |w| w.node("b", |m| if noon(m) { 860.0 } else { 200.0 }),
            "service `cart` would reach",
        ),
        (
            "the target would be full",
            |w| w.node("b", |m| if noon(m) { 990.0 } else { 200.0 }),
            "node `b` does not take workload `cart`: its CPU would be full: 110 % in use",
        ),
        (
            "nothing is known of the target",
            |w| drop(w.nodes.remove(&"b".into())),
            "node `b` does not take workload `cart`: its CPU use is not known over the whole window",
        ),
    ];
    for (name, change, want) in cases {
        let mut world = World::new();
        let plan = planned(&world);
        change(&mut world);
        // The headroom would catch these first.
        world.settings.max_utilisation = 9.0;
        let error = verify(plan, &world.inputs()).unwrap_err();
        assert!(error.violations[0].to_string().starts_with(want), "case: {name}: {:?}", error.violations);
    }
}

/// `big` stands where `cart` is to go, and there is room for one of them; a plan for `cart`, and a move of `big` to `c`.
fn crowded() -> (World, Plan, Move) {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 2;
    let shape = |name, node, used_millicores| ServiceShape {
        name,
        node,
        tier: Tier::Standard,
        used_millicores,
        rps: |_| 50.0,
        p99_ms: |_| 15.0,
    };
    world.service(&shape("big", "b", 150.0));
    let mut plan = planned(&world);
    let mut makes_room = plan.moves[0].clone();
    makes_room.workload = "big".into();
    makes_room.service = "big".into();
    makes_room.replica = "big-1".into();
    (makes_room.from, makes_room.to) = ("b".into(), "c".into());
    plan.moves[0].to = "b".into();
    world.node("b", |_| 640.0);
    (world, plan, makes_room)
}

/// What is made for a policy is held to its guard rails, whoever moves, and however the moves wait for one another.
#[test]
fn the_policy_that_asks_is_held_to_its_limits() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("no limits", "{}", &[]),
        (
            "a budget that would do for one",
            r#"{"perDay": 1}"#,
            &[
                "policy `shop` allows 1 moves in 24 h, and 1 were made, run or are chosen; wait, or raise `limits.perDay`",
            ],
        ),
        (
            "a budget that a limit of moves at once must not hide",
            r#"{"perDay": 1, "concurrent": {"perWorkload": 1, "all": 1}}"#,
            &[
                "policy `shop` allows 1 moves in 24 h, and 1 were made, run or are chosen; wait, or raise `limits.perDay`",
            ],
        ),
    ];
    for (name, limits, want) in cases {
        let (mut world, mut plan, mut makes_room) = crowded();
        let limits: serde_json::Value = serde_json::from_str(limits).unwrap();
        // Another policy would let `big` move as often as it likes.
        let mut other = policy(&json!({"selector": {"services": ["big"]}}));
        other.id = "other".into();
        world.policies = vec![policy(&json!({"limits": limits})), other];
        makes_room.reason.on_behalf_of = Some("cart".into());
        plan.moves.insert(0, makes_room);
        plan.moves[1].after = vec!["big".into()];
        let said = violations(plan, &world);
        assert_eq!(said.len(), want.len(), "case: {name}: {said:?}");
        for (said, want) in said.iter().zip(*want) {
            assert!(said.ends_with(want), "case: {name}: {said}");
        }
    }
}

#[test]
fn a_plan_says_what_waits_for_what() {
    let (world, plan, makes_room) = crowded();
    let room = "node `b` does not take workload `cart`: it needs 101 millicores, but 55 are free at the fullest moment";
    let cases: &[(&str, bool, &[&str], &[&str])] = &[
        ("side by side", true, &[], &[room]),
        ("one after the other", true, &["big"], &[]),
        (
            "after one that comes later",
            false,
            &["big"],
            &[
                "the move of workload `cart` waits for one of `big`, but none comes before it in the plan",
                room,
            ],
        ),
    ];
    for (name, first, after, want) in cases {
        let mut plan = plan.clone();
        plan.moves.insert(usize::from(!first), makes_room.clone());
        plan.moves[usize::from(*first)].after = after.iter().map(|name| (*name).into()).collect();
        assert_eq!(violations(plan, &world), *want, "case: {name}");
    }
}

#[test]
fn single_requests_confirm_a_move() {
    let world = World::new();
    let simulated = simulate(verify(planned(&world), &world.inputs()).unwrap(), &world.inputs()).unwrap();
    let confirmed = simulated.predictions()[0].confirmed.unwrap();
    assert!(confirmed.requests > 5_000, "{confirmed:?}");
    assert!(confirmed.target_ms < confirmed.source_ms / 3.0, "{confirmed:?}");
}
