//! The machine against a world that fails, hangs, lies about success and loses its executor at any moment.
use super::{
    gate::{GateOutcome, GateVerdict},
    *,
};
use crate::{
    ids::{NodeId, PolicyId, ServiceId, WorkloadId},
    plan::{MoveReason, PairWeights, Traffic},
    units::{Probability, Quantile},
};
use proptest::prelude::*;

mod overtaken;
mod shifts;
mod trials;

/// What is carried out.
#[derive(Clone, Debug)]
struct Task {
    ramp: Vec<u8>,
    traffic: Traffic,
    /// Only traffic goes, to a replica that runs already.
    shift: bool,
}

impl Task {
    fn whole(ramp: &[u8]) -> Self {
        Self { ramp: ramp.to_vec(), traffic: Traffic::WHOLE, shift: false }
    }
}

/// Whole moves, moves that take a part of the weight along, and shifts of a part or of all of it.
fn task() -> impl Strategy<Value = Task> {
    let ramp = prop_oneof![
        Just(vec![10, 25, 50, 100]),
        Just(vec![100]),
        Just(vec![50]),
        Just(vec![]),
        Just(vec![0, 7, 255])
    ];
    let moved = (1_u32..=200, 1_u32..=100)
        .prop_map(|(weight, percent)| Traffic::of_replica(weight, percent))
        .prop_filter("a moved replica keeps some weight", |traffic| traffic.after.target > 0);
    let shifted = (2_u32..=200, 0_u32..=200, 1_u32..=100)
        .prop_map(|(source, target, percent)| Traffic::shifted(PairWeights { source, target }, percent))
        .prop_filter("a shift gives something", |traffic| traffic.after != traffic.before);
    let kind = prop_oneof![
        Just((Traffic::WHOLE, false)),
        moved.prop_map(|traffic| (traffic, false)),
        shifted.prop_map(|traffic| (traffic, true))
    ];
    (ramp, kind).prop_map(|(ramp, (traffic, shift))| Task { ramp, traffic, shift })
}

fn relocation(task: &Task) -> Move {
    Move {
        workload: WorkloadId::from("cart"),
        service: ServiceId::from("cart"),
        replica: ReplicaId::from("cart@h1"),
        from: NodeId::from("h1"),
        to: NodeId::from("h2"),
        reason: MoveReason {
            policy: PolicyId::from("p"),
            rule: "latency".to_owned(),
            quantile: Quantile::new(0.99).unwrap(),
            objective_ms: 50.0,
            breach_at: Timestamp::from_unix_ms(0),
            breach_probability: Probability::new(0.9).unwrap(),
            stay_ms: 80.0,
            move_ms: 20.0,
            model: "seasonal_naive".to_owned(),
            lead_ms: 60_000,
            on_behalf_of: None,
            cause: crate::plan::Cause::OwnNode,
        },
        ramp_percent: task.ramp.clone(),
        traffic: task.traffic,
        shift_to: task.shift.then(|| ReplicaId::from("cart@h2")),
        after: Vec::new(),
        then: Vec::new(),
    }
}

fn record(limits: &Limits, task: &Task) -> RolloutRecord {
    let plan = Plan {
        id: PlanId::from("plan-1"),
        parent: None,
        generation: 1,
        made_at: Timestamp::from_unix_ms(0),
        input_digest: String::new(),
        moves: vec![relocation(task)],
        later: Vec::new(),
        effects: Vec::new(),
        costs: None,
        rejected: Vec::new(),
        unlisted: Vec::new(),
    };
    let trial = Trial::Waived {
        by: "policy p".to_owned(),
        reason: "no staging mesh".to_owned(),
        at: Timestamp::from_unix_ms(0),
    };
    RolloutRecord::new(
        RolloutId::from("plan-1.0"),
        &plan,
        relocation(task),
        trial,
        limits,
        Timestamp::from_unix_ms(0),
    )
}

/// What happens between two looks of the executor.
#[derive(Clone, Debug)]
struct Turn {
    passes_ms: i64,
    crash: bool,
    /// The action: 0..=5 works, 6 fails without effect, 7 fails with its effect, 8 works and is lost in a crash.
    action: u8,
    /// Each probe: 0..=5 true to the world, 6 no answer.
    source_probe: u8,
    target_probe: u8,
    weights_probe: u8,
    /// 0..=6 pass, 7 inconclusive, 8 too slow, 9 failing, 10 nothing known.
    gate: u8,
    drained: u8,
    validity: u8,
    abort: bool,
    /// 0..=19 nothing, 20 the source stops answering, 21 it answers again, 22 the target stops answering, 23 it answers
    /// again, 24 somebody writes other weights.
    mishap: u8,
}

fn turn() -> impl Strategy<Value = Turn> {
    let first = (1_i64..40_000, prop::bool::weighted(0.1), 0_u8..9, 0_u8..7, 0_u8..7, 0_u8..7);
    let second = (0_u8..11, 0_u8..4, 0_u8..12, prop::bool::weighted(0.01), 0_u8..25);
    (first, second).prop_map(|(a, b)| Turn {
        passes_ms: a.0,
        crash: a.1,
        action: a.2,
        source_probe: a.3,
        target_probe: a.4,
        weights_probe: a.5,
        gate: b.0,
        drained: b.1,
        validity: b.2,
        abort: b.3,
        mishap: b.4,
    })
}

/// The kindest turn: everything works and a minute passes.
fn calm() -> Turn {
    Turn {
        passes_ms: 60_000,
        crash: false,
        action: 0,
        source_probe: 0,
        target_probe: 0,
        weights_probe: 0,
        gate: 0,
        drained: 0,
        validity: 0,
        abort: false,
        mishap: 0,
    }
}

/// The two ends as they really are.
#[expect(clippy::struct_excessive_bools, reason = "two facts of each end")]
#[derive(Clone, Debug)]
struct World {
    source_started: bool,
    source_answers: bool,
    target_started: bool,
    target_answers: bool,
    weights: PairWeights,
    traffic: Traffic,
}

impl World {
    fn new(task: &Task) -> Self {
        Self {
            source_started: true,
            source_answers: true,
            target_started: task.shift,
            target_answers: task.shift,
            weights: task.traffic.before,
            traffic: task.traffic,
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Prepare | Action::TryMove | Action::LetGo => {}
            Action::StartTarget => (self.target_started, self.target_answers) = (true, true),
            Action::StartSource => (self.source_started, self.source_answers) = (true, true),
            Action::StopTarget => (self.target_started, self.target_answers) = (false, false),
            Action::StopSource => (self.source_started, self.source_answers) = (false, false),
            Action::SetTraffic { target_percent } => self.weights = self.traffic.at(target_percent),
        }
    }

    fn befall(&mut self, mishap: u8) {
        match mishap {
            20 => self.source_answers = false,
            21 => self.source_answers = self.source_started,
            22 => self.target_answers = false,
            23 => self.target_answers = self.target_started,
            24 if self.target_answers && self.source_answers => {
                self.weights = PairWeights { source: 60, target: 40 };
            }
            _ => {}
        }
    }
}

fn verdict(kind: u8) -> Option<GateVerdict> {
    let outcome = match kind {
        0..=6 => GateOutcome::Pass,
        7 => GateOutcome::Inconclusive,
        8 => GateOutcome::FailLatency,
        9 => GateOutcome::FailErrors,
        _ => return None,
    };
    Some(GateVerdict { outcome, target: None, baseline: None, why: "numbers".to_owned() })
}

/// An executor in miniature: it observes, asks the machine, stores, acts.
struct Run {
    record: RolloutRecord,
    limits: Limits,
    world: World,
    now: Timestamp,
    attempt: Option<Attempt>,
}

impl Run {
    fn observe(&self, turn: &Turn) -> Observation {
        let probe = |kind: u8, truth: bool| (kind < 6).then_some(truth);
        let who_why = || AbortRequest { who: "sre".to_owned(), why: "no".to_owned(), at: self.now };
        Observation {
            overtaken: None,
            validity: match turn.validity {
                0..=9 => Some(Validity::Holds),
                10 => None,
                _ => Some(Validity::Changed("the breach is gone".to_owned())),
            },
            predecessor: None,
            abort: turn.abort.then(who_why),
            target_ready: self
                .record
                .target
                .as_ref()
                .and_then(|_| probe(turn.target_probe, self.world.target_answers)),
            source_ready: probe(turn.source_probe, self.world.source_answers),
            weights: (turn.weights_probe < 6).then_some(self.world.weights),
            gate: verdict(turn.gate),
            drained: match turn.drained {
                0 | 1 => Some(true),
                2 => Some(false),
                _ => None,
            },
            attempt: self.attempt.clone(),
        }
    }

    /// One look and what follows from it, with every promise checked.
    fn take(&mut self, turn: &Turn) -> Result<(), TestCaseError> {
        self.world.befall(turn.mishap);
        self.now = self.now.plus_ms(turn.passes_ms);
        if turn.crash {
            self.attempt = None;
            let stored = serde_json::to_string(&self.record).unwrap();
            self.record = serde_json::from_str::<RolloutRecord>(&stored).unwrap();
            self.record = self.record.clone().resumed(&self.limits, self.now);
        }
        for _ in 0..50 {
            let seen = self.observe(turn);
            match step(&self.record, &seen, &self.limits, self.now) {
                Next::Finished => return Ok(()),
                Next::Wait { until, .. } => {
                    prop_assert!(until >= self.now || self.record.state.is_last());
                    return Ok(());
                }
                Next::Transition { to, why } => {
                    prop_assert!(!why.is_empty());
                    prop_assert!(!self.record.state.is_last(), "{} was left for {to}", self.record.state);
                    self.record = self.record.entered(to, why, &self.limits, self.now);
                    self.attempt = None;
                }
                Next::Do(action) => {
                    if !self.act(action, &seen, turn)? {
                        return Ok(());
                    }
                }
            }
        }
        prop_assert!(false, "50 steps without a wait in {}", self.record.state);
        Ok(())
    }

    /// Carries out an action; `false` when the executor was killed by it.
    fn act(&mut self, action: Action, seen: &Observation, turn: &Turn) -> Result<bool, TestCaseError> {
        let Move { traffic, shift_to, .. } = &self.record.relocation;
        let sets = matches!(action, Action::SetTraffic { .. });
        prop_assert!(
            sets || shift_to.is_none(),
            "a shift starts and stops nothing, but it was to {action:?}"
        );
        prop_assert!(
            action == Action::TryMove || self.record.is_permitted(),
            "production was touched by {action:?} before a trial passed"
        );
        match action {
            Action::SetTraffic { target_percent } if target_percent > 0 && shift_to.is_some() => {
                prop_assert_eq!(seen.target_ready, Some(true), "traffic for a target that is not ready");
                let needed = traffic.after.source > 0 || target_percent < 100;
                prop_assert!(
                    !needed || seen.source_ready != Some(false),
                    "traffic of a source that is not ready"
                );
            }
            Action::SetTraffic { target_percent } if target_percent > 0 => {
                prop_assert_eq!(seen.target_ready, Some(true), "traffic for a target that is not ready");
            }
            Action::SetTraffic { .. } => {
                prop_assert_eq!(seen.source_ready, Some(true), "traffic for a source that is not ready");
            }
            Action::StopSource => {
                prop_assert_eq!(seen.target_ready, Some(true));
                prop_assert_eq!(seen.weights, Some(traffic.after));
                prop_assert_eq!(self.record.state, State::Settling { retiring: true });
                let settled = self
                    .record
                    .history
                    .iter()
                    .any(|t| t.to == self.record.state && t.why.starts_with("settled"));
                prop_assert!(settled, "the source was stopped without a settled target");
            }
            Action::StopTarget => {
                prop_assert_eq!(seen.source_ready, Some(true));
                prop_assert_eq!(seen.weights, Some(traffic.before));
            }
            Action::LetGo => prop_assert!(seen.overtaken.is_some(), "nobody replaces anything"),
            Action::TryMove | Action::Prepare | Action::StartTarget | Action::StartSource => {}
        }
        let (works, error) = match turn.action {
            0..=5 | 8 => (true, None),
            6 => (false, Some("exit code 1".to_owned())),
            _ => (true, Some("no answer within 5 s".to_owned())),
        };
        if works {
            self.world.carry_out(action);
        }
        prop_assert!(self.world.source_started || self.world.target_started, "both ends are gone");
        if turn.action == 8 {
            // Killed right after the effect, before anything about it was stored.
            self.attempt = None;
            return Ok(false);
        }
        if action == Action::StartTarget && error.is_none() {
            self.record.target = Some(ReplicaId::from("cart@h2"));
        }
        if action == Action::TryMove && error.is_none() {
            self.record.trial = trials::tried(turn.gate, self.now);
        }
        self.record.attempt += u32::from(error.is_some());
        self.attempt = Some(Attempt { action, at: self.now, error });
        Ok(true)
    }
}

fn start(task: &Task) -> Run {
    let limits = Limits::default();
    let record = record(&limits, task);
    Run { record, limits, world: World::new(task), now: Timestamp::from_unix_ms(0), attempt: None }
}

/// What must be true once it is over. `kind` says that no mishap of the world itself was among the turns.
fn check_end(run: &Run, kind: bool) -> Result<(), TestCaseError> {
    let (state, world) = (run.record.state, &run.world);
    prop_assert!(state.is_last(), "still {state} (deadline {:?}, now {:?})", run.record.deadline, run.now);
    prop_assert!(
        world.weights.source == 0 || world.source_started,
        "weights for a stopped source in {state}"
    );
    prop_assert!(
        world.weights.target == 0 || world.target_started,
        "weights for a stopped target in {state}"
    );
    prop_assert!(world.source_started || world.target_started);
    let shift = run.record.relocation.is_shift();
    prop_assert!(!shift || (world.source_started && world.target_started), "a shift stopped something");
    match state {
        State::Succeeded => {
            prop_assert!(world.target_started && (shift || !world.source_started));
            if kind {
                prop_assert_eq!(world.weights, world.traffic.after);
            }
        }
        State::RolledBack | State::Aborted => {
            prop_assert!(
                world.source_started && (shift || !world.target_started),
                "{:?}",
                run.record.history
            );
            if kind {
                prop_assert_eq!(world.weights, world.traffic.before);
            }
        }
        _ => prop_assert!(run.record.why().contains("Remedy: "), "{}", run.record.why()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn keeps_its_promises_whatever_happens(
        turns in prop::collection::vec(turn(), 0..120),
        task in task(),
    ) {
        let mut run = start(&task);
        for turn in &turns {
            run.take(turn)?;
        }
        // Whatever the world did so far, a calm end is one of the ends that were promised.
        for _ in 0..60 {
            run.take(&calm())?;
        }
        check_end(&run, turns.iter().all(|t| t.mishap < 20))?;
    }

    #[test]
    fn deadlines_end_it_even_when_nothing_ever_works_again(
        turns in prop::collection::vec(turn(), 0..60),
        action in 6_u8..8,
        blind in any::<bool>(),
        task in task(),
    ) {
        let mut run = start(&task);
        for turn in &turns {
            run.take(turn)?;
        }
        let probe = if blind { 6 } else { 0 };
        let hopeless = Turn {
            action, gate: 10, drained: 3, source_probe: probe, target_probe: probe, weights_probe: probe, ..calm()
        };
        for _ in 0..120 {
            run.take(&hopeless)?;
        }
        prop_assert!(run.record.state.is_last(), "still {}", run.record.state);
    }
}

/// The states of a run as text.
fn path(run: &Run) -> Vec<String> {
    run.record.history.iter().map(|t| t.to.to_string()).collect()
}

#[test]
fn the_calm_run_goes_through_every_state_in_order() {
    let mut run = start(&Task::whole(&[10, 25, 50, 100]));
    for _ in 0..20 {
        run.take(&Turn { passes_ms: 30_000, ..calm() }).unwrap();
    }
    assert_eq!(
        path(&run),
        [
            "Trial",
            "Reserving",
            "Surging",
            "Ramping(0)",
            "Ramping(1)",
            "Ramping(2)",
            "Draining",
            "Settling",
            "Settling(retiring)",
            "Succeeded"
        ]
    );
    assert_eq!(run.record.history[1].why, "the trial was waived by policy p: no staging mesh");
}

/// Takes calm turns of a whole move until the state is reached.
fn reach(wanted: State) -> Run {
    reach_of(&Task::whole(&[50, 100]), wanted)
}

/// Takes calm turns until the state is reached.
fn reach_of(task: &Task, wanted: State) -> Run {
    let mut run = start(task);
    run.limits.dwell_ms = 1;
    for _ in 0..100_000 {
        if run.record.state == wanted {
            return run;
        }
        run.take(&Turn { passes_ms: 1_000, ..calm() }).unwrap();
    }
    panic!("{wanted} was not reached: {:?}", path(&run));
}

#[test]
fn an_operator_can_stop_it_until_the_source_is_being_stopped() {
    let states = [
        (State::Pending, State::Aborted),
        (State::Surging, State::Aborted),
        (State::Ramping { step: 0 }, State::Aborted),
        (State::Draining, State::Aborted),
        (State::Settling { retiring: false }, State::Aborted),
        (State::Settling { retiring: true }, State::Succeeded),
    ];
    for (at, ends) in states {
        let mut run = reach(at);
        run.take(&Turn { abort: true, passes_ms: 10, ..calm() }).unwrap();
        for _ in 0..60 {
            run.take(&calm()).unwrap();
        }
        assert_eq!(run.record.state, ends, "aborted in {at}: {:?}", path(&run));
        check_end(&run, true).unwrap();
    }
}

#[test]
fn no_data_is_not_success() {
    for at in [State::Ramping { step: 0 }, State::Settling { retiring: false }] {
        for gate in [7, 10] {
            let mut run = reach(at);
            for _ in 0..30 {
                run.take(&Turn { gate, ..calm() }).unwrap();
            }
            assert_eq!(run.record.state, State::RolledBack, "{at}, gate {gate}");
            let turned = run.record.history.iter().find(|t| t.to.phase() == Phase::RollingBack).unwrap();
            assert!(
                turned.why.starts_with("no verdict in time, and no data is not success: "),
                "{}",
                turned.why
            );
        }
    }
}

#[test]
fn failures_turn_it_back_before_the_step_is_over() {
    let states = [State::Ramping { step: 0 }, State::Draining, State::Settling { retiring: false }];
    for at in states {
        let mut run = reach(at);
        run.take(&Turn { gate: 9, drained: 3, passes_ms: 10, ..calm() }).unwrap();
        let turned = &run.record.history.iter().find(|t| t.to.phase() == Phase::RollingBack);
        assert!(turned.is_some_and(|t| t.from == at && t.why == "the gate failed: numbers"), "{at}");
    }
}

#[test]
fn a_source_that_dies_while_ramping_is_not_waited_for() {
    let mut run = reach(State::Ramping { step: 0 });
    run.take(&Turn { mishap: 20, passes_ms: 10, ..calm() }).unwrap();
    assert_eq!(run.record.state, State::Draining);
    assert_eq!(run.record.why(), "the source on h1 stopped answering and the target is ready");
}

#[test]
fn a_failure_names_what_is_left_and_the_remedy() {
    let mut run = reach(State::Settling { retiring: false });
    for _ in 0..60 {
        run.take(&Turn { action: 6, ..calm() }).unwrap();
    }
    assert_eq!(run.record.state, State::Failed);
    assert_eq!(
        run.record.why(),
        "the source on h1 could not be stopped: exit code 1. Left: h2 was given all traffic; the replica on h1 gets none \
         but may still run. Remedy: stop it by hand"
    );
}

#[test]
fn the_next_move_of_a_plan_waits_for_the_one_before_it() {
    let (limits, late) = (Limits::default(), Timestamp::from_unix_ms(10_000_000));
    let record = record(&limits, &Task::whole(&[100]));
    let ask = |predecessor, now| {
        let seen = Observation {
            predecessor: Some(predecessor),
            validity: Some(Validity::Holds),
            ..Observation::default()
        };
        step(&record, &seen, &limits, now)
    };
    assert!(matches!(ask(Predecessor::Running, late), Next::Wait { .. }));
    assert!(matches!(ask(Predecessor::Stopped, late), Next::Transition { to: State::Aborted, .. }));
    assert!(matches!(ask(Predecessor::Succeeded(late), late), Next::Wait { .. }), "the wait starts again");
    let after = late.plus_ms(limits.revalidate_after_ms);
    assert!(matches!(ask(Predecessor::Succeeded(late), after), Next::Transition { to: State::Trial, .. }));
}
