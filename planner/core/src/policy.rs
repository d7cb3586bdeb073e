//! What operators want: which services may be moved, when, and how carefully.
//!
//! A policy is checked once, when it is read, and is only then a [`RelocationPolicy`]; everything behind takes that
//! type and needs no further checks.
mod assess;
mod condition;
mod cooldown;
mod glob;
mod limits;
mod objective;
pub mod permit;
pub mod quantity;
pub mod spec;
mod trial;
mod verdict;

pub use assess::{Assessment, RuleVerdict, Sight, assess, assess_condition};
pub use condition::{
    Base, Bound, Condition, Consumer, CostSaving, PredictedAvailability, PredictedExhaustion,
    PredictedLatency, PredictedThroughput, PredictedUsage, Resource, Rule, Sustained,
};
pub use cooldown::{Cooldown, LONGEST_COOLDOWN_MS, PastMove, cooldown};
pub use glob::ServiceGlob;
pub use limits::{FreezeTime, FreezeWindow, Limits, TierWeights};
pub use objective::objective;
pub use permit::{NotPermitted, permits};
pub use quantity::{Quantity, Unit};
pub use spec::{PolicyDocument, validate};
pub use trial::{Callees, TrialRequest, TrialTerms};
pub(crate) use verdict::verdict_order;
pub use verdict::{Breach, Healthy, Opportunity, Subject, Trigger, UnknownReason, Verdict};

use crate::ids::{PolicyId, ServiceId};
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
    /// Who waived the trial, and why. This or `trial` is always there in mode `auto`.
    pub waiver: Option<Waiver>,
    /// How moves are tried in the staging mesh before production is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialTerms>,
    /// Names of the only models that may forecast the selected services; empty for the planner's own choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// How much it may move.
    #[serde(default)]
    pub limits: Limits,
    /// Times at which it moves nothing; [`crate::inputs::Inputs::freezes`] has those that matter now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<FreezeWindow>,
    /// Its services are placed before those of policies with a lower number, while moves are limited.
    #[serde(default)]
    pub priority: i32,
    /// How much a request at risk counts, by the tier of its workload.
    #[serde(default)]
    pub tiers: TierWeights,
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
    /// Makes the plan and waits for a human to approve it.
    Approve,
    /// Moves.
    Auto,
}

impl Mode {
    /// All of them, from the one that may do least to the one that may do most.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Recommend, Self::Approve, Self::Auto];

    /// The word that stands for it in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Recommend => "recommend",
            Self::Approve => "approve",
            Self::Auto => "auto",
        }
    }
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
