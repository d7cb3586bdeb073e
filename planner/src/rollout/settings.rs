//! Settings of rollouts, as they stand in the settings file.
use crate::durations;
use foremesh_core::{
    rollout::{Limits, gate::GateLimits},
    trial::TrialLimits,
};
use serde::{Deserialize, Serialize};

/// All of them have a default; times are written like `30s`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RolloutSettings {
    /// Wait between the decision and the second look at it, just before acting.
    #[serde(with = "durations")]
    pub revalidate_after: i64,
    /// How long the second look may take.
    #[serde(with = "durations")]
    pub pending_limit: i64,
    /// How long preparing the target may take.
    #[serde(with = "durations")]
    pub reserving_limit: i64,
    /// How long the new replica may take until it is ready.
    #[serde(with = "durations")]
    pub surging_limit: i64,
    /// Least time of each ramp step.
    #[serde(with = "durations")]
    pub hold_per_step: i64,
    /// Least time that the target serves alone before the source is stopped.
    #[serde(with = "durations")]
    pub settle: i64,
    /// How long a gate may stay without a verdict after that, before the rollout turns back.
    #[serde(with = "durations")]
    pub gate_wait: i64,
    /// How long a drained replica must have been seen without any request.
    #[serde(with = "durations")]
    pub drain_quiet: i64,
    /// Longest wait for that.
    #[serde(with = "durations")]
    pub drain_limit: i64,
    /// How long stopping the source may take.
    #[serde(with = "durations")]
    pub retire_limit: i64,
    /// How long turning back may take, besides draining.
    #[serde(with = "durations")]
    pub rollback_limit: i64,
    /// Least time in each state, so that people and tests can see every one.
    #[serde(with = "durations")]
    pub dwell: i64,
    /// Wait before a failed action is tried again; doubled each time, up to 32 times this.
    #[serde(with = "durations")]
    pub retry_after: i64,
    /// Tries of an action before the rollout turns back.
    pub attempts: u32,
    /// Requests that each end must have seen for a verdict.
    pub min_samples: u64,
    /// By how much the target's share of failed requests may be above the source's, 0 to 1.
    pub error_margin: f64,
    /// How many times the source's latency the target may have when that is above the objective.
    pub latency_factor: f64,
    /// How old the newest summaries may be that the gate counts on: push interval and delivery.
    #[serde(with = "durations")]
    pub observation_lag: i64,
    /// Time between two looks at each rollout.
    #[serde(with = "durations")]
    pub poll: i64,
    /// How long one question to the platform may take.
    #[serde(with = "durations")]
    pub probe_timeout: i64,
    /// How long one change of the platform may take.
    #[serde(with = "durations")]
    pub action_timeout: i64,
    /// Plans that may be in progress at the same time.
    pub max_concurrent: usize,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        let Limits {
            revalidate_after_ms,
            pending_ms,
            trial_ms: _,
            reserving_ms,
            surging_ms,
            hold_ms,
            settle_ms,
            gate_wait_ms,
            drain_quiet_ms,
            drain_limit_ms,
            retire_ms,
            rollback_ms,
            dwell_ms,
            attempts,
            retry_ms,
            gate,
        } = Limits::default();
        Self {
            revalidate_after: revalidate_after_ms,
            pending_limit: pending_ms,
            reserving_limit: reserving_ms,
            surging_limit: surging_ms,
            hold_per_step: hold_ms,
            settle: settle_ms,
            gate_wait: gate_wait_ms,
            drain_quiet: drain_quiet_ms,
            drain_limit: drain_limit_ms,
            retire_limit: retire_ms,
            rollback_limit: rollback_ms,
            dwell: dwell_ms,
            retry_after: retry_ms,
            attempts,
            min_samples: gate.min_samples,
            error_margin: gate.error_margin,
            latency_factor: gate.latency_factor,
            observation_lag: 5_000,
            poll: 1_000,
            probe_timeout: 10_000,
            action_timeout: 180_000,
            max_concurrent: 4,
        }
    }
}

/// A setting outside its limits.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("rollout setting `{field}` is {value}, which is not {limit}; {remedy}")]
pub struct SettingsError {
    field: &'static str,
    value: String,
    limit: &'static str,
    remedy: &'static str,
}

impl RolloutSettings {
    /// Limits of trials, which judge as strictly as the gates do.
    pub fn judging(&self, limits: &TrialLimits) -> TrialLimits {
        TrialLimits { error_margin: self.error_margin, latency_factor: self.latency_factor, ..*limits }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// With the setting, its value, the limit and what to do.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |field, value: String, limit, remedy| Err(SettingsError { field, value, limit, remedy });
        let default = "leave it out for the default";
        if !(self.error_margin > 0.0 && self.error_margin <= 1.0) {
            return wrong("errorMargin", self.error_margin.to_string(), "above 0 and at most 1", default);
        }
        if !(self.latency_factor >= 1.0 && self.latency_factor <= 100.0) {
            return wrong("latencyFactor", self.latency_factor.to_string(), "from 1 to 100", default);
        }
        if self.min_samples == 0 {
            return wrong("minSamples", "0".to_owned(), "1 or more", "no data must never count as success");
        }
        if self.attempts == 0 {
            return wrong("attempts", "0".to_owned(), "1 or more", default);
        }
        if self.max_concurrent == 0 {
            return wrong("maxConcurrent", "0".to_owned(), "1 or more", "use mode `observe` to move nothing");
        }
        if self.poll < 10 {
            return wrong("poll", format!("{} ms", self.poll), "10 ms or more", default);
        }
        if self.retry_after < 1 {
            return wrong("retryAfter", format!("{} ms", self.retry_after), "1 ms or more", default);
        }
        if self.probe_timeout < 10 || self.action_timeout < 10 {
            let value = format!("{} ms", self.probe_timeout.min(self.action_timeout));
            return wrong("probeTimeout, actionTimeout", value, "10 ms or more", default);
        }
        if self.hold_per_step <= self.observation_lag || self.settle <= self.observation_lag {
            let value = format!("{} ms and {} ms", self.hold_per_step, self.settle);
            let remedy =
                "raise them, or lower `observationLag`: the gate does not look at newer windows than that";
            return wrong("holdPerStep, settle", value, "longer than `observationLag`", remedy);
        }
        Ok(())
    }

    /// The part that decides.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            revalidate_after_ms: self.revalidate_after,
            pending_ms: self.pending_limit,
            trial_ms: Limits::default().trial_ms,
            reserving_ms: self.reserving_limit,
            surging_ms: self.surging_limit,
            hold_ms: self.hold_per_step,
            settle_ms: self.settle,
            gate_wait_ms: self.gate_wait,
            drain_quiet_ms: self.drain_quiet,
            drain_limit_ms: self.drain_limit,
            retire_ms: self.retire_limit,
            rollback_ms: self.rollback_limit,
            dwell_ms: self.dwell,
            attempts: self.attempts,
            retry_ms: self.retry_after,
            gate: GateLimits {
                min_samples: self.min_samples,
                error_margin: self.error_margin,
                latency_factor: self.latency_factor,
            },
        }
    }
}
