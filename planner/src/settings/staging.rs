//! The staging mesh of trials: `platform.kubernetes.staging`.
use super::Span;
use foremesh_core::trial::TrialLimits;
use foremesh_kubernetes::staging::STAGING_NAMESPACE;
use serde::Deserialize;
use std::path::PathBuf;

/// Where trials are made, and how far they may load production.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct StagingSettings {
    /// File that says where the API server of the staging mesh is; relative to the settings file. That of production when
    /// it and `context` are left out.
    pub kubeconfig: Option<PathBuf>,
    /// Context of that file.
    pub context: Option<String>,
    /// The namespace that trials are made in. It is never made or deleted by the planner, and must carry the label that
    /// `foremesh install staging` gives it.
    pub namespace: String,
    /// Whether secrets may be copied into it where a policy's trial says so too.
    pub copy_secrets: bool,
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

impl Default for StagingSettings {
    fn default() -> Self {
        let limits = TrialLimits::default();
        Self {
            kubeconfig: None,
            context: None,
            namespace: STAGING_NAMESPACE.to_owned(),
            copy_secrets: false,
            max_rate: limits.max_rate_rps,
            least_peak_share: limits.least_peak_share,
            max_cpu_share: limits.max_cpu_share,
            max_duration: Span::from_secs(300),
            warm_up: Span::from_secs(10),
            start_within: Span::from_secs(120),
        }
    }
}

impl StagingSettings {
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

    /// What cannot be: field, value, limit and remedy.
    pub(super) fn problem(&self) -> Option<(&'static str, String, &'static str, &'static str)> {
        let shares = [
            ("platform.kubernetes.staging.maxCpuShare", self.max_cpu_share),
            ("platform.kubernetes.staging.leastPeakShare", self.least_peak_share),
        ];
        let default = "leave it out for the default";
        for (field, share) in shares {
            if !(share > 0.0 && share <= 1.0) {
                return Some((field, share.to_string(), "above 0 and at most 1", default));
            }
        }
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.namespace.is_empty() || !self.namespace.chars().all(named) {
            let (field, limit) = ("platform.kubernetes.staging.namespace", "the name of a namespace");
            return Some((field, self.namespace.clone(), limit, "leave it out for foremesh-staging"));
        }
        if !(self.max_rate > 0.0 && self.max_rate <= 10_000.0) {
            let field = "platform.kubernetes.staging.maxRate";
            return Some((field, self.max_rate.to_string(), "above 0 and at most 10000", default));
        }
        if self.max_duration.ms() < 10_000 || self.warm_up.ms() >= self.max_duration.ms() {
            let field = "platform.kubernetes.staging.maxDuration";
            return Some((
                field,
                self.max_duration.to_string(),
                "10s or more, and longer than `warmUp`",
                default,
            ));
        }
        None
    }
}
