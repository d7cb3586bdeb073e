//! How far the load of a trial may go, on any platform.
use super::Span;
use foremesh_core::trial::TrialLimits;
use serde::Deserialize;

/// The load of trials.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct TrialLoad {
    /// Highest rate at each copy, in requests per second.
    pub max_rate: f64,
    /// Share of the predicted peak that must be reached.
    pub least_peak_share: f64,
    /// Share of a node's CPU that production and a copy together may be predicted to use.
    pub max_cpu_share: f64,
    /// Longest load, where the policy does not say it.
    pub max_duration: Span,
    /// Load before anything is counted.
    pub warm_up: Span,
    /// How long the copies may take until they are ready.
    pub start_within: Span,
}

impl Default for TrialLoad {
    fn default() -> Self {
        let limits = TrialLimits::default();
        Self {
            max_rate: limits.max_rate_rps,
            least_peak_share: limits.least_peak_share,
            max_cpu_share: limits.max_cpu_share,
            max_duration: Span::from_secs(300),
            warm_up: Span::from_secs(10),
            start_within: Span::from_secs(120),
        }
    }
}

impl TrialLoad {
    /// As trials take them; how strictly they judge is said elsewhere.
    pub fn limits(&self) -> TrialLimits {
        TrialLimits {
            max_rate_rps: self.max_rate,
            least_peak_share: self.least_peak_share,
            max_cpu_share: self.max_cpu_share,
            max_duration_ms: self.max_duration.ms(),
            warm_up_ms: self.warm_up.ms(),
            start_within_ms: self.start_within.ms(),
            ..TrialLimits::default()
        }
    }

    /// What cannot be: the field; its value, and its limit.
    pub fn problem(&self) -> Option<(&'static str, String, &'static str)> {
        let shares = [("maxCpuShare", self.max_cpu_share), ("leastPeakShare", self.least_peak_share)];
        for (field, share) in shares {
            if !(share > 0.0 && share <= 1.0) {
                return Some((field, share.to_string(), "above 0 and at most 1"));
            }
        }
        if !(self.max_rate > 0.0 && self.max_rate <= 10_000.0) {
            return Some(("maxRate", self.max_rate.to_string(), "above 0 and at most 10000"));
        }
        if self.max_duration.ms() < 1_000 || self.warm_up.ms() >= self.max_duration.ms() {
            let limit = "1s or more, and longer than `warmUp`";
            return Some(("maxDuration", self.max_duration.to_string(), limit));
        }
        None
    }
}
