//! How large the effect of each tag is, learned from past occurrences.
use super::Occurrence;
use crate::{
    forecast::LEVELS,
    time::{Step, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an effect adds to the value that would be without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// A difference in the unit of the series.
    Additive,
    /// A factor; its phases hold the natural logarithm of it.
    Factor,
}

/// Where an effect comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectSource {
    /// No occurrence was seen yet: what people expect.
    Expected,
    /// No occurrence was seen yet: what the tag does to like services.
    LikeServices,
    /// Past occurrences in this series, with what was known before as the prior.
    Learned,
}

/// The effect of one tag on one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagEffect {
    /// How it adds up.
    pub kind: EffectKind,
    /// Effect in each of the equally long phases of an occurrence: differences, or logarithms of factors. Never empty.
    pub phases: Vec<f64>,
    /// Standard deviation between occurrences, uncertainty of the estimate included, on the scale of `phases`.
    pub spread: f64,
    /// Past occurrences behind it.
    pub occurrences: usize,
    /// Where it comes from.
    pub source: EffectSource,
}

/// What is known of tags before a series of its own was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Priors(BTreeMap<String, Vec<f64>>);

/// An event that has an effect in some time, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InForce {
    /// Name of the event.
    pub event: String,
    /// The tag its effect was learned by.
    pub tag: String,
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
    /// Mean effect in words, such as `x1.80` or `+200`.
    pub effect: String,
    /// Where the effect comes from.
    pub source: EffectSource,
    /// Past occurrences behind it.
    pub occurrences: usize,
}

/// The effects of all events on one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    step: Step,
    by_tag: BTreeMap<String, TagEffect>,
    occurrences: Vec<Occurrence>,
}

/// Learns the effects of events on one series.
///
/// `values` has one value for each step from `start` on, `NaN` for a gap. `occurrences` are those that concern the
/// series, past ones and those within the horizon, without cancelled ones; `season` is in steps. `metric` is the name
/// of the quantity with its unit.
pub fn learn(
    metric: &str,
    values: &[f64],
    start: Timestamp,
    step: Step,
    season: Option<usize>,
    occurrences: &[Occurrence],
    priors: &Priors,
) -> Effects {
    let _ = (metric, values, start, season, priors);
    Effects { step, by_tag: BTreeMap::new(), occurrences: occurrences.to_vec() }
}

impl Priors {
    /// Means over the effects on like services.
    pub fn of<'a>(_effects: impl IntoIterator<Item = &'a Effects>) -> Self {
        Self::default()
    }
}

impl Effects {
    /// The effect of each tag.
    pub fn tags(&self) -> &BTreeMap<String, TagEffect> {
        &self.by_tag
    }

    /// Whether no event has an effect, so that everything may go on as without a calendar.
    pub fn is_empty(&self) -> bool {
        self.by_tag.is_empty()
    }

    /// Takes the effects out of a history in place: what the values would have been without the events. `start` is the
    /// start of the first step.
    pub fn subtract(&self, _values: &mut [f64], _start: Timestamp) {}

    /// Puts the effects of the step that starts at `at` back onto a value of it; the inverse of [`Self::subtract`].
    pub fn add_back(&self, _at: Timestamp, value: f64) -> f64 {
        value
    }

    /// Puts them back onto values at [`LEVELS`], the spread of the effects included, which widens the band.
    pub fn add_back_band(&self, _at: Timestamp, band: [f64; LEVELS.len()]) -> [f64; LEVELS.len()] {
        band
    }

    /// Standard deviation that the effects' uncertainty adds to a value without events, in the unit of the series.
    pub fn spread(&self, _at: Timestamp, _value: f64) -> f64 {
        0.0
    }

    /// Events with an effect between `from`, inclusive, and `to`, exclusive, in the order of their start.
    pub fn in_force(&self, _from: Timestamp, _to: Timestamp) -> Vec<InForce> {
        Vec::new()
    }
}
