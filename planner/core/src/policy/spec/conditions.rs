//! Rules as they are written.
use super::{default_probability, default_within};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reason to move: a name, and exactly one condition, or `all` of several.
///
/// Example: `{name: slow, predictedLatency: {quantile: 0.99, above: 250ms}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleSpec {
    /// Its name, unique in the policy. Decisions are explained by it.
    pub name: String,
    /// Fires when a quantile of the service's latency is predicted above an objective.
    /// Example: `{quantile: 0.99, above: 250ms, for: {steps: 3, of: 5}, within: 30m, probability: 0.5}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_latency: Option<PredictedLatencySpec>,
    /// Fires when nodes are predicted to need more CPU than they have, so that a share of the requests cannot be served.
    /// Example: `{belowDemandBy: 10%}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_throughput: Option<PredictedThroughputSpec>,
    /// Fires when the share of requests that the service does not fail is predicted below an objective.
    /// Example: `{below: 99.9%}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_availability: Option<PredictedAvailabilitySpec>,
    /// Fires when use of CPU, memory or disk I/O is predicted above a limit.
    /// Example: `{of: node, resource: cpu, above: 80%}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_usage: Option<PredictedUsageSpec>,
    /// Fires when all that there is of CPU, memory or disk space is predicted to be used.
    /// Example: `{of: node, resource: disk, within: 6h}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_exhaustion: Option<PredictedExhaustionSpec>,
    /// Fires when another node would cost less. Example: `{atLeast: 0.5}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_saving: Option<CostSavingSpec>,
    /// Two or more conditions that must hold together.
    /// Example: `[{costSaving: {atLeast: 0.5}}, {predictedAvailability: {below: 99.9%}}]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<ConditionSpec>>,
}

/// One condition of several: exactly one of these fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConditionSpec {
    /// Fires when a quantile of the service's latency is predicted above an objective.
    /// Example: `{quantile: 0.99, above: 250ms, for: {steps: 3, of: 5}, within: 30m, probability: 0.5}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_latency: Option<PredictedLatencySpec>,
    /// Fires when nodes are predicted to need more CPU than they have, so that a share of the requests cannot be served.
    /// Example: `{belowDemandBy: 10%}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_throughput: Option<PredictedThroughputSpec>,
    /// Fires when the share of requests that the service does not fail is predicted below an objective.
    /// Example: `{below: 99.9%}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_availability: Option<PredictedAvailabilitySpec>,
    /// Fires when use of CPU, memory or disk I/O is predicted above a limit.
    /// Example: `{of: node, resource: cpu, above: 80%}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_usage: Option<PredictedUsageSpec>,
    /// Fires when all that there is of CPU, memory or disk space is predicted to be used.
    /// Example: `{of: node, resource: disk, within: 6h}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_exhaustion: Option<PredictedExhaustionSpec>,
    /// Fires when another node would cost less. Example: `{atLeast: 0.5}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_saving: Option<CostSavingSpec>,
}

impl RuleSpec {
    /// Its condition without `all`.
    pub(super) fn alone(&self) -> ConditionSpec {
        ConditionSpec {
            predicted_latency: self.predicted_latency.clone(),
            predicted_throughput: self.predicted_throughput.clone(),
            predicted_availability: self.predicted_availability.clone(),
            predicted_usage: self.predicted_usage.clone(),
            predicted_exhaustion: self.predicted_exhaustion.clone(),
            cost_saving: self.cost_saving.clone(),
        }
    }
}

/// Defines conditions with how long, when and how probable, which all of them have. (`serde(flatten)` would do it too, but
/// then a mistyped field could not be refused by name.)
macro_rules! sustained_spec {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
            /// How long it must last. 3 of 5 steps when left out (1 of 1 for `predictedExhaustion`), because one bad step is
            /// noise. A step is a minute unless the planner's settings say otherwise.
            #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
            pub sustained: Option<SustainedSpec>,
            /// How far to look ahead, from `1s` to `7d`; not beyond the planner's `horizon`. Examples: `30m`, `2h`.
            #[serde(default = "default_within")]
            pub within: String,
            /// How probable it must be that all this begins within the look-ahead, above 0 and below 1; 0.5 is more likely
            /// than not.
            #[serde(default = "default_probability")]
            pub probability: f64,
        }
    )*};
}

sustained_spec! {
    /// A quantile of latency is predicted above an objective.
    PredictedLatencySpec {
        /// Quantile of latency: 0.5, 0.9, 0.95, 0.99 or 0.999. 0.99 is the latency that one request in a hundred
        /// exceeds.
        quantile: f64,
        /// The objective, from `1ms` to `1h`, as a whole number with a unit. Examples: `250ms`, `2s`.
        above: String,
    }

    /// Requests predicted to be served fall short of those asked for.
    PredictedThroughputSpec {
        /// Share of the demand that may stay unserved, above 0% and below 100%. Example: `10%`.
        below_demand_by: String,
    }

    /// Predicted availability below an objective.
    PredictedAvailabilitySpec {
        /// The objective, above 0% and below 100%. Example: `99.9%`.
        below: String,
    }

    /// Predicted use of a resource above a limit.
    PredictedUsageSpec {
        /// Whose use: `node`, with all that runs on it, or `workload`, all of its replicas together.
        of: String,
        /// `cpu`, `memory` or `disk_io` (bytes read and written per second).
        resource: String,
        /// The limit: a share above 0% and at most 1000%, such as `80%`, or an amount above 0: `800m` or `1.5` cores of CPU,
        /// `512Mi` or `2GB` of memory, `50MB/s` of disk I/O, of which a share is not known.
        above: String,
        /// What a share in `above` is a share of: `capacity` of a node; `request` or, for CPU, `limit` of a workload. The
        /// first that fits when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share_of: Option<String>,
    }

    /// A resource is predicted to run out.
    PredictedExhaustionSpec {
        /// Whose use: `node`, with all that runs on it, or `workload`, all of its replicas together.
        of: String,
        /// `cpu`, `memory` or `disk` (space on the root filesystem) of a node; `cpu` of a workload.
        resource: String,
    }
}

/// A move would save money.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CostSavingSpec {
    /// Money per hour that a move must save, above 0, in the currency of the annotations `foremesh.dev/cost-per-hour` of
    /// nodes. Example: `0.5`.
    pub at_least: f64,
}

/// `steps` of `of` steps in a row, `1 <= steps <= of <= 1000`. Example: `{steps: 3, of: 5}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SustainedSpec {
    /// So many steps must be beyond the threshold, at least 1.
    pub steps: i64,
    /// Among so many steps in a row, at most 1000.
    pub of: i64,
}

impl SustainedSpec {
    /// 3 of 5: one slow step, or two, are noise.
    pub(super) const USUAL: Self = Self { steps: 3, of: 5 };

    /// 1 of 1: what has run out has run out with the first step.
    pub(super) const AT_ONCE: Self = Self { steps: 1, of: 1 };
}
