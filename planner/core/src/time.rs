//! Points and steps of time as plain numbers. Nothing here reads a clock.
use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970-01-01 UTC.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This time and `ms` milliseconds more (or less, when negative).
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Length of one step of a series, in whole milliseconds, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Step(i64);

/// A step of zero or negative length was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a step must be at least 1 ms long, but {0} ms were given")]
pub struct StepError(i64);

impl Step {
    /// One minute, the planner's usual base step.
    pub const MINUTE: Self = Self(60_000);

    /// A step of `ms` milliseconds.
    ///
    /// # Errors
    /// When `ms` is less than 1.
    pub const fn from_ms(ms: i64) -> Result<Self, StepError> {
        if ms < 1 { Err(StepError(ms)) } else { Ok(Self(ms)) }
    }

    /// Its length in milliseconds.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Its length in seconds.
    pub const fn seconds(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// Length of so many steps in milliseconds.
    pub fn times(self, steps: usize) -> i64 {
        self.0.saturating_mul(i64::try_from(steps).unwrap_or(i64::MAX))
    }

    /// Start of the step that holds `at`.
    pub const fn floor(self, at: Timestamp) -> Timestamp {
        Timestamp(at.0.div_euclid(self.0) * self.0)
    }

    /// Whole steps from `from` to `to`, rounded down.
    pub const fn count(self, from: Timestamp, to: Timestamp) -> i64 {
        to.ms_since(from).div_euclid(self.0)
    }
}

impl TryFrom<i64> for Step {
    type Error = StepError;

    fn try_from(ms: i64) -> Result<Self, StepError> {
        Self::from_ms(ms)
    }
}

impl From<Step> for i64 {
    fn from(step: Step) -> i64 {
        step.0
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 { write!(f, "{} s", self.0 / 1000) } else { write!(f, "{} ms", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_goes_down_also_before_1970() {
        let step = Step::from_ms(60_000).unwrap();
        for (at, want) in [(0, 0), (59_999, 0), (60_000, 60_000), (-1, -60_000)] {
            assert_eq!(step.floor(Timestamp(at)), Timestamp(want), "at {at}");
        }
    }

    #[test]
    fn a_step_of_nothing_is_refused() {
        assert_eq!(
            Step::from_ms(0).unwrap_err().to_string(),
            "a step must be at least 1 ms long, but 0 ms were given"
        );
    }
}
