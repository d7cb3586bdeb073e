//! What is tried of a plan: which requests, where, how fast and how long; or why it cannot be tried.
use crate::approved::quiet_cart;
use crate::world::{MINUTE, World, forecast_of, history, noon, policy};
use foremesh_core::{
    decide::decide,
    learned::Call,
    policy::Callees,
    trial::{TestedPlan, Trial, TrialLimits, TrialOrder, TrialRefused, owe},
    twin::{SimulatedPlan, simulate},
    verify::verify,
};
use serde_json::json;

fn tried() -> World {
    let mut world = World::new();
    let requests = json!([{"path": "/cart", "weight": 3}, {"path": "/cart", "method": "POST", "body": "{}"}]);
    world.policies = vec![policy(&json!({"trial": {"requests": requests}}))];
    world
}

fn simulated(world: &World) -> SimulatedPlan {
    let plan = decide(&world.inputs()).unwrap().plan.unwrap();
    simulate(verify(plan, &world.inputs()).unwrap(), &world.inputs()).unwrap()
}

fn ordered(world: &World, limits: Option<&TrialLimits>) -> Result<TrialOrder, TrialRefused> {
    let simulated = simulated(&tried());
    let tested = owe(simulated, &world.inputs(), limits)?;
    // Through the journal and back.
    let json = serde_json::to_string(&tested).unwrap();
    assert_eq!(serde_json::from_str::<TestedPlan>(&json).unwrap(), tested);
    assert!(!tested.trial(0).unwrap().permits(), "nothing may be touched before the trial");
    assert_eq!(tested.trial(1), None);
    Ok(tested.trial(0).and_then(Trial::owed).unwrap().clone())
}

fn calls(world: &mut World, callee: &str) {
    let call = Call { callee: callee.into(), per_request: 1.0, retries: 0.0, waits: true };
    world.learned.graph.0.insert("cart".into(), vec![call]);
}

fn busy(world: &mut World, node: &str, used: fn(usize) -> f64) {
    world.nodes.insert(node.into(), forecast_of(node, "cpu_used_millicores", &history(180, used)));
}

#[test]
fn a_move_is_tried_at_its_peak_beside_its_source() {
    let order = ordered(&tried(), Some(&TrialLimits::default())).unwrap();
    assert_eq!((order.source.as_str(), order.target.as_str()), ("a", "b"));
    assert!((49.0..52.0).contains(&order.rate_rps) && order.rate_rps >= order.peak_rps, "{order:?}");
    assert_eq!((order.pairs, order.most_pairs), (3000, 6000));
    assert_eq!((order.objective_ms, order.quantile.get()), (250.0, 0.99));
    assert_eq!(order.requests.iter().map(|request| request.weight).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(order.callees, Callees::None);
    let again = ordered(&tried(), Some(&TrialLimits::default())).unwrap();
    assert_eq!(order, again, "equal inputs, equal orders");
}

/// Nothing was predicted of its latency, and yet it is held to the objective of its service.
#[test]
fn a_move_for_another_reason_is_tried_by_the_objective_of_its_service() {
    let mut world = World::new();
    quiet_cart(&mut world);
    world.node("a", |minute| if noon(minute) { 900.0 } else { 300.0 });
    let latency =
        json!({"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}});
    let usage = json!({"of": "node", "resource": "cpu", "above": "85%", "within": "40m"});
    let full = json!({"name": "full", "predictedUsage": usage});
    let requests = json!([{"path": "/cart"}]);
    world.policies = vec![policy(&json!({"rules": [full, latency], "trial": {"requests": requests}}))];
    let (simulated, inputs) = (simulated(&world), world.inputs());
    let planned = simulated.plan().moves[0].clone();
    assert_eq!(planned.reason.rule, "full");
    assert_eq!(simulated.prediction_of(&planned), None);
    // The source is too full for a copy until noon is over, and nothing stands for it.
    let limits = TrialLimits { max_cpu_share: 1.0, ..TrialLimits::default() };
    let tested = owe(simulated, &inputs, Some(&limits)).unwrap();
    let order = tested.trial(0).and_then(Trial::owed).unwrap();
    assert_eq!((order.objective_ms, order.quantile.get()), (250.0, 0.99));
    assert!((49.0..52.0).contains(&order.rate_rps), "{order:?}");
}

#[test]
fn limits_bound_the_load() {
    let limits = TrialLimits { max_rate_rps: 30.0, ..TrialLimits::default() };
    let order = ordered(&tried(), Some(&limits)).unwrap();
    assert!((order.rate_rps - 30.0).abs() < 1e-9 && order.peak_rps > 49.0, "{order:?}");

    // 2 ms of CPU for each request: 420 of 500 millicores leave 40 requests per second.
    let mut world = tried();
    busy(&mut world, "b", |_| 415.0);
    let limits = TrialLimits { max_cpu_share: 0.5, ..TrialLimits::default() };
    let order = ordered(&world, Some(&limits)).unwrap();
    assert!((38.0..43.0).contains(&order.rate_rps), "{order:?}");

    let short = TrialLimits { max_duration_ms: 90_000, ..TrialLimits::default() };
    let order = ordered(&tried(), Some(&short)).unwrap();
    assert_eq!((order.pairs, order.most_pairs), (3000, 3000), "twice as many take 120 s");
}

#[test]
fn a_node_like_the_source_stands_for_one_without_room() {
    let mut world = tried();
    busy(&mut world, "a", |_| 690.0);
    let order = ordered(&world, Some(&TrialLimits::default())).unwrap();
    assert_eq!((order.source.as_str(), order.target.as_str()), ("c", "b"));
}

#[test]
fn what_cannot_be_tried_is_refused_with_a_remedy() {
    type Change = fn(&mut World);
    let limits = TrialLimits::default;
    let cases: [(&str, Change, Option<TrialLimits>, &str); 9] = [
        (
            "no staging mesh",
            |_| {},
            None,
            "there is no staging mesh to run it in: set `platform.kubernetes.staging`",
        ),
        (
            "no requests",
            |w| w.policies[0].trial = None,
            Some(limits()),
            "does not say which requests a trial sends",
        ),
        ("the policy is gone", |w| w.policies.clear(), Some(limits()), "policy `shop` is not in force"),
        (
            "it calls others",
            |w| calls(w, "stock"),
            Some(limits()),
            "`cart` calls `stock`: a trial would send them requests",
        ),
        ("the candidate is busy", |w| busy(w, "b", |_| 690.0), Some(limits()), "b has CPU for"),
        (
            "the source is busy, and no node is like it",
            |w| {
                busy(w, "a", |_| 690.0);
                busy(w, "c", |_| 690.0);
            },
            Some(limits()),
            "a has CPU for",
        ),
        (
            "its use is not known",
            |w| {
                w.nodes.remove(&"b".into());
            },
            Some(limits()),
            "b has CPU for 0.0 requests per second",
        ),
        (
            "the rate is bounded",
            |_| {},
            Some(TrialLimits { max_rate_rps: 10.0, ..limits() }),
            "`maxRate` allows 10.0, too little",
        ),
        (
            "it takes too long",
            |w| w.policies[0].trial.as_mut().unwrap().duration_ms = Some(MINUTE / 3),
            Some(limits()),
            "and a trial may take 20 s",
        ),
    ];
    for (name, change, limits, want) in cases {
        let mut world = tried();
        change(&mut world);
        let why = ordered(&world, limits.as_ref()).unwrap_err().to_string();
        assert!(why.contains(want), "case: {name}: {why}");
    }
}

#[test]
fn callees_are_asked_where_the_policy_says_so() {
    let mut world = tried();
    calls(&mut world, "stock");
    world.policies[0].trial.as_mut().unwrap().callees = Callees::Production;
    let order = ordered(&world, Some(&TrialLimits::default())).unwrap();
    assert_eq!(order.callees, Callees::Production);
}

#[test]
fn a_waiver_goes_before_a_trial() {
    let world = World::new();
    let tested = owe(simulated(&world), &world.inputs(), None).unwrap();
    assert_eq!(tested.trial(0).unwrap().in_words(), "waived by ana: no staging mesh");
    assert!(tested.trial(0).unwrap().permits());
}
