//! What operators want: which services may be moved, when, and how carefully.
//!
//! A policy is checked once, when it is read, and is only then a [`RelocationPolicy`]; everything behind takes that
//! type and needs no further checks.
mod breach;
mod cooldown;
mod glob;
pub mod spec;

pub(crate) use breach::breach_order;
pub use breach::{Assessment, Breach, Healthy, RuleVerdict, UnknownReason, Verdict, assess, assess_rule};
pub use cooldown::{Cooldown, LONGEST_COOLDOWN_MS, PastMove, cooldown};
pub use glob::ServiceGlob;
pub use spec::{PolicyDocument, validate};

use crate::{
    ids::{PolicyId, ServiceId},
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};

/// A checked policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelocationPolicy {
    /// Its name.
    pub id: PolicyId,
    /// Services that it is about; one match is enough.
    pub services: Vec<ServiceGlob>,
    /// How far it may go.
    pub mode: Mode,
    /// Any one of them is enough. Never empty.
    pub rules: Vec<Rule>,
    /// Shortest time between two moves of one workload, in milliseconds.
    pub cooldown_ms: i64,
    /// How much better a target must be.
    pub margin: Margin,
    /// Shares of traffic in percent for the target, one step after the other, the last one 100.
    pub ramp_percent: Vec<u8>,
    /// Who waived the trial, and why. Always there in mode `auto`.
    pub waiver: Option<Waiver>,
    /// Names of the only models that may forecast the selected services; empty for the planner's own choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

impl RelocationPolicy {
    /// Whether the policy is about this service.
    pub fn selects(&self, service: &ServiceId) -> bool {
        self.services.iter().any(|glob| glob.matches(service.as_str()))
    }
}

/// How far a policy may go on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Only says what it sees.
    Observe,
    /// Makes the plan and shows it; moves nothing.
    Recommend,
    /// Moves.
    Auto,
}

impl Mode {
    /// The word that stands for it in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Recommend => "recommend",
            Self::Auto => "auto",
        }
    }
}

/// One reason to move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: String,
    /// What must be predicted for it to fire.
    pub when: Condition,
}

impl Rule {
    /// The latency that it looks at, if it looks at one.
    pub const fn latency(&self) -> Option<&PredictedLatency> {
        self.when.latency()
    }
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// A quantile of latency is predicted above an objective.
    PredictedLatency(PredictedLatency),
}

impl Condition {
    /// How far ahead it looks, in milliseconds.
    pub const fn within_ms(&self) -> i64 {
        match self {
            Self::PredictedLatency(latency) => latency.within_ms,
        }
    }

    /// The latency that it looks at, if it looks at one.
    pub const fn latency(&self) -> Option<&PredictedLatency> {
        match self {
            Self::PredictedLatency(latency) => Some(latency),
        }
    }
}

/// Fires when latency is predicted above the objective for `steps` of `of` steps, starting within the look-ahead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedLatency {
    /// Quantile of latency, one of [`crate::history::KEPT_QUANTILES`].
    pub quantile: Quantile,
    /// The objective in milliseconds.
    pub above_ms: f64,
    /// Steps that must be above, at least 1.
    pub steps: usize,
    /// Steps in a row among which they are counted, at least `steps`.
    pub of: usize,
    /// Look-ahead in milliseconds.
    pub within_ms: i64,
    /// The rule fires when the probability of all that is at least this.
    pub probability: Probability,
}

/// By how much a target must be better, as shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    /// Prediction on the target must stay below the objective by this share of it.
    pub target: f64,
    /// Prediction on the target must be below the one for staying by this share of it.
    pub gain: f64,
}

/// Somebody takes the responsibility for moving without a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}
