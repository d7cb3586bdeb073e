//! What holds in every world.
use crate::world::{MINUTE, NOW, ServiceShape, World, noon};
use foremesh_core::{
    decide::{Decision, ServiceAssessment, decide},
    forecast::ForecastStep,
    history::Metric,
    ids::ServiceId,
    plan::Plan,
    policy::Verdict,
    report::{AuditRecord, Decided, records},
    time::Timestamp,
    topology::{NodeState, Tier},
    twin::{MeshModel, simulate},
    verify::verify,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

const NOONS: [fn(usize) -> f64; 6] = [
    |_| 15.0,
    |m| if noon(m) { 400.0 } else { 15.0 },
    |m| if noon(m) { 240.0 } else { 15.0 },
    |m| if noon(m) { 2_000.0 } else { 20.0 },
    |m| if m > 35 { 900.0 } else { 20.0 },
    |m| if m < 10 { 900.0 } else { 20.0 },
];
const LOADS: [fn(usize) -> f64; 6] = [
    |_| 100.0,
    |_| 500.0,
    |m| if noon(m) { 960.0 } else { 300.0 },
    |m| if noon(m) { 1000.0 } else { 100.0 },
    |m| if noon(m) { 640.0 } else { 200.0 },
    |_| 1000.0,
];
const RATES: [fn(usize) -> f64; 3] = [|_| 50.0, |m| if noon(m) { 80.0 } else { 20.0 }, |_| 0.0];
const NAMES: [&str; 4] = ["cart", "pay", "search", "user"];
const NODES: [&str; 4] = ["a", "b", "c", "d"];
const TIERS: [Tier; 3] = [Tier::Critical, Tier::Standard, Tier::BestEffort];

prop_compose! {
    fn any_world()(
        loads in prop::collection::vec(0..LOADS.len(), NODES.len()),
        states in prop::collection::vec(0..12_usize, NODES.len()),
        services in prop::collection::vec((0..NOONS.len(), 0..RATES.len(), 0..NODES.len(), 10.0..400.0_f64, 0..TIERS.len()), 1..=NAMES.len()),
        limit in 1..4_usize,
        late_min in prop_oneof![4 => Just(0), 1 => 0..12_i64],
        move_min in prop_oneof![4 => 0..5_i64, 1 => 5..30_i64],
        cpu_known in prop::bool::weighted(0.9),
    ) -> World {
        let mut world = World::new();
        world.workload("cart").pinned = Some("replaced below, if at all".to_owned());
        for (name, (load, state)) in NODES.iter().zip(loads.iter().zip(states)) {
            world.node(name, LOADS[*load]);
            match state {
                0 => world.node_mut(name).state = NodeState::Cordoned,
                1 => drop(world.nodes.remove(&(*name).into())),
                _ => {}
            }
        }
        for (name, (latency, rate, node, used_millicores, tier)) in NAMES.into_iter().zip(services) {
            world.service(&ServiceShape {
                name, node: NODES[node], tier: TIERS[tier], used_millicores, rps: RATES[rate], p99_ms: NOONS[latency],
            });
            if !cpu_known {
                world.workload(name).used = None;
            }
            world.durations.insert(name.into(), move_min * MINUTE);
        }
        world.settings.max_concurrent_moves = limit;
        world.now = NOW.plus_ms(late_min * MINUTE);
        world.snapshot.taken_at = world.now;
        world
    }
}

/// How long latency is forecast above the objective from a moment on, within the look-ahead of 40 minutes.
fn lasts_after(world: &World, service: &ServiceId, from: Timestamp) -> i64 {
    let p99 = Metric::latency(0.99).unwrap();
    let forecast = world.services[service].forecasts[&p99].as_ref().unwrap();
    let until = world.now.plus_ms(40 * MINUTE);
    let beyond = |step: &&ForecastStep| step.at >= from && step.at < until && step.point > 250.0;
    MINUTE * i64::try_from(forecast.steps.iter().filter(beyond).count()).unwrap()
}

fn bytes(decision: &Decision) -> Vec<u8> {
    serde_json::to_vec(decision).unwrap()
}

#[test]
fn random_worlds_are_not_all_quiet() {
    // Else the properties below would hold for want of plans.
    let mut runner = TestRunner::deterministic();
    let mut plans = 0;
    for _ in 0..60 {
        let world = any_world().new_tree(&mut runner).unwrap().current();
        plans += usize::from(decide(&world.inputs()).unwrap().plan.is_some());
    }
    assert!(plans >= 5, "{plans} of 60 random worlds lead to a plan");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_placement_plans_the_checker_and_the_twin_accept(world in any_world()) {
        let inputs = world.inputs();
        if let Some(plan) = decide(&inputs).unwrap().plan {
            let verified = verify(plan, &inputs);
            prop_assert!(verified.is_ok(), "{:?}", verified.err());
            let simulated = simulate(verified.unwrap(), &inputs);
            prop_assert!(simulated.is_ok(), "{:?}", simulated.err());
        }
    }

    #[test]
    fn equal_inputs_give_equal_bytes(world in any_world()) {
        let (first, second) = (decide(&world.inputs()).unwrap(), decide(&world.clone().inputs()).unwrap());
        prop_assert_eq!(bytes(&first), bytes(&second));
        if let Some(plan) = first.plan {
            let read = serde_json::from_slice(&serde_json::to_vec(&plan).unwrap()).unwrap();
            prop_assert_eq!(plan, read);
        }
    }

    #[test]
    fn only_a_predicted_breach_moves_and_everybody_gets_an_answer(world in any_world()) {
        let inputs = world.inputs();
        let decision = decide(&inputs).unwrap();
        let audit = records(&inputs, &decision, 1);
        prop_assert_eq!(audit.len(), world.services.len(), "one record for each service");
        for record in audit {
            if let Decided::Move(planned) = &record.decided {
                let reason = &planned.planned.reason;
                // Its own breach, or that of the service that it makes room for.
                let service = reason.on_behalf_of.as_ref().unwrap_or(&record.service);
                let at_risk = decision.assessments.iter().find(|assessed| assessed.service == *service);
                let Some(Verdict::Breach(breach)) = at_risk.and_then(ServiceAssessment::verdict) else {
                    return Err(TestCaseError::fail(format!("moved for {service}, which is well")));
                };
                let over = inputs.now.plus_ms(reason.lead_ms);
                let mesh = MeshModel::build(&inputs);
                let ix = mesh.service_ix(service).unwrap();
                let window = (over.max(breach.at), inputs.now.plus_ms(40 * MINUTE));
                let lasts = lasts_after(&world, service, over).max(mesh.start().expected_above_ms(ix, 250.0, window));
                let in_time = breach.at >= inputs.now.plus_ms(reason.lead_ms);
                prop_assert!(in_time || lasts >= reason.lead_ms, "moved too late");
                prop_assert!(reason.move_ms <= reason.objective_ms.max(reason.stay_ms) * 1.001);
                prop_assert!(reason.on_behalf_of.is_some() || reason.move_ms < reason.stay_ms);
            }
            prop_assert!(record.explain().starts_with(record.service.as_str()));
            let json = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<AuditRecord>(&json).unwrap(), record);
        }
        // Moves that wait for others do not run beside them.
        let at_once = |plan: Plan| plan.moves.iter().filter(|planned| planned.after.is_empty()).count();
        let moves = decision.plan.map_or(0, at_once);
        prop_assert!(moves <= world.settings.max_concurrent_moves);
    }
}
