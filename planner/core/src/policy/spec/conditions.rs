//! Rules as they are written.
use super::{default_probability, default_within};
use serde::{Deserialize, Serialize};

/// One rule: a name, and exactly one of the conditions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleSpec {
    /// Its name, unique in the policy.
    pub name: String,
    /// Latency above an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_latency: Option<PredictedLatencySpec>,
    /// Requests that cannot be served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_throughput: Option<PredictedThroughputSpec>,
    /// Availability below an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_availability: Option<PredictedAvailabilitySpec>,
    /// Use of a resource above a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_usage: Option<PredictedUsageSpec>,
    /// A resource that runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_exhaustion: Option<PredictedExhaustionSpec>,
    /// Money that a move saves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_saving: Option<CostSavingSpec>,
    /// Conditions that must hold together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<ConditionSpec>>,
}

/// One condition of several: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConditionSpec {
    /// Latency above an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_latency: Option<PredictedLatencySpec>,
    /// Requests that cannot be served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_throughput: Option<PredictedThroughputSpec>,
    /// Availability below an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_availability: Option<PredictedAvailabilitySpec>,
    /// Use of a resource above a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_usage: Option<PredictedUsageSpec>,
    /// A resource that runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_exhaustion: Option<PredictedExhaustionSpec>,
    /// Money that a move saves.
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
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
            /// How long it must last.
            #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
            pub sustained: Option<SustainedSpec>,
            /// How far to look ahead.
            #[serde(default = "default_within")]
            pub within: String,
            /// How probable it must be that the rule fires within its look-ahead.
            #[serde(default = "default_probability")]
            pub probability: f64,
        }
    )*};
}

sustained_spec! {
    /// Predicted latency above an objective.
    PredictedLatencySpec {
        /// Quantile of latency.
        quantile: f64,
        /// The objective, such as `250ms`.
        above: String,
    }

    /// Requests predicted to be served fall short of those asked for.
    PredictedThroughputSpec {
        /// Share of the demand that may stay unserved, such as `10%`.
        below_demand_by: String,
    }

    /// Predicted availability below an objective.
    PredictedAvailabilitySpec {
        /// The objective, such as `99.9%`.
        below: String,
    }

    /// Predicted use of a resource above a limit.
    PredictedUsageSpec {
        /// `node` or `workload`.
        of: String,
        /// `cpu`, `memory` or `disk_io`.
        resource: String,
        /// A share such as `80%`, or an amount such as `800m`, `512Mi` or `50MB/s`.
        above: String,
        /// What a share is of: `capacity` of a node, `request` or `limit` of a workload.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share_of: Option<String>,
    }

    /// A resource is predicted to run out.
    PredictedExhaustionSpec {
        /// `node` or `workload`.
        of: String,
        /// `cpu`, `memory` or `disk`.
        resource: String,
    }
}

/// A move would save money.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CostSavingSpec {
    /// Money per hour.
    pub at_least: f64,
}

/// `steps` of `of` steps in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SustainedSpec {
    /// Steps beyond the threshold.
    pub steps: i64,
    /// Among so many in a row.
    pub of: i64,
}

impl SustainedSpec {
    /// 3 of 5: one slow step, or two, are noise.
    pub(super) const USUAL: Self = Self { steps: 3, of: 5 };

    /// 1 of 1: what has run out has run out with the first step.
    pub(super) const AT_ONCE: Self = Self { steps: 1, of: 1 };
}
