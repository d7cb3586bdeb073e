//! Guard rails as they are written.
use crate::policy::TierWeights;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much the policy may move; without limit when left out. Example: `{concurrent: {perNode: 2, all: 5}, perDay: 10}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct LimitsSpec {
    /// Moves at the same time, whichever policy began them.
    #[serde(skip_serializing_if = "ConcurrentSpec::is_default")]
    pub concurrent: ConcurrentSpec,
    /// Moves in 24 hours of the services that the policy selects, from 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<i64>,
}

impl LimitsSpec {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Moves at the same time, each from 1 to 1000; a limit that is left out does not limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ConcurrentSpec {
    /// That one node takes part in, as source or target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_node: Option<i64>,
    /// Of one workload; only 1 is possible, and it is 1 when left out.
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
///
/// Examples: `{name: night, between: "22:00-06:00", timeZone: Europe/Berlin}`, `{name: patch, cron: "0 3 * * *", duration: 2h}`,
/// `{name: christmas, from: "2026-12-20T18:00", to: "2026-12-27"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FreezeSpec {
    /// Its name, unique in the policy. Decisions are explained by it.
    pub name: String,
    /// From one time of day to another, over midnight too, from 00:00 to 24:00. Example: `22:00-06:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<String>,
    /// Days on which `between` begins: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<String>>,
    /// A cron pattern: minute, hour, day, month, day of the week. Needs `duration`. Example: `0 22 * * fri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// How long each time of `cron` lasts, from `1m` to `7d`. Example: `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The first moment, a day or a day and a time on the clocks of `timeZone`. Needs `to`. Example: `2026-12-20T18:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first moment after it, written like `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The time zone of all these clocks, by its IANA name. Example: `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// How much a request at risk counts, by the tier of its workload (annotation `foremesh.dev/tier`); each weight is above 0 and
/// at most 1000000. Example: `{critical: 10, standard: 1, bestEffort: 0.1}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct TiersSpec {
    /// Weight of workloads of tier `critical`.
    pub critical: f64,
    /// Weight of workloads of tier `standard`, which is that of workloads that name none.
    pub standard: f64,
    /// Weight of workloads of tier `best-effort`.
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
