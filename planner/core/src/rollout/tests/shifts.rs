//! Shifts of traffic and moves that take a part of their weight along.
use super::*;

fn pair(source: u32, target: u32) -> PairWeights {
    PairWeights { source, target }
}

/// Half of what the source has goes to a replica that has as much.
fn half(ramp: &[u8]) -> Task {
    Task { ramp: ramp.to_vec(), traffic: Traffic::shifted(pair(100, 100), 50), shift: true }
}

/// A whole replica goes where it gets half of its traffic.
fn part() -> Task {
    Task { ramp: vec![50, 100], traffic: Traffic::of_replica(100, 50), shift: false }
}

fn finish(run: &mut Run, turn: &Turn) {
    for _ in 0..60 {
        run.take(turn).unwrap();
    }
    check_end(run, true).unwrap();
}

#[test]
fn a_calm_run_ends_with_the_planned_weights() {
    let shift = ["Trial", "Ramping(0)", "Settling", "Succeeded"];
    let cases: [(&str, Task, &[&str], PairWeights); 4] = [
        ("a shift", half(&[50, 100]), &shift, pair(50, 150)),
        ("a shift in one step", half(&[100]), &["Trial", "Settling", "Succeeded"], pair(50, 150)),
        (
            "a shift of all that the source has",
            Task { traffic: Traffic::shifted(pair(40, 0), 100), ..half(&[50, 100]) },
            &shift,
            pair(0, 40),
        ),
        (
            "a move with a part of the weight",
            part(),
            &[
                "Trial",
                "Reserving",
                "Surging",
                "Ramping(0)",
                "Draining",
                "Settling",
                "Settling(retiring)",
                "Succeeded",
            ],
            pair(0, 50),
        ),
    ];
    for (name, task, states, weights) in cases {
        let mut run = start(&task);
        assert_eq!(run.record.target.is_some(), task.shift, "case: {name}: the target of a shift is known");
        finish(&mut run, &Turn { passes_ms: 30_000, ..calm() });
        assert_eq!(path(&run), states, "case: {name}");
        assert_eq!(run.world.weights, weights, "case: {name}");
    }
}

#[test]
fn an_operator_gets_the_weights_of_before() {
    let settling = State::Settling { retiring: false };
    for (task, at) in [
        (half(&[50, 100]), State::Pending),
        (half(&[50, 100]), State::Trial),
        (half(&[50, 100]), State::Ramping { step: 0 }),
        (half(&[50, 100]), settling),
        (part(), State::Ramping { step: 0 }),
        (part(), State::Draining),
        (part(), settling),
    ] {
        let mut run = reach_of(&task, at);
        run.take(&Turn { abort: true, passes_ms: 10, ..calm() }).unwrap();
        finish(&mut run, &calm());
        assert_eq!(run.record.state, State::Aborted, "aborted in {at}: {:?}", path(&run));
        assert_eq!(run.world.weights, task.traffic.before, "aborted in {at}");
    }
}

#[test]
fn a_target_that_stops_answering_gives_its_share_back() {
    for at in [State::Ramping { step: 0 }, State::Settling { retiring: false }] {
        let mut run = reach_of(&half(&[50, 100]), at);
        run.take(&Turn { mishap: 22, passes_ms: 10, ..calm() }).unwrap();
        finish(&mut run, &calm());
        assert_eq!(run.record.state, State::RolledBack, "{at}: {:?}", path(&run));
        assert_eq!(run.world.weights, pair(100, 100), "{at}");
        let turned = run.record.history.iter().find(|t| t.to.phase() == Phase::RollingBack).unwrap();
        assert_eq!(turned.why, "the replica on h2 stopped answering");
    }
}

#[test]
fn a_source_that_stops_answering_gets_nothing_back() {
    for (at, given) in [
        (State::Ramping { step: 0 }, "75 for the source and 125 for the target"),
        (State::Settling { retiring: false }, "50 for the source and 150 for the target"),
    ] {
        let mut run = reach_of(&half(&[50, 100]), at);
        run.take(&Turn { passes_ms: 10, ..calm() }).unwrap();
        let before = run.world.weights;
        run.take(&Turn { mishap: 20, passes_ms: 10, ..calm() }).unwrap();
        assert_eq!(run.record.state, at, "it may come back");
        finish(&mut run, &calm());
        assert_eq!(run.record.state, State::Failed, "{at}");
        assert_eq!(run.world.weights, before, "{at}");
        assert_eq!(
            run.record.why(),
            format!(
                "the source on h1 does not answer, so the shift could not be judged. Left: the weights are {given}; no \
                 replica was started or stopped. Remedy: see that the replica on h1 answers; what is decided next starts \
                 from these weights, those of before were 100 for the source and 100 for the target"
            )
        );
    }
}

#[test]
fn a_source_that_is_to_have_nothing_is_not_waited_for() {
    let all = Task { traffic: Traffic::shifted(pair(100, 100), 100), ..half(&[50, 100]) };
    for at in [State::Ramping { step: 0 }, State::Settling { retiring: false }] {
        let mut run = reach_of(&all, at);
        run.take(&Turn { passes_ms: 10, ..calm() }).unwrap();
        run.take(&Turn { mishap: 20, passes_ms: 10, ..calm() }).unwrap();
        assert_eq!(run.record.state, State::Settling { retiring: false }, "{at}: {:?}", path(&run));
        finish(&mut run, &calm());
        assert_eq!(run.record.state, State::Succeeded, "{at}: {:?}", path(&run));
        assert_eq!(run.world.weights, pair(0, 200), "{at}");
        assert!(!run.world.source_answers, "{at}: nobody started it");
    }
}

#[test]
fn a_source_that_answers_again_in_time_is_no_reason_to_stop() {
    let mut run = reach_of(&half(&[50, 100]), State::Ramping { step: 0 });
    run.take(&Turn { mishap: 20, passes_ms: 90_000, ..calm() }).unwrap();
    assert_eq!(run.record.state, State::Ramping { step: 0 });
    run.take(&Turn { mishap: 21, passes_ms: 10, ..calm() }).unwrap();
    finish(&mut run, &calm());
    assert_eq!(run.record.state, State::Succeeded, "{:?}", path(&run));
}

/// The planner was down past the deadline: one check that fails then is no reason to give up at once.
#[test]
fn after_a_restart_the_source_is_waited_for_again() {
    let mut run = reach_of(&half(&[50, 100]), State::Ramping { step: 0 });
    run.take(&Turn { passes_ms: 10, ..calm() }).unwrap();
    run.take(&Turn { crash: true, mishap: 20, passes_ms: 6 * 3_600_000, ..calm() }).unwrap();
    assert_eq!(run.record.state, State::Ramping { step: 0 }, "{:?}", path(&run));
    run.take(&Turn { mishap: 21, passes_ms: 10, ..calm() }).unwrap();
    finish(&mut run, &calm());
    assert_eq!(run.record.state, State::Succeeded, "{:?}", path(&run));
}

#[test]
fn a_source_that_cannot_be_stopped_is_named_with_what_the_target_got() {
    let mut run = reach_of(&part(), State::Settling { retiring: false });
    for _ in 0..60 {
        run.take(&Turn { action: 6, ..calm() }).unwrap();
    }
    assert_eq!(run.record.state, State::Failed);
    let left = "Left: h2 was given its part of the traffic; the replica on h1 gets none but may still run.";
    assert!(run.record.why().contains(left), "{}", run.record.why());
}

#[test]
fn on_the_way_back_a_source_that_does_not_answer_gets_nothing_either() {
    let mut run = reach_of(&half(&[50, 100]), State::Settling { retiring: false });
    run.take(&Turn { passes_ms: 10, ..calm() }).unwrap();
    run.take(&Turn { abort: true, mishap: 20, passes_ms: 10, ..calm() }).unwrap();
    finish(&mut run, &calm());
    assert_eq!(run.record.state, State::Failed, "{:?}", path(&run));
    assert_eq!(run.world.weights, pair(50, 150));
    let why =
        "the traffic could not be given back to the source on h1 (not ready): no error was reported. Left: ";
    assert!(run.record.why().starts_with(why), "{}", run.record.why());
}

#[test]
fn other_weights_than_planned_stop_it_before_anything_is_done() {
    for (task, weights, ends) in [
        (half(&[50, 100]), pair(60, 140), State::Aborted),
        (part(), pair(60, 0), State::Aborted),
        (half(&[50, 100]), pair(100, 100), State::Succeeded),
        // There is only one way to move a replica with all that it has.
        (Task::whole(&[50, 100]), pair(60, 0), State::Succeeded),
    ] {
        let mut run = start(&task);
        run.world.weights = weights;
        for _ in 0..60 {
            run.take(&calm()).unwrap();
        }
        assert_eq!(run.record.state, ends, "{task:?} with {weights:?}: {:?}", path(&run));
        if ends == State::Aborted {
            assert_eq!(run.world.weights, weights);
            assert!(run.record.why().ends_with("; nothing was done"), "{}", run.record.why());
        }
    }
}
