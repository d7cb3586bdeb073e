//! What a rule says about a service.
use super::quantity::Quantity;
use crate::{
    duration::in_words,
    forecast::ForecastError,
    ids::{NodeId, WorkloadId},
    time::Timestamp,
    units::Probability,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a rule or policy says about a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// No breach is predicted.
    Healthy(Healthy),
    /// A breach is predicted.
    Breach(Breach),
    /// All is well, and a move might save money; whether one does is for the placement to say.
    Opportunity(Opportunity),
    /// Nothing can be said; nothing is moved.
    Unknown {
        /// Why not.
        why: UnknownReason,
    },
}

/// How far from a breach a service is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Healthy {
    /// The worst value that the rule sees within its look-ahead, as for [`Breach::worst`].
    pub worst: Quantity,
    /// What it is compared with.
    pub threshold: Quantity,
    /// What the value is of; `None` for the service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Probability that the rule will fire within its look-ahead.
    pub probability: Probability,
}

/// A predicted breach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Start of the breach in the middle one of the outcomes that have one, or the moment of the assessment when that
    /// step has begun.
    pub at: Timestamp,
    /// Probability that the rule fires within its look-ahead. For a rule of several conditions it is the lowest of
    /// theirs: all of them together are never more probable than the least probable one.
    pub probability: Probability,
    /// The worst value within the look-ahead, at the level that the rule judges: the highest where the rule says
    /// `above`, the lowest where it says `below`.
    pub worst: Quantity,
    /// What it is compared with, in the same unit.
    pub threshold: Quantity,
    /// What the value is of; `None` for the service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Steps within the look-ahead that are each as likely to be beyond the threshold.
    pub steps_beyond: usize,
    /// Money per hour that a move must save as well, where the rule asks for that too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving_at_least: Option<f64>,
}

impl Breach {
    /// The highest latency in milliseconds, when the breach is one of latency.
    pub fn worst_ms(&self) -> Option<f64> {
        self.worst.as_ms()
    }
}

/// A standing wish to save money.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opportunity {
    /// Money per hour that a move must save.
    pub at_least: f64,
}

/// Why a service is to be placed anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A breach is predicted.
    Breach(Breach),
    /// Money might be saved. There is no moment that a move must come before, and staying costs nothing but money.
    Opportunity(Opportunity),
}

impl Trigger {
    /// The breach, if it is one.
    pub const fn breach(&self) -> Option<&Breach> {
        match self {
            Self::Breach(breach) => Some(breach),
            Self::Opportunity(_) => None,
        }
    }

    /// Money per hour that a move must save, where that is asked for.
    pub const fn saving(&self) -> Option<f64> {
        match self {
            Self::Breach(breach) => breach.saving_at_least,
            Self::Opportunity(opportunity) => Some(opportunity.at_least),
        }
    }

    /// Probability that the service breaches when nothing is done; 0 for an opportunity.
    pub fn probability(&self) -> Probability {
        self.breach().map_or_else(Probability::default, |breach| breach.probability)
    }
}

/// What a value is of, when it is not of the service itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A node that a replica runs on.
    Node(NodeId),
    /// A workload of the service.
    Workload(WorkloadId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "node `{node}`"),
            Self::Workload(workload) => write!(f, "workload `{workload}`"),
        }
    }
}

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum UnknownReason {
    /// Nobody asked for a forecast of that quantity, or the service was never seen.
    #[error("there is no forecast of {metric}")]
    NoForecast {
        /// The quantity.
        metric: String,
    },
    /// A node or workload has no forecast of that quantity.
    #[error("there is no forecast of {metric} of {subject}; check that it is measured")]
    NoForecastOf {
        /// The node or workload.
        subject: Subject,
        /// The quantity.
        metric: String,
    },
    /// The forecast was refused.
    #[error("{metric} could not be forecast: {error}")]
    Refused {
        /// The quantity.
        metric: String,
        /// Why.
        error: ForecastError,
    },
    /// The forecast was made too long ago.
    #[error("the forecast is {} old, but at most {} are allowed", in_words(*age_ms), in_words(*limit_ms))]
    Stale {
        /// Its age in milliseconds, that of its data included.
        age_ms: i64,
        /// The limit in milliseconds.
        limit_ms: i64,
    },
    /// The forecast ends before the rule's look-ahead.
    #[error(
        "the forecast reaches {} ahead, but the rule looks {} ahead; lengthen the horizon or shorten `within`",
        in_words(*have_ms),
        in_words(*need_ms)
    )]
    HorizonTooShort {
        /// How far it reaches, in milliseconds.
        have_ms: i64,
        /// How far the rule looks, in milliseconds.
        need_ms: i64,
    },
    /// Less than a season and a quarter was seen, so what comes every day is not known yet.
    #[error(
        "{seasons:.2} seasons were seen, but at least {need} are needed to know what comes with each of them"
    )]
    Learning {
        /// Seasons that were seen.
        seasons: f64,
        /// Seasons that are needed.
        need: f64,
    },
    /// The latency quantile of the rule is not kept.
    #[error("latency at quantile {quantile} is not kept")]
    QuantileNotKept {
        /// The quantile as text.
        quantile: String,
    },
    /// No replica of the service is in the snapshot.
    #[error("no replica of the service is in the snapshot, so its nodes are not known")]
    NoReplica,
    /// What a share is a share of is not known.
    #[error("{what} of {subject} is not known, so a share of it is not either; write an absolute limit")]
    NoBase {
        /// The node or workload.
        subject: Subject,
        /// What is missing, such as `memory request`.
        what: String,
    },
}

/// Whether `a` counts before `b`: breach before unknown before opportunity before healthy; the earlier breach, the
/// saving that is easier to make, the closer call. What is not known comes before an opportunity, because nothing is moved for money
/// while a rule about the service's health cannot tell.
pub(crate) fn verdict_order(a: &Verdict, b: &Verdict) -> bool {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Breach(_) => 0,
        Verdict::Unknown { .. } => 1,
        Verdict::Opportunity(_) => 2,
        Verdict::Healthy(_) => 3,
    };
    match (a, b) {
        (Verdict::Breach(a), Verdict::Breach(b)) => {
            (a.at, -a.probability.get()) < (b.at, -b.probability.get())
        }
        (Verdict::Healthy(a), Verdict::Healthy(b)) => a.probability > b.probability,
        (Verdict::Opportunity(a), Verdict::Opportunity(b)) => a.at_least < b.at_least,
        _ => rank(a) < rank(b),
    }
}
