//! Rules that are not about latency, modes, guard rails and priorities, up to the plan.
use crate::world::{MINUTE, NOW, ServiceShape, World, noon, policy};
use foremesh_core::{
    decide::decide,
    inputs::Freeze,
    placement::NothingBecause,
    policy::{Mode, NotPermitted},
    report::{Decided, checked, records},
    topology::Tier,
    trial::owe,
    verify::{Violation, verify},
};
use serde_json::{Value, json};

const LATENCY: &str =
    r#"{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}}"#;

/// The usual policy with another rule in front of that for latency.
fn with_rule(rule: &Value) -> Value {
    json!({"rules": [rule, serde_json::from_str::<Value>(LATENCY).unwrap()]})
}

fn cart(node: &'static str, p99_ms: fn(usize) -> f64) -> ServiceShape {
    ServiceShape { name: "cart", node, tier: Tier::Standard, used_millicores: 100.0, rps: |_| 50.0, p99_ms }
}

#[test]
fn a_full_node_is_left_though_latency_is_fine() {
    let mut world = World::new();
    world.node("a", |minute| if noon(minute) { 900.0 } else { 300.0 });
    world.service(&cart("a", |_| 15.0));
    let usage = json!({"of": "node", "resource": "cpu", "above": "85%", "within": "40m"});
    world.policies = vec![policy(&with_rule(&json!({"name": "full", "predictedUsage": usage})))];
    let inputs = world.inputs();
    let decision = decide(&inputs).unwrap();
    let plan = decision.plan.clone().expect("a plan");
    let planned = &plan.moves[0];
    assert_eq!((planned.to.as_str(), planned.reason.rule.as_str()), ("b", "full"));
    assert!(
        (planned.reason.objective_ms - 250.0).abs() < 1e-9,
        "the target is held to the latency objective"
    );
    let text = records(&inputs, &decision, 1)[0].explain();
    assert!(text.contains("rule shop/full (limit 85 %): breach in 20 min, 9"), "{text}");
    assert!(text.contains("for node `a`"), "{text}");
    verify(plan, &inputs).expect("the checker agrees");
}

/// Two objectives at different quantiles: the one that fires could be kept elsewhere, the other one nowhere.
#[test]
fn a_move_must_keep_the_objective_that_is_nearest_to_being_missed() {
    let rule = |quantile: f64, above: &str| json!({"name": "other", "predictedLatency": {"quantile": quantile, "above": above, "within": "40m"}});
    let cases = [
        ("a median that is kept", vec![rule(0.5, "100ms")], true),
        ("a median that is not", vec![rule(0.5, "1ms")], false),
        (
            "a stricter one at the same quantile, and a lower one at another",
            vec![rule(0.5, "5ms"), rule(0.99, "8ms")],
            false,
        ),
    ];
    for (name, others, moves) in cases {
        let mut world = World::new();
        for (at, other) in others.into_iter().enumerate() {
            let mut more = policy(&json!({"mode": "observe", "rules": [other]}));
            more.id = format!("more-{at}").as_str().into();
            world.policies.push(more);
        }
        let decision = decide(&world.inputs()).unwrap();
        assert_eq!(decision.plan.is_some(), moves, "case: {name}: {:?}", decision.nothing_because);
        if let Some(plan) = decision.plan {
            verify(plan, &world.inputs()).expect("the checker agrees");
        }
    }
}

#[test]
fn without_an_objective_nothing_is_moved() {
    let mut world = World::new();
    let usage = json!({"of": "node", "resource": "cpu", "above": "85%", "within": "40m"});
    world.policies = vec![policy(&json!({"rules": [{"name": "full", "predictedUsage": usage}]}))];
    let decision = decide(&world.inputs()).unwrap();
    assert_eq!(decision.plan, None);
    assert_eq!(decision.nothing_because, [("cart".into(), NothingBecause::NoObjective)]);
}

#[test]
fn money_moves_a_healthy_service_only_when_it_saves_enough() {
    for (price_a, at_least, moves) in [(1.0, 0.5, true), (0.6, 0.5, false), (0.1, 0.5, false)] {
        let mut world = World::new();
        world.node("a", |_| 300.0);
        world.service(&cart("a", |_| 15.0));
        for (node, price) in [("a", price_a), ("b", 0.2), ("c", 2.0)] {
            world.node_mut(node).cost_per_hour = price;
        }
        // Half a unit of money per hour outweighs the disturbance of the move, one request per second.
        world.settings.requests_per_money = 10.0;
        world.policies =
            vec![policy(&with_rule(&json!({"name": "cheaper", "costSaving": {"atLeast": at_least}})))];
        let decision = decide(&world.inputs()).unwrap();
        let to = decision.plan.as_ref().map(|plan| plan.moves[0].to.as_str());
        assert_eq!(to, moves.then_some("b"), "{price_a}: {:?}", decision.nothing_because);
        // The twin predicts nothing of a move that no objective of latency asks for, and yet it is waived.
        if let Some(plan) = decision.plan {
            let simulated = checked(plan, &world.inputs()).unwrap();
            let tested = owe(simulated, &world.inputs(), None).unwrap();
            assert_eq!(tested.prediction_of(&tested.plan().moves[0]), None);
            assert!(tested.trial(0).unwrap().permits());
        }
    }
}

#[test]
fn a_plan_in_mode_approve_waits() {
    let mut world = World::new();
    world.policies[0].mode = Mode::Approve;
    let inputs = world.inputs();
    let decision = decide(&inputs).unwrap();
    assert_eq!((&decision.plan, &decision.recommended), (&None, &None));
    let waiting = decision.awaiting_approval.as_ref().expect("a plan");
    assert_eq!(waiting.moves[0].to.as_str(), "b");
    let record = &records(&inputs, &decision, 1)[0];
    assert!(matches!(record.decided, Decided::AwaitingApproval(_)), "{record:?}");
    assert!(
        record.explain().starts_with("cart: waits for approval: move cart-1 from a to b ("),
        "{}",
        record.explain()
    );
    let command = format!("`foremesh approve {}` carries it out", waiting.id);
    assert!(record.explain().contains(&command), "{}", record.explain());
    let written = serde_json::to_value(record).unwrap();
    assert_eq!(written["decided"]["decision"], "awaiting_approval");
}

#[test]
fn a_freeze_holds_for_decisions_and_for_plans_made_before_it() {
    let mut world = World::new();
    let plan = decide(&world.inputs()).unwrap().plan.expect("a plan");
    let freeze = |from: i64, to: i64| Freeze {
        policy: "shop".into(),
        window: "night".to_owned(),
        from: NOW.plus_ms(from * MINUTE),
        to: NOW.plus_ms(to * MINUTE),
    };
    world.freezes = vec![freeze(-10, 30)];
    let decision = decide(&world.inputs()).unwrap();
    assert_eq!(decision.plan, None);
    let frozen = |why: &NotPermitted| matches!(why, NotPermitted::Frozen { window, .. } if window == "night");
    assert!(
        matches!(&decision.nothing_because[..], [(_, NothingBecause::NotPermitted { why })] if frozen(why)),
        "{:?}",
        decision.nothing_because
    );
    let refused = verify(plan.clone(), &world.inputs()).unwrap_err();
    assert!(
        matches!(&refused.violations[..], [Violation::NotPermitted { why, .. }] if frozen(why)),
        "{refused:?}"
    );
    world.freezes = vec![freeze(-10, 0)];
    let again = decide(&world.inputs()).unwrap().plan.expect("over is over");
    assert_eq!(again.moves, plan.moves);
}

#[test]
fn a_node_may_take_part_in_so_many_moves() {
    let mut world = World::new();
    world.service(&ServiceShape {
        name: "pay",
        ..cart("a", |minute| if noon(minute) { 400.0 } else { 15.0 })
    });
    world.settings.max_concurrent_moves = 5;
    let moved = |world: &World| {
        let decision = decide(&world.inputs()).unwrap();
        decision.plan.map_or(0, |plan| plan.moves.len())
    };
    assert_eq!(moved(&world), 2);
    world.policies = vec![policy(&json!({"limits": {"concurrent": {"perNode": 1}}}))];
    assert_eq!(moved(&world), 1, "both would leave node `a`");
}

#[test]
fn priority_comes_before_weight() {
    for (priority, first) in [(0, "cart"), (1, "mail")] {
        let mut world = World::new();
        let slow = |minute| if noon(minute) { 400.0 } else { 15.0 };
        world.service(&ServiceShape { name: "mail", rps: |_| 5.0, used_millicores: 10.0, ..cart("a", slow) });
        let mut mail = policy(&json!({"selector": {"services": ["mail"]}, "priority": priority}));
        mail.id = "mail".into();
        world.policies = vec![policy(&json!({"selector": {"services": ["cart"]}})), mail];
        let plan = decide(&world.inputs()).unwrap().plan.expect("a plan");
        assert_eq!(plan.moves[0].service.as_str(), first, "priority {priority}");
    }
}
