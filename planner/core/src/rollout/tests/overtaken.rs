//! Somebody else replaces what moves: nothing of the move may stay in the way of their pods.
use super::*;

fn seen() -> Observation {
    Observation {
        overtaken: Some("the template was changed".to_owned()),
        // However well both look: they go.
        target_ready: Some(true),
        source_ready: Some(true),
        ..Observation::default()
    }
}

fn let_go(from: Phase, aborted: bool) -> State {
    State::RollingBack { from, stage: Stage::LetGo, aborted }
}

#[test]
fn a_move_that_is_overtaken_is_given_up_from_any_state_that_has_done_something() {
    let back = |stage, aborted| State::RollingBack { from: Phase::Ramping, stage, aborted };
    let cases = [
        (State::Reserving, None),
        (State::Surging, Some(let_go(Phase::Surging, false))),
        (State::Ramping { step: 1 }, Some(let_go(Phase::Ramping, false))),
        (State::Draining, Some(let_go(Phase::Draining, false))),
        (State::Settling { retiring: false }, Some(let_go(Phase::Settling, false))),
        (State::Settling { retiring: true }, Some(let_go(Phase::Settling, false))),
        (back(Stage::Shift, false), Some(let_go(Phase::Ramping, false))),
        (back(Stage::Drain, true), Some(let_go(Phase::Ramping, true))),
        (back(Stage::Stop, true), Some(let_go(Phase::Ramping, true))),
        (State::Succeeded, None),
    ];
    let limits = Limits::default();
    for (state, want) in cases {
        let begun = record(&limits, &Task::whole(&[10, 50, 100]));
        let entered = begun.entered(state, "because", &limits, Timestamp::from_unix_ms(1));
        let to = match step(&entered, &seen(), &limits, Timestamp::from_unix_ms(2)) {
            Next::Transition { to, why } => {
                assert!(want.is_none() || why.contains("the template was changed"), "{state}: {why}");
                Some(to)
            }
            _ => None,
        };
        assert_eq!(
            to.filter(|to| matches!(to, State::RollingBack { stage: Stage::LetGo, .. })),
            want,
            "{state}"
        );
    }
}

#[test]
fn what_was_there_for_it_is_taken_away_again_and_again_until_it_is_or_a_human_is_told() {
    let limits = Limits::default();
    for (aborted, last) in [(false, State::RolledBack), (true, State::Aborted)] {
        let state = let_go(Phase::Ramping, aborted);
        let begun = record(&limits, &Task::whole(&[50, 100]));
        let entered = begun.entered(state, "because", &limits, Timestamp::from_unix_ms(1));
        let at = |attempt: Option<Option<&str>>, now: i64| {
            let attempt = attempt.map(|error| Attempt {
                action: Action::LetGo,
                at: Timestamp::from_unix_ms(1),
                error: error.map(str::to_owned),
            });
            // It need not be seen any more once it was.
            let seen = Observation { attempt, ..Observation::default() };
            step(&entered, &seen, &limits, Timestamp::from_unix_ms(now))
        };
        assert_eq!(at(None, 2), Next::Do(Action::LetGo));
        assert!(matches!(at(Some(Some("no answer")), 2), Next::Wait { .. }));
        assert_eq!(at(Some(Some("no answer")), 1 + limits.retry_ms), Next::Do(Action::LetGo));
        let Next::Transition { to, .. } = at(Some(None), 2) else { panic!("it is done") };
        assert_eq!(to, last);
        let late = entered.deadline.unix_ms();
        let Next::Transition { to, why } = at(Some(Some("no answer")), late) else { panic!("it is late") };
        assert_eq!(to, State::Failed);
        assert!(why.contains("no answer") && why.contains("Remedy"), "{why}");
    }
}
