//! How long each state may take, and how the gate judges.
use super::{State, gate::GateLimits};

/// Times of a rollout, all in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Wait before the plan is validated once more: a breach forecast that does not last this long moves nothing.
    pub revalidate_after_ms: i64,
    /// How long validation may take after that.
    pub pending_ms: i64,
    /// How long taking note of the trial may take.
    pub trial_ms: i64,
    /// How long preparing the target may take.
    pub reserving_ms: i64,
    /// How long the new replica may take until it is ready.
    pub surging_ms: i64,
    /// Least time of one ramp step.
    pub hold_ms: i64,
    /// Least time that the target serves alone before the source is stopped.
    pub settle_ms: i64,
    /// How long a gate may stay without a verdict after `hold_ms` or `settle_ms`.
    pub gate_wait_ms: i64,
    /// How long a drained end must have been without any observation.
    pub drain_quiet_ms: i64,
    /// Longest wait for that.
    pub drain_limit_ms: i64,
    /// How long stopping the source may take.
    pub retire_ms: i64,
    /// How long a rollback may take besides draining.
    pub rollback_ms: i64,
    /// Least time in each state, so that people and tests can see every one; 0 normally.
    pub dwell_ms: i64,
    /// Tries of an action before a rollout turns back. On the way back it is tried until the deadline.
    pub attempts: u32,
    /// Wait before the first retry; doubled each time up to 32 times this.
    pub retry_ms: i64,
    /// How the gate judges.
    pub gate: GateLimits,
}

impl Limits {
    /// Longest stay in a state, in milliseconds.
    pub(super) fn of(&self, state: State) -> i64 {
        let own = match state {
            State::Pending => self.revalidate_after_ms.saturating_add(self.pending_ms),
            State::Trial => self.trial_ms,
            State::Reserving => self.reserving_ms,
            State::Surging => self.surging_ms,
            State::Ramping { .. } => self.hold_ms.saturating_add(self.gate_wait_ms),
            State::Draining => self.drain_limit_ms,
            State::Settling { retiring: false } => self.settle_ms.saturating_add(self.gate_wait_ms),
            State::Settling { retiring: true } => self.retire_ms,
            State::RollingBack { .. } => self.rollback_ms.saturating_add(self.drain_limit_ms),
            State::Succeeded | State::RolledBack | State::Aborted | State::Failed => 0,
        };
        own.saturating_add(self.dwell_ms)
    }

    /// Wait before try number `attempt + 1`, in milliseconds.
    pub(super) fn back_off(&self, attempt: u32) -> i64 {
        self.retry_ms.saturating_mul(1 << attempt.saturating_sub(1).min(5))
    }
}

impl Default for Limits {
    /// Minutes, not seconds: a step must see enough traffic for a verdict, and a cold replica must get warm.
    fn default() -> Self {
        Self {
            revalidate_after_ms: 15_000,
            pending_ms: 60_000,
            trial_ms: 60_000,
            reserving_ms: 300_000,
            surging_ms: 300_000,
            hold_ms: 60_000,
            settle_ms: 120_000,
            gate_wait_ms: 300_000,
            drain_quiet_ms: 10_000,
            drain_limit_ms: 120_000,
            retire_ms: 300_000,
            rollback_ms: 600_000,
            dwell_ms: 0,
            attempts: 3,
            retry_ms: 1_000,
            gate: GateLimits::default(),
        }
    }
}
