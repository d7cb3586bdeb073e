//! The way back: weights to the source, then the target quiet, then the target stopped.
//!
//! The source is started again when it stopped answering, and until it answers the traffic stays on the target as long as
//! that one is ready: turning back must never be worse than where it turned.
use super::{
    Action, Next, Phase, Stage, State,
    machine::{Moment, weights_in_words},
};

pub(super) fn shift(at: &Moment<'_>, from: Phase, aborted: bool) -> Next {
    let (source, target) = (&at.record.relocation.from, &at.record.relocation.to);
    if at.seen.source_ready == Some(true) && at.has_weights(0) {
        let to = State::RollingBack { from, stage: Stage::Drain, aborted };
        return at.go(to, format!("the source on {source} has all traffic again"));
    }
    if at.is_late() {
        let why = format!(
            "the traffic could not be given back to the source on {source} ({}): {}. Left: the replica on {target} was not \
             stopped, and the weights are {}. Remedy: see that one of the two answers and has the traffic, then stop the other",
            readiness(at.seen.source_ready),
            at.seen.last_error(),
            weights_in_words(at.seen.weights),
        );
        return Next::Transition { to: State::Failed, why };
    }
    match (at.seen.source_ready, at.seen.target_ready) {
        (Some(true), _) => at.perform(Action::SetTraffic { target_percent: 0 }),
        (Some(false), Some(true)) if !at.has_weights(100) => {
            at.perform(Action::SetTraffic { target_percent: 100 })
        }
        (Some(false), _) => at.perform(Action::StartSource),
        (None, _) => at.wait(format!("an answer whether the source on {source} is ready")),
    }
}

pub(super) fn drain(at: &Moment<'_>, from: Phase, aborted: bool) -> Next {
    if let Some(next) = source_lost(at, from, aborted) {
        return next;
    }
    let target = &at.record.relocation.to;
    let stop = State::RollingBack { from, stage: Stage::Stop, aborted };
    if from == Phase::Surging {
        return at.go(stop, format!("the replica on {target} never had traffic"));
    }
    if at.seen.drained == Some(true) {
        return at.go(stop, format!("the replica on {target} is quiet"));
    }
    if at.elapsed_ms() >= at.limits.drain_limit_ms || at.is_late() {
        let why = format!(
            "the replica on {target} was not seen to be quiet within {} s; it gets no new requests, and streams that are still \
             open are cut when it stops",
            at.limits.drain_limit_ms / 1000
        );
        return at.go(stop, why);
    }
    at.wait(format!("the replica on {target} to be quiet"))
}

pub(super) fn stop(at: &Moment<'_>, from: Phase, aborted: bool) -> Next {
    let (source, target) = (&at.record.relocation.from, &at.record.relocation.to);
    if at.seen.did(Action::StopTarget) {
        let to = if aborted { State::Aborted } else { State::RolledBack };
        return at.go(to, format!("the replica on {target} is stopped; {source} serves as before"));
    }
    if let Some(next) = source_lost(at, from, aborted) {
        return next;
    }
    if at.is_late() {
        let why = format!(
            "the replica on {target} could not be stopped: {}. Left: the source on {source} ({}) was given all traffic; the \
             replica on {target} gets none but may still run. Remedy: stop it by hand",
            at.seen.last_error(),
            readiness(at.seen.source_ready),
        );
        return Next::Transition { to: State::Failed, why };
    }
    if at.seen.source_ready == Some(true) && at.has_weights(0) {
        return at.perform(Action::StopTarget);
    }
    at.wait(format!("an answer whether the source on {source} is ready and has the traffic"))
}

/// No way back is left, because both ends are replaced: everybody gets traffic as if nothing had been moved.
pub(super) fn let_go(at: &Moment<'_>, aborted: bool) -> Next {
    if at.seen.did(Action::LetGo) {
        let to = if aborted { State::Aborted } else { State::RolledBack };
        return at.go(to, "nothing of the move is left, and the replicas are those of whoever replaced them");
    }
    if at.is_late() {
        let why = format!(
            "what was there for the move could not be taken away: {}. Left: weights, and perhaps a replica too many. Remedy: see \
             what the error names; a planner that starts anew takes it away",
            at.seen.last_error(),
        );
        return Next::Transition { to: State::Failed, why };
    }
    at.perform(Action::LetGo)
}

/// Back to the weights, when the source stopped answering or someone changed the weights meanwhile.
fn source_lost(at: &Moment<'_>, from: Phase, aborted: bool) -> Option<Next> {
    let why = if at.seen.source_ready == Some(false) {
        format!("the source on {} stopped answering", at.record.relocation.from)
    } else if at.seen.weights.is_some() && !at.has_weights(0) {
        format!("the weights were changed by someone else: {}", weights_in_words(at.seen.weights))
    } else {
        return None;
    };
    Some(Next::Transition { to: State::RollingBack { from, stage: Stage::Shift, aborted }, why })
}

pub(super) fn readiness(ready: Option<bool>) -> &'static str {
    match ready {
        Some(true) => "ready",
        Some(false) => "not ready",
        None => "could not be asked",
    }
}
