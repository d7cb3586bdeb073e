//! A policy as it is written, and the check that makes it one that can be acted on.
//!
//! ```yaml
//! apiVersion: foremesh.dev/v1alpha1
//! kind: RelocationPolicy
//! metadata: {name: shop}
//! spec:
//!   selector: {services: ["cart*", "checkout"]}
//!   mode: auto                      # observe | recommend | approve | auto; observe when left out
//!   rules:
//!     - name: slow
//!       predictedLatency: {quantile: 0.99, above: 250ms, for: {steps: 3, of: 5}, within: 30m, probability: 0.5}
//!     - name: full                    # another condition, or `all: [...]` of several
//!       predictedUsage: {of: node, resource: cpu, above: 80%}
//!   cooldown: 15m
//!   limits: {concurrent: {perNode: 2, all: 5}, perDay: 10}
//!   freeze: [{name: night, between: "22:00-06:00", timeZone: Europe/Berlin}]
//!   priority: 10                      # before policies with a lower number while moves are limited
//!   tiers: {critical: 10, standard: 1, bestEffort: 0.1}
//!   margin: {target: 0.1, gain: 0.2}
//!   ramp: [10, 25, 50, 100]
//!   trial: {waivedBy: "ops@example.com", reason: "no staging mesh yet"}
//!   forecast: {models: [ridge, extra_trees]}    # the planner chooses among all when left out
//! ```
mod amount;
mod check;
mod conditions;
mod guards;
#[cfg(test)]
mod tests;
mod trial;

pub use check::{
    LONGEST_MS, MOST_CONDITIONS, MOST_FREEZES, MOST_LETTERS, MOST_RULES, MOST_SERVICES, MOST_STEPS,
};
pub use conditions::{
    ConditionSpec, CostSavingSpec, PredictedAvailabilitySpec, PredictedExhaustionSpec, PredictedLatencySpec,
    PredictedThroughputSpec, PredictedUsageSpec, RuleSpec, SustainedSpec,
};
pub use guards::{ConcurrentSpec, FreezeSpec, LimitsSpec, TiersSpec};
pub use trial::{
    LONGEST_TRIAL_BODY, LONGEST_TRIAL_MS, MOST_REQUESTS, SHORTEST_TRIAL_MS, TRIAL_METHODS, TrialRequestSpec,
    TrialSpec, TrialTermsSpec,
};

use super::{Margin, Mode, RelocationPolicy, ServiceGlob};
use crate::{
    document::{Metadata, SpecProblem},
    ids::PolicyId,
};
use check::Check;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The only kind that is understood.
pub const KIND: &str = "RelocationPolicy";
/// A whole policy document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PolicyDocument {
    /// Must be [`API_VERSION`](crate::document::API_VERSION).
    pub api_version: String,
    /// Must be [`KIND`].
    pub kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// The policy.
    pub spec: PolicySpec,
}

/// Which services may be moved, when, and how carefully.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PolicySpec {
    /// The services that the policy is about. Example: `{services: ["cart*", checkout]}`.
    pub selector: Selector,
    /// How far the policy may go: `observe` only says what it sees, `recommend` makes plans and shows them, `approve` makes
    /// plans that wait for a human, `auto` moves.
    #[serde(default = "default_mode")]
    pub mode: String,
    /// Reasons to move; any one of them is enough.
    /// Example: `[{name: slow, predictedLatency: {quantile: 0.99, above: 250ms}}]`.
    pub rules: Vec<RuleSpec>,
    /// Shortest time between two moves of one workload, from `0s` to `7d`; it grows by itself with each move in 24 hours.
    /// Examples: `15m`, `2h`.
    #[serde(default = "default_cooldown")]
    pub cooldown: String,
    /// How much better a target must be than the objective and than staying. Example: `{target: 0.1, gain: 0.2}`.
    #[serde(default)]
    pub margin: MarginSpec,
    /// Shares of the traffic in percent that the target gets, one step after the other: rising, and 100 at the end.
    /// Example: `[10, 25, 50, 100]`.
    #[serde(default = "default_ramp")]
    pub ramp: Vec<i64>,
    /// The trial in a staging mesh before anything is moved, or who waives it and why. Mode `auto` needs one of them, and plans
    /// of mode `approve` are refused without.
    /// Example: `{waivedBy: ops@example.com, reason: no staging mesh yet}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // A word is refused by the check, with what to write.
    #[schemars(with = "Option<TrialTermsSpec>")]
    pub trial: Option<TrialSpec>,
    /// How the selected services are forecast. Example: `{models: [ridge, prophet]}`.
    #[serde(default, skip_serializing_if = "ForecastSpec::is_default")]
    pub forecast: ForecastSpec,
    /// How much it may move; without limit when left out. Example: `{concurrent: {perNode: 2, all: 5}, perDay: 10}`.
    #[serde(default, skip_serializing_if = "LimitsSpec::is_default")]
    pub limits: LimitsSpec,
    /// Times at which the policy moves nothing.
    /// Example: `[{name: night, between: "22:00-06:00", timeZone: Europe/Berlin}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeSpec>,
    /// Its services come before those of policies with a lower number while moves are limited; from -1000 to 1000.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// How much a request at risk counts, by the tier of its workload (annotation `foremesh.dev/tier`).
    /// Example: `{critical: 10, standard: 1, bestEffort: 0.1}`.
    #[serde(default, skip_serializing_if = "TiersSpec::is_default")]
    pub tiers: TiersSpec,
}

/// How the selected services are forecast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForecastSpec {
    /// Names of the only models that are used; the planner chooses among all when left out. Example: `[ridge, prophet]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

impl ForecastSpec {
    fn is_default(&self) -> bool {
        self.models.is_empty()
    }
}

/// Chooses services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Names of services; `*` stands for any run of characters. In a cluster a service is called as its callers call it, such
    /// as `cart.shop.svc.cluster.local`. Examples: `["cart*", "*.shop.svc.cluster.local"]`, `["*"]` for all.
    pub services: Vec<String>,
}

/// By how much a target must be better, as shares from 0 to below 1: 0.2 is 20 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MarginSpec {
    /// The prediction on the target must stay below the objective by this share of it.
    pub target: f64,
    /// The prediction on the target must be below the one for staying by this share of it.
    pub gain: f64,
}

impl Default for MarginSpec {
    /// A tenth below the objective and a fifth better than staying: more than the usual error of the forecast.
    fn default() -> Self {
        Self { target: 0.1, gain: 0.2 }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn default_mode() -> String {
    Mode::Observe.name().to_owned()
}

fn default_cooldown() -> String {
    "15m".to_owned()
}

fn default_within() -> String {
    "30m".to_owned()
}

const fn default_probability() -> f64 {
    0.5
}

fn default_ramp() -> Vec<i64> {
    vec![10, 25, 50, 100]
}

/// Checks a policy as written.
///
/// # Errors
/// All problems at once, in the order of the document.
pub fn validate(document: &PolicyDocument) -> Result<RelocationPolicy, Vec<SpecProblem>> {
    let mut check = Check::default();
    let spec = &document.spec;
    check.head(document);
    check.selector(&spec.selector);
    let mode = check.mode(&spec.mode);
    let rules = check.rules(&spec.rules);
    let cooldown_ms = check.cooldown(&spec.cooldown);
    check.share("spec.margin.target", spec.margin.target);
    check.share("spec.margin.gain", spec.margin.gain);
    let ramp_percent = check.ramp(&spec.ramp);
    let (waiver, trial) = check.trial(mode, spec.trial.as_ref());
    check.models(&spec.forecast.models);
    let limits = check.limits(&spec.limits);
    let freezes = check.freezes(&spec.freeze);
    let priority = check.priority(spec.priority);
    let tiers = check.tiers(&spec.tiers);
    check.problems.or(|| RelocationPolicy {
        id: PolicyId::new(&document.metadata.name),
        services: spec.selector.services.iter().map(ServiceGlob::new).collect(),
        mode: mode.unwrap_or(Mode::Observe),
        rules,
        cooldown_ms: cooldown_ms.unwrap_or(check::LONGEST_MS),
        margin: Margin { target: spec.margin.target, gain: spec.margin.gain },
        ramp_percent,
        waiver,
        trial,
        models: spec.forecast.models.clone(),
        limits,
        freezes,
        priority,
        tiers,
    })
}
