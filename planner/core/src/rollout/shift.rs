//! A shift of traffic between two replicas that run and go on running: weights go there, or go back, and that is all.
//!
//! A source that stops answering gets no traffic back, because it could not serve it, and is not started, because a shift
//! did not stop it. What the target was given stays with it, and a human is told.
use super::{
    Action, Next, State,
    machine::{Moment, weights_in_words},
    rolling_back::readiness,
};

pub(super) fn step(at: &Moment<'_>) -> Next {
    match at.record.state {
        State::Pending => at.pending(),
        State::Trial => at.trial(),
        // No shift enters these by itself; there is nothing to prepare, to start or to drain.
        State::Reserving | State::Surging | State::Draining => {
            at.after_ramp(None, "both replicas of a shift run already".to_owned())
        }
        State::Ramping { step } => at.ramping(step),
        State::Settling { .. } => at.settling(),
        State::RollingBack { aborted, .. } => give_back(at, aborted),
        State::Succeeded | State::RolledBack | State::Aborted | State::Failed => Next::Finished,
    }
}

/// The source does not answer on the way on.
///
/// One that is to keep a share may come back until the deadline. Meanwhile nothing is judged, for there is nothing to
/// compare with, and no weight is changed. One that is to have nothing in the end is not needed any more: a target that
/// is ready gets all of it at once. `None` when that is where the rollout is.
pub(super) fn source_lost(at: &Moment<'_>, percent: u8) -> Option<Next> {
    let source = &at.record.relocation.from;
    if at.record.relocation.traffic.after.source == 0 && at.seen.target_ready == Some(true) {
        let why = format!("the source on {source} stopped answering and the target is ready");
        let to = State::Settling { retiring: false };
        return (percent < 100).then_some(Next::Transition { to, why });
    }
    if !at.is_late() {
        return Some(at.wait(format!("the source on {source} to answer again")));
    }
    if at.has_weights(0) {
        let why = format!("the source on {source} does not answer; no traffic was shifted");
        return Some(Next::Transition { to: State::RolledBack, why });
    }
    Some(failed(at, &format!("the source on {source} does not answer, so the shift could not be judged")))
}

/// The weights of before, as soon as the source can take them.
fn give_back(at: &Moment<'_>, aborted: bool) -> Next {
    let source = &at.record.relocation.from;
    if at.has_weights(0) {
        let to = if aborted { State::Aborted } else { State::RolledBack };
        return at.go(to, "both replicas have their shares of before");
    }
    if at.is_late() {
        let (ready, error) = (readiness(at.seen.source_ready), at.seen.last_error());
        let why = format!("the traffic could not be given back to the source on {source} ({ready}): {error}");
        return failed(at, &why);
    }
    match at.seen.source_ready {
        Some(true) => at.perform(Action::SetTraffic { target_percent: 0 }),
        Some(false) => at.wait(format!("the source on {source} to answer again")),
        None => at.wait(format!("an answer whether the source on {source} is ready")),
    }
}

/// Neither on nor back: says what is left and what a human can do about it.
fn failed(at: &Moment<'_>, why: &str) -> Next {
    let why = format!(
        "{why}. Left: the weights are {}; no replica was started or stopped. Remedy: see that the replica on {} answers; what \
         is decided next starts from these weights, those of before were {}",
        weights_in_words(at.seen.weights),
        at.record.relocation.from,
        weights_in_words(Some(at.record.relocation.traffic.at(0))),
    );
    Next::Transition { to: State::Failed, why }
}
