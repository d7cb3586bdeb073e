//! Known events: what takes place when, on what it has an effect, and how large that effect is.
//!
//! The crate `foremesh-calendar` reads calendars and turns rules into [`Occurrence`]s; the core sees nothing but those.
//! [`Effects`] are learned from past occurrences, subtracted from a history before a model sees it, and added back to
//! what the model says.
pub mod effects;
mod scope;

pub use effects::{EffectKind, EffectSource, Effects, InForce, Priors, TagEffect, learn};
pub use scope::{Scope, Subject};

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One time that an event takes place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occurrence {
    /// Name of the event.
    pub event: String,
    /// Its tags. Effects are learned by the first one; an event without tags has its name as its only tag.
    pub tags: Vec<String>,
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it, always later than `start`.
    pub end: Timestamp,
    /// Its effect as far as people know it, in force until there is something better.
    pub expected: Option<ExpectedEffect>,
}

impl Occurrence {
    /// The tag that its effect is learned by.
    pub fn tag(&self) -> &str {
        self.tags.first().map_or(self.event.as_str(), String::as_str)
    }
}

/// What people say that an event does.
///
/// Written `x1.8` for a factor, `+200`, `-15` for a difference in the unit of the series, and `+200 ms` for a
/// difference that applies only to series in that unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ExpectedEffect {
    /// Values are so many times what they would be without the event; above 0, at most [`MOST_FACTOR`].
    Factor(f64),
    /// Values are higher by this; finite.
    Difference {
        /// In the unit of the series.
        by: f64,
        /// That unit, such as `ms` or `rps`; series in other units are not concerned.
        unit: Option<String>,
    },
}

/// Largest factor, and the inverse of the smallest, that an event may have. More is a mistyped number.
pub const MOST_FACTOR: f64 = 1_000.0;

/// A text that is no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an effect; write a factor from x0.001 to x1000 such as x1.8, or a difference such as +200 or +200 ms"
)]
pub struct EffectError(String);

impl ExpectedEffect {
    /// Whether it says something about a series with this name, such as `latency_p99_ms`: a difference with a unit
    /// concerns only names that end with it.
    pub fn concerns(&self, metric: &str) -> bool {
        match self {
            Self::Difference { unit: Some(unit), .. } => {
                metric.strip_suffix(unit.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
            }
            Self::Factor(_) | Self::Difference { unit: None, .. } => true,
        }
    }
}

impl FromStr for ExpectedEffect {
    type Err = EffectError;

    fn from_str(text: &str) -> Result<Self, EffectError> {
        let error = || EffectError(text.to_owned());
        let trimmed = text.trim();
        if let Some(factor) = trimmed.strip_prefix(['x', 'X', '×']) {
            let factor: f64 = factor.trim().parse().map_err(|_| error())?;
            let allowed = (1.0 / MOST_FACTOR..=MOST_FACTOR).contains(&factor);
            return if allowed { Ok(Self::Factor(factor)) } else { Err(error()) };
        }
        if !trimmed.starts_with(['+', '-']) {
            return Err(error());
        }
        let letter = |c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
        let (number, unit) = trimmed.split_at(trimmed.find(letter).unwrap_or(trimmed.len()));
        let by: f64 = number.parse().map_err(|_| error())?;
        let unit = unit.trim();
        let named = unit.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '%' | '/'));
        if !by.is_finite() || !named {
            return Err(error());
        }
        Ok(Self::Difference { by, unit: (!unit.is_empty()).then(|| unit.to_owned()) })
    }
}

impl fmt::Display for ExpectedEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "x{factor}"),
            Self::Difference { by, unit: None } => write!(f, "{by:+}"),
            Self::Difference { by, unit: Some(unit) } => write!(f, "{by:+} {unit}"),
        }
    }
}

impl TryFrom<String> for ExpectedEffect {
    type Error = EffectError;

    fn try_from(text: String) -> Result<Self, EffectError> {
        text.parse()
    }
}

impl From<ExpectedEffect> for String {
    fn from(effect: ExpectedEffect) -> Self {
        effect.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_read_and_written() {
        let difference =
            |by: f64, unit: Option<&str>| ExpectedEffect::Difference { by, unit: unit.map(str::to_owned) };
        for (text, want, written) in [
            ("x1.8", ExpectedEffect::Factor(1.8), "x1.8"),
            (" x 0.5 ", ExpectedEffect::Factor(0.5), "x0.5"),
            ("+200", difference(200.0, None), "+200"),
            ("-15", difference(-15.0, None), "-15"),
            ("+200ms", difference(200.0, Some("ms")), "+200 ms"),
            ("+2.5 rps", difference(2.5, Some("rps")), "+2.5 rps"),
        ] {
            let effect: ExpectedEffect = text.parse().unwrap();
            assert_eq!((&effect, effect.to_string().as_str()), (&want, written));
            assert_eq!(effect.to_string().parse(), Ok(want));
        }
        for text in ["", "200", "x", "x0", "x-2", "x1e9", "xNaN", "+", "+inf", "1.8x", "+2 m s", "+--2"] {
            assert!(text.parse::<ExpectedEffect>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_unit_limits_a_difference_to_its_series() {
        let effect: ExpectedEffect = "+200 ms".parse().unwrap();
        for (metric, want) in
            [("latency_p99_ms", true), ("ms", true), ("throughput_rps", false), ("items", false)]
        {
            assert_eq!(effect.concerns(metric), want, "{metric}");
        }
        assert!(ExpectedEffect::Factor(2.0).concerns("throughput_rps"));
    }
}
