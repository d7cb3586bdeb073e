//! Guard rails as they are written.
use crate::policy::TierWeights;
use serde::{Deserialize, Serialize};

/// How much the policy may move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct LimitsSpec {
    /// At the same time.
    #[serde(skip_serializing_if = "ConcurrentSpec::is_default")]
    pub concurrent: ConcurrentSpec,
    /// Moves in 24 h of the services that the policy selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<i64>,
}

impl LimitsSpec {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Moves at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ConcurrentSpec {
    /// That a node takes part in, as source or target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_node: Option<i64>,
    /// Of one workload; only 1 is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_workload: Option<i64>,
    /// In one namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_namespace: Option<i64>,
    /// In all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<i64>,
}

impl ConcurrentSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A time at which the policy moves nothing: `between` and perhaps `days`, or `cron` and `duration`, or `from` and `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FreezeSpec {
    /// Its name, unique in the policy.
    pub name: String,
    /// From one time of day to another, such as `22:00-06:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<String>,
    /// Days on which `between` begins: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<String>>,
    /// A cron pattern of five fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// How long each time of `cron` lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// A local date and time such as `2026-12-20T18:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first moment after it, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Name of an IANA time zone that these clocks are in; UTC when left out.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Weights of the tiers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct TiersSpec {
    /// Of `critical`.
    pub critical: f64,
    /// Of `standard`.
    pub standard: f64,
    /// Of `best_effort`.
    pub best_effort: f64,
}

impl Default for TiersSpec {
    fn default() -> Self {
        let TierWeights { critical, standard, best_effort } = TierWeights::default();
        Self { critical, standard, best_effort }
    }
}

impl TiersSpec {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
