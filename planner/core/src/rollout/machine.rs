//! The way on: from pending to the stopped source. The way back is in `rolling_back`.
use super::{
    Action, Limits, Next, Observation, RolloutRecord, Stage, State, Validity,
    gate::{GateOutcome, GateVerdict},
    observation::Predecessor,
    rolling_back, shift,
};
use crate::{
    plan::PairWeights,
    time::Timestamp,
    trial::{Trial, TrialReport, TrialVerdict},
};

/// What comes next for a rollout, given what is known of the world.
///
/// It is asked again after every action and every change of state, until it says to wait or that it is over.
pub fn step(record: &RolloutRecord, seen: &Observation, limits: &Limits, now: Timestamp) -> Next {
    let at = Moment { record, seen, limits, now };
    if let Some(next) = at.abort() {
        return next;
    }
    if record.relocation.is_shift() {
        return shift::step(&at);
    }
    if let Some(next) = at.overtaken() {
        return next;
    }
    match record.state {
        State::Pending => at.pending(),
        State::Trial => at.trial(),
        State::Reserving => at.reserving(),
        State::Surging => at.surging(),
        State::Ramping { step } => at.ramping(step),
        State::Draining => at.draining(),
        State::Settling { retiring: false } => at.settling(),
        State::Settling { retiring: true } => at.retiring(),
        State::RollingBack { from, stage, aborted } => match stage {
            Stage::Shift => rolling_back::shift(&at, from, aborted),
            Stage::Drain => rolling_back::drain(&at, from, aborted),
            Stage::Stop => rolling_back::stop(&at, from, aborted),
            Stage::LetGo => rolling_back::let_go(&at, aborted),
        },
        State::Succeeded | State::RolledBack | State::Aborted | State::Failed => Next::Finished,
    }
}

/// Everything that a decision is made from.
pub(super) struct Moment<'a> {
    pub(super) record: &'a RolloutRecord,
    pub(super) seen: &'a Observation,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
}

impl Moment<'_> {
    /// Milliseconds in this state.
    pub(super) fn elapsed_ms(&self) -> i64 {
        self.now.ms_since(self.record.entered_at)
    }

    pub(super) fn is_late(&self) -> bool {
        self.now >= self.record.deadline
    }

    pub(super) fn wait(&self, why: impl Into<String>) -> Next {
        Next::Wait { until: self.record.deadline.max(self.now), why: why.into() }
    }

    /// Goes on, but not before the state could be seen.
    pub(super) fn go(&self, to: State, why: impl Into<String>) -> Next {
        if self.elapsed_ms() < self.limits.dwell_ms {
            let until = self.record.entered_at.plus_ms(self.limits.dwell_ms);
            return Next::Wait { until, why: "the least time in each state".to_owned() };
        }
        Next::Transition { to, why: why.into() }
    }

    /// Turns back at once.
    fn turn_back(&self, why: impl Into<String>) -> Next {
        let from = self.record.state.phase();
        let to = State::RollingBack { from, stage: Stage::Shift, aborted: false };
        Next::Transition { to, why: why.into() }
    }

    /// Tries an action, again and again with growing waits. An action that worked but whose effect is not seen is
    /// repeated after the first wait: someone else may have undone it.
    pub(super) fn perform(&self, action: Action) -> Next {
        if let Some(last) = self.seen.attempt.as_ref().filter(|last| last.action == action) {
            let next = last.at.plus_ms(self.limits.back_off(self.record.attempt));
            // A clock that was set back must not turn a wait of seconds into one of hours.
            if self.now < next && self.now >= last.at {
                let why = match &last.error {
                    Some(error) => format!("the next try, because the last one failed: {error}"),
                    None => "its effect to be seen".to_owned(),
                };
                return Next::Wait { until: next, why };
            }
        }
        Next::Do(action)
    }

    fn out_of_tries(&self) -> bool {
        self.is_late() || self.record.attempt >= self.limits.attempts
    }

    pub(super) fn has_weights(&self, target_percent: u8) -> bool {
        self.seen.weights == Some(self.record.relocation.traffic.at(target_percent))
    }

    fn abort(&self) -> Option<Next> {
        let abort = self.seen.abort.as_ref()?;
        let why = format!("{} asked to stop: {}", abort.who, abort.why);
        let from = self.record.state.phase();
        let to = match self.record.state {
            State::Pending | State::Trial | State::Reserving => State::Aborted,
            State::Surging
            | State::Ramping { .. }
            | State::Draining
            | State::Settling { retiring: false } => {
                State::RollingBack { from, stage: Stage::Shift, aborted: true }
            }
            _ => return None,
        };
        Some(Next::Transition { to, why })
    }

    /// Traffic that is shared out between two replicas which somebody else replaces would go to nobody in the end.
    fn overtaken(&self) -> Option<Next> {
        let seen = self.seen.overtaken.as_ref()?;
        let (from, aborted) = match self.record.state {
            State::RollingBack { stage: Stage::LetGo, .. } => return None,
            State::RollingBack { from, aborted, .. } => (from, aborted),
            State::Surging | State::Ramping { .. } | State::Draining | State::Settling { .. } => {
                (self.record.state.phase(), false)
            }
            _ => return None,
        };
        let why = format!("the move is given up, because somebody else replaces the replicas: {seen}");
        Some(Next::Transition { to: State::RollingBack { from, stage: Stage::LetGo, aborted }, why })
    }

    pub(super) fn pending(&self) -> Next {
        let since = match self.seen.predecessor {
            Some(Predecessor::Running) => return self.wait("the move before it in the same plan"),
            Some(Predecessor::Stopped) => {
                let why = "the move before it in the same plan did not succeed; nothing was done";
                return Next::Transition { to: State::Aborted, why: why.to_owned() };
            }
            Some(Predecessor::Succeeded(at)) => at.max(self.record.entered_at),
            None => self.record.entered_at,
        };
        let validate_at = since.plus_ms(self.limits.revalidate_after_ms);
        let deadline = since.plus_ms(self.limits.of(State::Pending));
        if self.now >= deadline {
            let why = "the plan could not be validated again in time; nothing was done";
            return Next::Transition { to: State::Aborted, why: why.to_owned() };
        }
        if self.now < validate_at {
            return Next::Wait { until: validate_at, why: "the time to validate the plan again".to_owned() };
        }
        match &self.seen.validity {
            Some(Validity::Holds) => self.go(State::Trial, "validated again: the plan still holds"),
            Some(Validity::Changed(why)) => {
                let why = format!("the plan does not hold any more: {why}; nothing was done");
                Next::Transition { to: State::Aborted, why }
            }
            None => Next::Wait { until: deadline, why: "an answer whether the plan still holds".to_owned() },
        }
    }

    pub(super) fn trial(&self) -> Next {
        let why = match &self.record.trial {
            Trial::Waived { by, reason, .. } => format!("the trial was waived by {by}: {reason}"),
            Trial::Owed { .. } => return self.owed(),
            Trial::Tried { report } => match self.tried(report) {
                Ok(why) => why,
                Err(next) => return next,
            },
        };
        if let Some(next) = self.other_weights() {
            return next;
        }
        if self.record.relocation.is_shift() {
            return self.after_ramp(None, why);
        }
        self.go(State::Reserving, why)
    }

    /// The move is tried in the staging mesh; nothing of production is touched before that.
    fn owed(&self) -> Next {
        if self.out_of_tries() {
            let error = self.seen.last_error();
            let why = format!("the move could not be tried, so nothing was done: {error}");
            return Next::Transition { to: State::Aborted, why };
        }
        self.perform(Action::TryMove)
    }

    /// What came of it. The trial took a while, so the plan must still hold after it; its own load may show in what the
    /// plan is judged on, so there is some time for that to pass.
    fn tried(&self, report: &TrialReport) -> Result<String, Next> {
        let abort = |why: String| Err(Next::Transition { to: State::Aborted, why });
        if report.verdict != TrialVerdict::Pass {
            return abort(format!("the trial {}: {}; nothing was done", said(report.verdict), report.why));
        }
        let until = report.at.plus_ms(self.limits.pending_ms).min(self.record.deadline);
        match &self.seen.validity {
            Some(Validity::Holds) => Ok(format!("the trial passed: {}", report.why)),
            Some(Validity::Changed(why)) if self.now >= until => abort(format!(
                "the trial passed, but the plan does not hold any more: {why}; nothing was done"
            )),
            None if self.now >= until => {
                abort("the plan could not be validated after its trial in time; nothing was done".to_owned())
            }
            _ => Err(Next::Wait { until, why: "the plan to hold after its trial".to_owned() }),
        }
    }

    /// Nothing is done when the weights are not those that the plan was made for: to put them back would change them.
    fn other_weights(&self) -> Option<Next> {
        let planned = self.record.relocation.traffic.at(0);
        if !self.record.depends_on_weights() || self.seen.weights == Some(planned) {
            return None;
        }
        if self.seen.weights.is_none() && !self.is_late() {
            return Some(self.wait("the weights of the two ends"));
        }
        let why = format!(
            "the weights are {}, but the plan was made for {}; nothing was done",
            weights_in_words(self.seen.weights),
            weights_in_words(Some(planned))
        );
        Some(Next::Transition { to: State::Aborted, why })
    }

    fn reserving(&self) -> Next {
        let to = &self.record.relocation.to;
        if self.seen.did(Action::Prepare) {
            return self.go(State::Surging, format!("node {to} is prepared"));
        }
        if self.out_of_tries() {
            let error = self.seen.last_error();
            let why = format!("node {to} could not be prepared: {error}; nothing was started");
            return Next::Transition { to: State::RolledBack, why };
        }
        self.perform(Action::Prepare)
    }

    fn surging(&self) -> Next {
        let to = &self.record.relocation.to;
        let started = self.record.target.is_some();
        if started && self.seen.target_ready == Some(true) {
            return self.after_ramp(None, format!("the replica on {to} is ready"));
        }
        if self.out_of_tries() {
            let limit_s = self.limits.of(State::Surging) / 1000;
            let error = self.seen.last_error();
            let why = format!(
                "the replica on {to} was not ready after {limit_s} s and {} failed starts: {error}",
                self.record.attempt
            );
            return self.turn_back(why);
        }
        if started && self.seen.did(Action::StartTarget) {
            return self.wait(format!("the replica on {to} to be ready"));
        }
        self.perform(Action::StartTarget)
    }

    /// The first or next ramp step, or what comes after them when there is none left.
    pub(super) fn after_ramp(&self, step: Option<usize>, why: String) -> Next {
        let next = step.map_or(0, |s| s + 1);
        if self.record.ramp_percent(next).is_some() {
            return self.go(State::Ramping { step: next }, why);
        }
        self.go(self.after_last_step(), why)
    }

    /// Where the target has all that it is to get.
    fn after_last_step(&self) -> State {
        let shift = self.record.relocation.is_shift();
        if shift { State::Settling { retiring: false } } else { State::Draining }
    }

    pub(super) fn ramping(&self, step: usize) -> Next {
        let Some(percent) = self.record.ramp_percent(step) else {
            return self.go(self.after_last_step(), "there is no such ramp step");
        };
        if let Some(next) = self.ends(percent) {
            return next;
        }
        match self.judged(self.limits.hold_ms) {
            Judged::Pass(why) => self.after_ramp(Some(step), format!("{percent} % passed: {why}")),
            Judged::Other(next) => next,
        }
    }

    /// What the two ends need before anything else counts: a target that answers, and the weights of the state.
    fn ends(&self, percent: u8) -> Option<Next> {
        let (source, target) = (&self.record.relocation.from, &self.record.relocation.to);
        match (self.seen.target_ready, self.seen.source_ready) {
            (Some(false), _) => {
                return Some(self.turn_back(format!("the replica on {target} stopped answering")));
            }
            (_, Some(false)) if self.record.relocation.is_shift() => {
                if let Some(next) = shift::source_lost(self, percent) {
                    return Some(next);
                }
            }
            (Some(true), Some(false)) if percent < 100 => {
                let why = format!("the source on {source} stopped answering and the target is ready");
                return Some(Next::Transition { to: State::Draining, why });
            }
            _ => {}
        }
        if self.has_weights(percent) {
            return None;
        }
        if self.out_of_tries() {
            let error = self.seen.last_error();
            return Some(self.turn_back(format!("the weights of {percent} % could not be set: {error}")));
        }
        if self.seen.target_ready == Some(true) {
            return Some(self.perform(Action::SetTraffic { target_percent: percent }));
        }
        Some(self.wait(format!("an answer whether the replica on {target} is ready")))
    }

    /// The gate after a least time, and failures at once.
    fn judged(&self, hold_ms: i64) -> Judged {
        let held = self.elapsed_ms() >= hold_ms;
        let gate = self.seen.gate.as_ref();
        match gate.map(|g| (g.outcome, g)) {
            Some((GateOutcome::FailErrors, g)) => {
                return Judged::Other(self.turn_back(format!("the gate failed: {}", g.why)));
            }
            Some((GateOutcome::FailLatency, g)) if held => {
                return Judged::Other(self.turn_back(format!("the gate failed: {}", g.why)));
            }
            Some((GateOutcome::Pass, g)) if held && self.seen.target_ready == Some(true) => {
                return Judged::Pass(g.why.clone());
            }
            _ => {}
        }
        let words = gate.map_or("no verdict is known", |g: &GateVerdict| g.why.as_str());
        if self.is_late() {
            let why = format!("no verdict in time, and no data is not success: {words}");
            return Judged::Other(self.turn_back(why));
        }
        if !held {
            let until = self.record.entered_at.plus_ms(hold_ms);
            return Judged::Other(Next::Wait { until, why: "the least time of this step".to_owned() });
        }
        Judged::Other(self.wait(format!("a verdict of the gate: {words}")))
    }

    fn draining(&self) -> Next {
        if let Some(next) = self.ends(100) {
            return next;
        }
        if let Some(gate) = self.seen.gate.as_ref().filter(|g| g.outcome == GateOutcome::FailErrors) {
            return self.turn_back(format!("the gate failed: {}", gate.why));
        }
        let source = &self.record.relocation.from;
        let settling = State::Settling { retiring: false };
        if self.seen.drained == Some(true) {
            return self.go(settling, format!("the source on {source} is quiet"));
        }
        if self.is_late() {
            let why = format!(
                "the source on {source} was not seen to be quiet within {} s; it gets no new requests, and the streams \
                 that are still open finish on it, because it keeps running",
                self.limits.drain_limit_ms / 1000
            );
            return self.go(settling, why);
        }
        self.wait(format!("the source on {source} to be quiet"))
    }

    pub(super) fn settling(&self) -> Next {
        if let Some(next) = self.ends(100) {
            return next;
        }
        match self.judged(self.limits.settle_ms) {
            Judged::Pass(why) => {
                let shift = self.record.relocation.is_shift();
                let to = if shift { State::Succeeded } else { State::Settling { retiring: true } };
                self.go(to, format!("settled: {why}"))
            }
            Judged::Other(next) => next,
        }
    }

    fn retiring(&self) -> Next {
        let (source, target) = (&self.record.relocation.from, &self.record.relocation.to);
        if self.seen.did(Action::StopSource) {
            let why = format!("the source on {source} is stopped; {target} serves");
            return self.go(State::Succeeded, why);
        }
        match (self.seen.target_ready, self.seen.source_ready) {
            (Some(false), Some(true)) => {
                let why = format!("the replica on {target} stopped answering and the source still answers");
                self.turn_back(why)
            }
            _ if self.is_late() => {
                let whole = self.record.relocation.traffic.is_whole();
                let given = if whole { "all traffic" } else { "its part of the traffic" };
                let why = format!(
                    "the source on {source} could not be stopped: {}. Left: {target} was given {given}; the replica on \
                     {source} gets none but may still run. Remedy: stop it by hand",
                    self.seen.last_error()
                );
                Next::Transition { to: State::Failed, why }
            }
            (Some(true), _) if self.has_weights(100) => self.perform(Action::StopSource),
            (Some(true), _) => self.perform(Action::SetTraffic { target_percent: 100 }),
            _ => self.wait(format!("an answer whether the replica on {target} is ready")),
        }
    }
}

/// The weights of a pair, or that they are not known.
pub(super) fn weights_in_words(weights: Option<PairWeights>) -> String {
    weights.map_or_else(
        || "not known".to_owned(),
        |pair| format!("{} for the source and {} for the target", pair.source, pair.target),
    )
}

const fn said(verdict: TrialVerdict) -> &'static str {
    match verdict {
        TrialVerdict::Pass => "passed",
        TrialVerdict::Fail => "failed",
        TrialVerdict::Inconclusive => "was inconclusive, which is not a pass",
    }
}

/// What the gate means for a state.
enum Judged {
    /// It passed, with these numbers.
    Pass(String),
    /// Anything else.
    Other(Next),
}
