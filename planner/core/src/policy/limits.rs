//! How much a policy may move: at once, in a day, and when not at all.
use crate::topology::Tier;
use serde::{Deserialize, Serialize};

/// Limits of the moves that run at the same time, whichever policy asked for them, and of those of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Moves that a node takes part in at the same time, as source or target.
    pub per_node: Option<usize>,
    /// Moves of one workload at the same time. Never more than 1: a workload that moves is not moved again before that is
    /// over.
    pub per_workload: usize,
    /// Moves in one namespace at the same time.
    pub per_namespace: Option<usize>,
    /// Moves in all at the same time; the planner's own limit holds as well.
    pub all: Option<usize>,
    /// Moves in 24 h of the services that the policy selects.
    pub per_day: Option<usize>,
}

impl Default for Limits {
    /// One of each workload; nothing else is limited beyond the planner's settings.
    fn default() -> Self {
        Self { per_node: None, per_workload: 1, per_namespace: None, all: None, per_day: None }
    }
}

/// Weights of the tiers under one policy: how much one request per second at risk counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TierWeights {
    /// Of [`Tier::Critical`].
    pub critical: f64,
    /// Of [`Tier::Standard`].
    pub standard: f64,
    /// Of [`Tier::BestEffort`].
    pub best_effort: f64,
}

impl Default for TierWeights {
    /// [`Tier::weight`] of each.
    fn default() -> Self {
        Self {
            critical: Tier::Critical.weight(),
            standard: Tier::Standard.weight(),
            best_effort: Tier::BestEffort.weight(),
        }
    }
}

impl TierWeights {
    /// Weight of a tier.
    pub const fn of(&self, tier: Tier) -> f64 {
        match tier {
            Tier::Critical => self.critical,
            Tier::Standard => self.standard,
            Tier::BestEffort => self.best_effort,
        }
    }
}

/// A time, once or again and again, at which the policy moves nothing. It is expanded into
/// [`crate::inputs::Freeze`] outside of the core, which knows no time zones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeWindow {
    /// Its name, unique in the policy.
    pub name: String,
    /// When.
    pub when: FreezeTime,
    /// Name of an IANA time zone that the clocks of `when` are in.
    pub time_zone: String,
}

/// When a freeze window is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreezeTime {
    /// Each of some days, from one time of day to another. One that does not end after it began ends on the next day.
    Daily {
        /// Its first minute, counted from midnight.
        from_minute: u16,
        /// The first minute after it.
        to_minute: u16,
        /// Days on which it begins, Monday 0; never empty.
        days: Vec<u8>,
    },
    /// At the times of a cron pattern of five fields.
    Cron {
        /// The pattern.
        cron: String,
        /// How long each lasts, in milliseconds.
        duration_ms: i64,
    },
    /// Once.
    Once {
        /// A local date and time such as `2026-12-20T18:00`.
        from: String,
        /// The first moment after it.
        to: String,
    },
}
