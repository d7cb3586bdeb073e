//! The staging mesh of trials: `platform.kubernetes.staging`.
use super::{Span, TrialLoad};
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
        let TrialLoad { max_rate, least_peak_share, max_cpu_share, max_duration, warm_up, start_within } =
            TrialLoad::default();
        Self {
            kubeconfig: None,
            context: None,
            namespace: STAGING_NAMESPACE.to_owned(),
            copy_secrets: false,
            max_rate,
            least_peak_share,
            max_cpu_share,
            max_duration,
            warm_up,
            start_within,
        }
    }
}

impl StagingSettings {
    /// As trials take them; how strictly they judge is said elsewhere.
    pub fn limits(&self) -> TrialLimits {
        self.load().limits()
    }

    const fn load(&self) -> TrialLoad {
        let Self { max_rate, least_peak_share, max_cpu_share, max_duration, warm_up, start_within, .. } =
            *self;
        TrialLoad { max_rate, least_peak_share, max_cpu_share, max_duration, warm_up, start_within }
    }

    /// What cannot be: field, value, limit and remedy.
    pub(super) fn problem(&self) -> Option<(&'static str, String, &'static str, &'static str)> {
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.namespace.is_empty() || !self.namespace.chars().all(named) {
            let (field, limit) = ("platform.kubernetes.staging.namespace", "the name of a namespace");
            return Some((field, self.namespace.clone(), limit, "leave it out for foremesh-staging"));
        }
        let (name, value, limit) = self.load().problem()?;
        let field = match name {
            "maxCpuShare" => "platform.kubernetes.staging.maxCpuShare",
            "leastPeakShare" => "platform.kubernetes.staging.leastPeakShare",
            "maxRate" => "platform.kubernetes.staging.maxRate",
            _ => "platform.kubernetes.staging.maxDuration",
        };
        Some((field, value, limit, "leave it out for the default"))
    }
}
