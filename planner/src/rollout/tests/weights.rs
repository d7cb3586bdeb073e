//! Shifts of traffic, and moves with a part of the weight, with every kind of fault.
use super::*;
use foremesh_core::plan::{PairWeights, Traffic};

const SHIFT: Traffic = Traffic::shifted(PairWeights { source: 100, target: 100 }, 50);
const PART: Traffic = Traffic::of_replica(100, 60);

/// One move of `cart` with these weights; a shift when `shift` says so.
fn planned(traffic: Traffic, shift: bool) -> TestedPlan {
    let mut plan = serde_json::to_value(tested(1, &["cart"])).unwrap();
    plan["plan"]["moves"][0]["traffic"] = json!(traffic);
    if shift {
        plan["plan"]["moves"][0]["shift_to"] = json!("cart@h2");
    }
    serde_json::from_value(plan).unwrap()
}

async fn begun(shift: bool, settings: RolloutSettings) -> Bench {
    begun_with(if shift { SHIFT } else { PART }, shift, settings).await
}

async fn begun_with(traffic: Traffic, shift: bool, settings: RolloutSettings) -> Bench {
    let bench = Bench::new(settings).await;
    if shift {
        let mut world = bench.fake.world();
        world.running.insert(NodeId::from("h2"));
        world.weights.insert(ReplicaId::from("cart@h2"), SHIFT.before.target);
    }
    bench.rollouts.start(&planned(traffic, shift)).await.unwrap();
    bench
}

fn weights(pair: PairWeights) -> BTreeMap<ReplicaId, u32> {
    let of = [("cart@h1", pair.source), ("cart@h2", pair.target), ("cart@h9", 100)];
    of.into_iter()
        .filter(|(_, weight)| *weight > 0)
        .map(|(id, weight)| (ReplicaId::from(id), weight))
        .collect()
}

/// What must be true of every end, whatever went wrong once.
fn check(record: &RolloutRecord, fake: &Fake, context: &str) {
    let world = fake.world();
    assert_eq!(world.violations, Vec::<String>::new(), "{context}");
    let traffic = record.relocation.traffic;
    let (ends, serves) = match record.state {
        State::Succeeded => (traffic.after, "h2"),
        State::RolledBack | State::Aborted => (traffic.before, "h1"),
        other => panic!("{context}: ended as {other}: {}", record.why()),
    };
    assert_eq!(world.weights, weights(ends), "{context}");
    if record.relocation.is_shift() {
        assert_eq!(world.running, BTreeSet::from(["h1", "h2"].map(NodeId::from)), "{context}");
        let starts_or_stops =
            ["prepare", "place target", "place source", "retire target", "retire source", "restore"];
        let called = world.calls.iter().find(|(_, name)| starts_or_stops.contains(name));
        assert_eq!(called, None, "{context}: a shift starts and stops nothing");
    } else {
        assert_eq!(world.running, BTreeSet::from([NodeId::from(serves)]), "{context}");
    }
}

async fn run_with(shift: bool, fault: Option<(Call, Fault, usize)>, failing_gate: bool) -> Vec<Call> {
    let mut bench = begun(shift, settings()).await;
    if failing_gate {
        bench.fake.world().target_sample = Some((1000, 400));
    }
    bench.fake.world().fault.clone_from(&fault);
    let record = bench.run_to_end().await.remove(0);
    let context = format!("{fault:?}, failing gate: {failing_gate}, history: {:#?}", record.history);
    check(&record, &bench.fake, &context);
    if failing_gate {
        assert_ne!(record.state, State::Succeeded, "{context}");
    } else if fault.is_none() {
        assert_eq!(record.state, State::Succeeded, "{context}");
    }
    bench.fake.world().calls.clone()
}

/// Every call of a run goes wrong in every way, one at a time.
async fn sweep(shift: bool, failing_gate: bool, states: &[&str], at_least: usize) {
    let calls = run_with(shift, None, failing_gate).await;
    for state in states {
        assert!(calls.iter().any(|(at, _)| at == state), "no call was made in {state}: {calls:?}");
    }
    assert!(calls.len() >= at_least, "{} calls: {calls:?}", calls.len());
    for call in &calls {
        for fault in FAULTS {
            run_with(shift, Some((call.clone(), fault, 1)), failing_gate).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_fault_at_any_call_of_a_shift_ends_well() {
    sweep(true, false, &["Pending", "Trial", "Ramping(0)", "Settling"], 15).await;
    sweep(true, true, &["Ramping(0)", "RollingBack(shift, from Ramping)"], 12).await;
}

#[tokio::test(start_paused = true)]
async fn one_fault_at_any_call_of_a_move_with_a_part_of_the_weight_ends_well() {
    sweep(false, false, &["Trial", "Surging", "Draining", "Settling(retiring)"], 35).await;
    sweep(false, true, &["RollingBack(stop, from Ramping)"], 30).await;
}

#[tokio::test(start_paused = true)]
async fn the_share_is_compared_with_the_source_of_the_same_windows_also_when_it_settles() {
    let mut bench = begun(true, settings()).await;
    bench.run_until("Settling").await;
    bench.fake.world().target_sample = Some((1000, 400));
    let record = bench.run_to_end().await.remove(0);
    assert_eq!(record.state, State::RolledBack, "{:#?}", record.history);
    let turned = record.history.iter().find(|change| change.to.phase() == Phase::RollingBack).unwrap();
    assert!(turned.why.contains("400 of 1000 requests failed on the target"), "{}", turned.why);
    let samples = bench.fake.world().samples.clone();
    let settling: Vec<_> = samples.iter().filter(|sample| sample.state == "Settling").collect();
    let of =
        |source: bool| settling.iter().filter(move |sample| (sample.node == NodeId::from("h1")) == source);
    assert!(of(true).count() > 0);
    for (source, target) in of(true).zip(of(false)) {
        assert_eq!((source.from, source.to), (target.from, target.to));
    }
}

#[tokio::test(start_paused = true)]
async fn who_gave_all_that_it_had_is_compared_by_its_past() {
    let all = Traffic::shifted(SHIFT.before, 100);
    let mut bench = begun_with(all, true, settings()).await;
    let record = bench.run_to_end().await.remove(0);
    assert_eq!(record.state, State::Succeeded, "{:#?}", record.history);
    check(&record, &bench.fake, "all of it");
    let samples = bench.fake.world().samples.clone();
    let of_source = samples.iter().filter(|sample| sample.node == NodeId::from("h1"));
    let ends: BTreeSet<_> =
        of_source.filter(|sample| sample.state == "Settling").map(|sample| sample.to).collect();
    assert_eq!(ends, record.shifted_at().into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn a_shift_survives_restarts_and_hours_without_a_planner() {
    for (state, ends) in [
        ("Pending", State::Aborted),
        ("Trial", State::Succeeded),
        ("Ramping(0)", State::Succeeded),
        ("Settling", State::Succeeded),
        ("RollingBack(shift, from Ramping)", State::RolledBack),
    ] {
        let mut bench = begun(true, RolloutSettings { dwell: 4_000, ..settings() }).await;
        if state.starts_with("RollingBack") {
            bench.fake.world().target_sample = Some((1000, 400));
        }
        bench.run_until(state).await;
        bench.restart_after_hours().await;
        let record = bench.run_to_end().await.remove(0);
        assert_eq!(record.state, ends, "down in {state}: {:#?}", record.history);
        check(&record, &bench.fake, state);
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_works_leaves_a_shift_undone_or_says_what_is_left() {
    let cases = [
        (
            "weights",
            "Trial",
            "Aborted",
            "the weights are not known, but the plan was made for 100 for the source",
        ),
        ("set weights", "Trial", "RolledBack", "both replicas have their shares of before"),
        ("sample target", "Trial", "RolledBack", "both replicas have their shares of before"),
        (
            "set weights",
            "Ramping(0)",
            "Failed",
            "Left: the weights are 88 for the source and 112 for the target; no replica was started or stopped",
        ),
        (
            "weights",
            "Ramping(0)",
            "Failed",
            "Left: the weights are not known; no replica was started or stopped",
        ),
    ];
    for (broken, from, ends, why) in cases {
        let mut bench = begun(true, RolloutSettings { dwell: 1, ..settings() }).await;
        bench.run_until(from).await;
        bench.fake.world().broken = Some(broken);
        let record = bench.run_to_end().await.remove(0);
        assert_eq!(record.state.to_string(), ends, "{broken} from {from} on: {:#?}", record.history);
        assert!(record.why().contains(why), "{broken} from {from} on: {}", record.why());
        assert_eq!(bench.fake.world().violations, Vec::<String>::new(), "{broken}");
    }
}
