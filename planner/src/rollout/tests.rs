//! Every state and every call of a rollout with every kind of fault, on a paused clock.
use super::*;
use crate::clock::{Clock, ManualClock};
use fake::{Call, FAULTS, Fake, Fault, replica};
use foremesh_core::{ids::ReplicaId, rollout::Phase, trial::TestedPlan};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, advance};

mod fake;
mod leading;
mod remembered;
mod trials;
mod weights;

const START_MS: i64 = 1_700_000_000_000;

/// Short times, so that a run has few steps; nothing waits for real.
fn settings() -> RolloutSettings {
    RolloutSettings {
        revalidate_after: 2_000,
        hold_per_step: 10_000,
        settle: 10_000,
        gate_wait: 30_000,
        drain_quiet: 2_000,
        drain_limit: 20_000,
        observation_lag: 2_000,
        ..RolloutSettings::default()
    }
}

fn one_move(workload: &str) -> serde_json::Value {
    json!({
        "workload": workload, "service": workload, "replica": "cart@h1", "from": "h1", "to": "h2",
        "reason": {
            "policy": "p", "rule": "latency", "quantile": 0.99, "objective_ms": 50.0, "breach_at": START_MS,
            "breach_probability": 0.9, "stay_ms": 90.0, "move_ms": 20.0, "model": "seasonal_naive", "lead_ms": 60000
        },
        "ramp_percent": [25, 100]
    })
}

/// A tested plan as the journal of the planner would give it back.
fn tested(generation: u64, workloads: &[&str]) -> TestedPlan {
    let moves: Vec<_> = workloads.iter().map(|workload| one_move(workload)).collect();
    serde_json::from_value(json!({
        "plan": {
            "id": format!("plan-{generation}"), "parent": null, "generation": generation, "made_at": START_MS,
            "input_digest": "", "moves": moves, "rejected": []
        },
        "predictions": [],
        "trial": { "trial": "waived", "by": "policy p", "reason": "no staging mesh", "at": START_MS }
    }))
    .unwrap()
}

/// A journal on disk, a world in memory, and the planner that is killed and started again between them.
struct Bench {
    directory: TempDir,
    fake: Fake,
    rollouts: Rollouts,
    begun: Instant,
    crashes: usize,
    settings: RolloutSettings,
}

impl Bench {
    async fn new(settings: RolloutSettings) -> Self {
        let directory = TempDir::new().unwrap();
        let fake = Fake::new(ManualClock::new(Timestamp::from_unix_ms(START_MS)));
        let rollouts = open(directory.path(), &settings, &fake).await.unwrap();
        Self { directory, fake, rollouts, begun: Instant::now(), crashes: 0, settings }
    }

    async fn restart(&mut self) {
        self.rollouts = open(self.directory.path(), &self.settings, &self.fake).await.unwrap();
        self.crashes += 1;
    }

    /// Nobody is there for hours; then a planner starts again.
    async fn restart_after_hours(&mut self) {
        advance(Duration::from_secs(6 * 3600)).await;
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap();
        self.fake.clock.set(Timestamp::from_unix_ms(START_MS + elapsed));
        self.restart().await;
    }

    /// One look at all rollouts, or a crash; then time passes.
    async fn turn(&mut self) {
        let crashed = tokio::select! {
            biased;
            () = self.fake.crashed.notified() => true,
            () = self.rollouts.tick() => false,
        };
        if crashed {
            self.restart().await;
        }
        advance(Duration::from_secs(2)).await;
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap();
        self.fake.clock.set(Timestamp::from_unix_ms(START_MS + elapsed));
    }

    async fn run_to_end(&mut self) -> Vec<RolloutRecord> {
        for _ in 0..2_000 {
            self.turn().await;
            let all = self.rollouts.recent(Timestamp::from_unix_ms(0)).await.unwrap();
            if all.iter().all(|record| record.state.is_last()) {
                // Once more, so that the last change of state is reported.
                self.turn().await;
                self.turn().await;
                return all;
            }
        }
        panic!("it does not end: {:?}", self.rollouts.recent(Timestamp::from_unix_ms(0)).await.unwrap());
    }

    async fn run_until(&mut self, state: &str) {
        for _ in 0..500 {
            let all = self.rollouts.recent(Timestamp::from_unix_ms(0)).await.unwrap();
            if all.iter().any(|record| record.state.to_string() == state) {
                return;
            }
            self.turn().await;
        }
        panic!(
            "{state} was not reached: {:?}",
            self.rollouts.recent(Timestamp::from_unix_ms(0)).await.unwrap()
        );
    }
}

async fn open(directory: &Path, settings: &RolloutSettings, fake: &Fake) -> Result<Rollouts, RolloutError> {
    let clock = Clock::Manual(fake.clock.clone());
    Rollouts::open(&directory.join("rollouts.db"), settings.clone(), fake.ports(), clock).await
}

/// What must be true of every end.
fn check_end(record: &RolloutRecord, fake: &Fake, context: &str) {
    let world = fake.world();
    let (h1, h2) = (NodeId::from("h1"), NodeId::from("h2"));
    assert_eq!(world.violations, Vec::<String>::new(), "{context}");
    let (serves, stopped) = match record.state {
        State::Succeeded => (&h2, &h1),
        State::RolledBack | State::Aborted => (&h1, &h2),
        other => panic!("{context}: ended as {other}: {}", record.why()),
    };
    assert_eq!(world.running, BTreeSet::from([serves.clone()]), "{context}: {stopped} is stopped");
    let weights = BTreeMap::from([(replica(serves), 100), (ReplicaId::from("cart@h9"), 100)]);
    assert_eq!(world.weights, weights, "{context}");
    let mut at = State::Pending;
    for transition in &record.history {
        assert_eq!(transition.from, at, "{context}: the history has no gap");
        assert!(!transition.why.is_empty());
        at = transition.to;
    }
    assert_eq!(at, record.state, "{context}");
    let reported: BTreeSet<usize> = world.reports.iter().map(|(_, number, _)| *number).collect();
    assert_eq!(
        reported,
        (0..record.history.len()).collect(),
        "{context}: the audit has every change of state"
    );
}

/// Runs one move with one fault and returns every call that was made.
async fn run_with(fault: Option<(Call, Fault, usize)>, failing_gate: bool) -> Vec<Call> {
    let mut bench = Bench::new(settings()).await;
    if failing_gate {
        bench.fake.world().target_sample = Some((1000, 400));
    }
    bench.fake.world().fault.clone_from(&fault);
    bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
    let all = bench.run_to_end().await;
    let context = format!("{fault:?}, failing gate: {failing_gate}, history: {:#?}", all[0].history);
    check_end(&all[0], &bench.fake, &context);
    if failing_gate {
        assert_ne!(all[0].state, State::Succeeded, "{context}");
    }
    if let Some((_, Fault::CrashBefore | Fault::CrashAfter, times)) = fault {
        assert!((1..=times).contains(&bench.crashes), "{} crashes: {context}", bench.crashes);
    }
    bench.fake.world().calls.clone()
}

/// Every call of a run goes wrong in every way, one at a time.
async fn fault_sweep(failing_gate: bool, at_least: usize, states: &[&str]) {
    let calls = run_with(None, failing_gate).await;
    for state in states {
        assert!(calls.iter().any(|(at, _)| at == state), "no call was made in {state}: {calls:?}");
    }
    assert!(calls.len() >= at_least, "{calls:?}");
    for call in &calls {
        for fault in FAULTS {
            run_with(Some((call.clone(), fault, 1)), failing_gate).await;
        }
    }
}

/// Nothing is added to the past of a source that has no traffic any more: what is too little stays too little.
#[tokio::test(start_paused = true)]
async fn the_past_of_a_source_with_little_traffic_is_looked_at_as_far_back_as_it_takes() {
    for (rps, in_ramp, ends, longest_s) in [
        (50, 0, State::Succeeded, 10),
        (1, 0, State::Succeeded, 320),
        (0, 0, State::RolledBack, 3600),
        (0, 200, State::Succeeded, 3600),
    ] {
        let mut bench = Bench::new(RolloutSettings { min_samples: 200, ..settings() }).await;
        bench.fake.world().source_rps = Some(rps);
        bench.fake.world().source_in_ramp = in_ramp;
        bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
        let record = bench.run_to_end().await.remove(0);
        assert_eq!(
            record.state, ends,
            "{rps} requests a second, {in_ramp} in the ramp: {:#?}",
            record.history
        );
        let samples = bench.fake.world().samples.clone();
        let past: Vec<_> =
            samples.iter().filter(|of| of.state == "Settling" && of.node == NodeId::from("h1")).collect();
        let before_the_ramp = past.iter().filter(|of| of.to == past[0].to);
        let longest = before_the_ramp.map(|of| of.to.ms_since(of.from)).max();
        assert_eq!(longest, Some(longest_s * 1000), "{rps} requests a second, {in_ramp} in the ramp");
    }
}

#[tokio::test(start_paused = true)]
async fn one_fault_at_any_call_of_the_way_on_ends_well() {
    let states =
        ["Pending", "Reserving", "Surging", "Ramping(0)", "Draining", "Settling", "Settling(retiring)"];
    fault_sweep(false, 35, &states).await;
}

#[tokio::test(start_paused = true)]
async fn one_fault_at_any_call_of_the_way_back_ends_well() {
    let states = [
        "RollingBack(shift, from Ramping)",
        "RollingBack(drain, from Ramping)",
        "RollingBack(stop, from Ramping)",
    ];
    fault_sweep(true, 30, &states).await;
}

#[tokio::test(start_paused = true)]
async fn repeated_crashes_at_the_same_call_end_well() {
    for call in ["place target", "set weights", "retire source", "sample target"] {
        let calls = run_with(None, false).await;
        for at in calls.into_iter().filter(|(_, name)| *name == call) {
            for fault in [Fault::CrashBefore, Fault::CrashAfter] {
                run_with(Some((at.clone(), fault, 4)), false).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_works_turns_back_or_says_what_is_left() {
    let cases = [
        ("validate", "Aborted", "could not be validated again in time; nothing was done"),
        ("prepare", "RolledBack", "nothing was started"),
        ("place target", "RolledBack", "the replica on h2 is stopped; h1 serves as before"),
        ("ready target", "RolledBack", "the replica on h2 is stopped; h1 serves as before"),
        ("set weights", "RolledBack", "the replica on h2 is stopped; h1 serves as before"),
        ("sample target", "RolledBack", "the replica on h2 is stopped; h1 serves as before"),
        (
            "retire source",
            "Failed",
            "Left: h2 was given all traffic; the replica on h1 gets none but may still run. Remedy: stop it by hand",
        ),
        ("weights", "Failed", "the weights are not known. Remedy: see that one of the two answers"),
    ];
    for (broken, ends, why) in cases {
        let mut bench = Bench::new(settings()).await;
        bench.fake.world().broken = Some(broken);
        bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
        let record = bench.run_to_end().await.remove(0);
        assert_eq!(record.state.to_string(), ends, "{broken}: {:#?}", record.history);
        assert!(record.why().contains(why), "{broken}: {}", record.why());
        assert_eq!(bench.fake.world().violations, Vec::<String>::new(), "{broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_that_does_not_work_holds_nothing_up_and_is_made_up_for() {
    let mut bench = Bench::new(settings()).await;
    bench.fake.world().broken = Some("report");
    bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
    let record = bench.run_to_end().await.remove(0);
    assert_eq!(record.state, State::Succeeded);
    assert_eq!(bench.fake.world().reports, []);
    bench.fake.world().broken = None;
    bench.restart().await;
    bench.turn().await;
    let numbers: Vec<usize> = bench.fake.world().reports.iter().map(|(_, number, _)| *number).collect();
    assert_eq!(numbers, (0..record.history.len()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_kept_over_a_restart_and_names_who() {
    for (state, from) in
        [("Pending", Phase::Pending), ("Ramping(0)", Phase::Ramping), ("Settling", Phase::Settling)]
    {
        let mut bench = Bench::new(settings()).await;
        let id = bench.rollouts.start(&tested(1, &["cart"])).await.unwrap().remove(0);
        bench.run_until(state).await;
        bench.rollouts.abort(&id, "sre@example", "looks wrong").await.unwrap();
        bench.restart().await;
        let record = bench.run_to_end().await.remove(0);
        assert_eq!(record.state, State::Aborted, "{:#?}", record.history);
        let turned =
            record.history.iter().find(|t| t.why == "sre@example asked to stop: looks wrong").unwrap();
        assert_eq!(turned.from.phase(), from);
        check_end(&record, &bench.fake, state);
        let late = bench.rollouts.abort(&id, "sre@example", "again").await.unwrap_err();
        assert_eq!(
            late.to_string(),
            "rollout `plan-1.0` is Aborted and cannot be aborted any more; plan a move back instead"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn plans_that_must_not_start_are_refused_also_after_a_restart() {
    let mut bench = Bench::new(RolloutSettings { max_concurrent: 2, ..settings() }).await;
    bench.rollouts.start(&tested(5, &["cart"])).await.unwrap();
    for _ in 0..2 {
        let refused = |plan: TestedPlan| {
            let rollouts = bench.rollouts.clone();
            async move { rollouts.start(&plan).await.unwrap_err().to_string() }
        };
        assert_eq!(
            refused(tested(5, &["web"])).await,
            "plan `plan-5` has generation 5, but generation 5 was accepted already; make a new plan from the present state"
        );
        assert_eq!(
            refused(tested(6, &["web", "cart"])).await,
            "workload `cart` is being moved by rollout `plan-5.0` (Pending); wait for its end or abort it"
        );
        assert_eq!(refused(tested(7, &[])).await, "plan `plan-7` has no moves; there is nothing to roll out");
        bench.restart().await;
    }
    bench.rollouts.start(&tested(8, &["web"])).await.unwrap();
    assert_eq!(
        bench.rollouts.start(&tested(9, &["auth"])).await.unwrap_err().to_string(),
        "2 moves are going on and 2 are allowed (`maxConcurrent`); wait for one to end"
    );
    assert_eq!(bench.rollouts.in_flight().await.unwrap().len(), 2);
    assert_eq!(bench.rollouts.newest_generation().await.unwrap(), 8);
    let unknown = RolloutId::from("plan-0.0");
    assert_eq!(
        bench.rollouts.get(&unknown).await.unwrap_err().to_string(),
        "there is no rollout `plan-0.0`; list the rollouts to see their names"
    );
}

#[tokio::test(start_paused = true)]
async fn moves_of_one_plan_go_one_after_the_other() {
    let mut bench = Bench::new(settings()).await;
    bench.rollouts.start(&tested(1, &["cart", "web"])).await.unwrap();
    bench.run_until("Settling").await;
    let second = bench.rollouts.get(&RolloutId::from("plan-1.1")).await.unwrap();
    assert_eq!(second.state, State::Pending);
    assert_eq!(
        bench.rollouts.waiting_for(&second.id).as_deref(),
        Some("the move before it in the same plan")
    );
    bench.rollouts.abort(&RolloutId::from("plan-1.0"), "sre", "stop").await.unwrap();
    let all = bench.run_to_end().await;
    assert_eq!(all[1].state, State::Aborted);
    assert_eq!(all[1].why(), "the move before it in the same plan did not succeed; nothing was done");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_does_not_hold_any_more_moves_nothing() {
    let mut bench = Bench::new(settings()).await;
    bench.fake.world().validity = Some(Validity::Changed("the breach is not predicted any more".to_owned()));
    bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
    let record = bench.run_to_end().await.remove(0);
    assert_eq!(
        record.why(),
        "the plan does not hold any more: the breach is not predicted any more; nothing was done"
    );
    let changed: Vec<_> = bench.fake.world().calls.iter().map(|(_, name)| *name).collect();
    assert_eq!(changed, ["validate", "report"]);
}

#[tokio::test(start_paused = true)]
async fn a_planner_that_was_down_for_hours_goes_on() {
    for (state, ends) in [
        ("Pending", State::Aborted),
        ("Surging", State::Succeeded),
        ("Ramping(0)", State::Succeeded),
        ("Draining", State::Succeeded),
        ("RollingBack(drain, from Ramping)", State::RolledBack),
    ] {
        let mut bench = Bench::new(RolloutSettings { dwell: 1, ..settings() }).await;
        if state.starts_with("RollingBack") {
            bench.fake.world().target_sample = Some((1000, 400));
        }
        bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
        bench.run_until(state).await;
        bench.restart_after_hours().await;
        let record = bench.run_to_end().await.remove(0);
        assert_eq!(record.state, ends, "down in {state}: {:#?}", record.history);
        check_end(&record, &bench.fake, state);
    }
}

#[tokio::test(start_paused = true)]
async fn what_ended_long_ago_is_not_recent() {
    let mut bench = Bench::new(settings()).await;
    bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
    let record = bench.run_to_end().await.remove(0);
    let recent = |since| bench.rollouts.recent(since);
    assert_eq!(recent(record.entered_at).await.unwrap().len(), 1);
    assert_eq!(recent(record.entered_at.plus_ms(1)).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_journal_of_a_newer_planner_is_left_alone() {
    let bench = Bench::new(settings()).await;
    let path = bench.directory.path().join("rollouts.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = open(bench.directory.path(), &settings(), &bench.fake).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the rollout journal {} has schema version 99, this planner knows up to 2; run the newer planner",
            path.display()
        )
    );
}

#[tokio::test(start_paused = true)]
async fn the_loop_drives_without_being_asked() {
    let bench = Bench::new(RolloutSettings { poll: 100, ..settings() }).await;
    let (rollouts, clock) = (bench.rollouts.clone(), bench.fake.clock.clone());
    let id = rollouts.start(&tested(1, &["cart"])).await.unwrap().remove(0);
    let over = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let elapsed = i64::try_from(bench.begun.elapsed().as_millis()).unwrap();
            clock.set(Timestamp::from_unix_ms(START_MS + elapsed));
            if rollouts.get(&id).await.unwrap().state.is_last() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), rollouts.run(over)).await.unwrap();
    assert_eq!(rollouts.get(&id).await.unwrap().state, State::Succeeded);
}

#[test]
fn settings_are_written_as_people_write_them() {
    let settings: RolloutSettings =
        yaml_serde::from_str("holdPerStep: 30s\nminSamples: 50\ndwell: 2s\n").unwrap();
    assert_eq!((settings.hold_per_step, settings.min_samples, settings.dwell), (30_000, 50, 2_000));
    assert_eq!(settings.check(), Ok(()));
    let again = yaml_serde::to_string(&settings).unwrap();
    assert_eq!(yaml_serde::from_str::<RolloutSettings>(&again).unwrap(), settings);
    let unknown = yaml_serde::from_str::<RolloutSettings>("hold: 30s").unwrap_err().to_string();
    assert!(unknown.starts_with("unknown field `hold`, expected one of `revalidateAfter`"), "{unknown}");
}

#[test]
fn settings_outside_their_limits_are_named() {
    let default = RolloutSettings::default;
    let cases = [
        (
            RolloutSettings { error_margin: 0.0, ..default() },
            "rollout setting `errorMargin` is 0, which is not above 0 and at most 1; leave it out for the default",
        ),
        (
            RolloutSettings { min_samples: 0, ..default() },
            "rollout setting `minSamples` is 0, which is not 1 or more; no data must never count as success",
        ),
        (
            RolloutSettings { hold_per_step: 4_000, ..default() },
            "rollout setting `holdPerStep, settle` is 4000 ms and 120000 ms, which is not longer than `observationLag`; raise \
             them, or lower `observationLag`: the gate does not look at newer windows than that",
        ),
    ];
    for (settings, want) in cases {
        assert_eq!(settings.check().unwrap_err().to_string(), want);
    }
}
