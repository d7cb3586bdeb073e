//! How large the effect of each tag is: subtracted from a history before a model sees it, so that last night's backup
//! does not become the season, and added back to what the model says.
//!
//! Values without events become values with them by `value * factors + differences`, over all events that are in force
//! in a step; a step that an event covers in part gets that part of its effect.
mod differences;
mod learn;
#[cfg(test)]
mod tests;
mod ways;

pub(crate) use differences::median;
pub use learn::learn;

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
    /// Median of the series around the occurrences, without the effect.
    pub level: f64,
    /// Past occurrences behind it.
    pub occurrences: usize,
    /// Where it comes from.
    pub source: EffectSource,
}

impl TagEffect {
    /// Its mean in words, such as `x1.80` or `+200`.
    pub fn in_words(&self) -> String {
        in_words(self.kind, self.mean())
    }

    /// Mean over the phases, on their scale.
    pub fn mean(&self) -> f64 {
        self.phases.iter().sum::<f64>() / self.phases.len().max(1) as f64
    }

    /// Mean effect from `first` to `end`, positions in the occurrence from 0 to 1.
    fn between(&self, first: f64, end: f64) -> f64 {
        let count = self.phases.len() as f64;
        let (mut sum, mut covered) = (0.0, 0.0);
        for (index, phase) in self.phases.iter().enumerate() {
            let share = (end * count).min(index as f64 + 1.0) - (first * count).max(index as f64);
            if share > 0.0 {
                sum += share * phase;
                covered += share;
            }
        }
        if covered > 0.0 { sum / covered } else { 0.0 }
    }
}

/// What is known of tags before an occurrence was seen in a series of its own: the mean logarithm of the factor that
/// the tag has on like services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Priors(BTreeMap<String, MeanLog>);

/// A sum of logarithms, so that one series can be taken out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct MeanLog {
    sum: f64,
    count: usize,
}

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
    /// Sorted by start.
    placed: Vec<Placed>,
    /// Longest of them, in milliseconds: how far back one must look for those in force.
    longest_ms: i64,
}

/// An occurrence, and how strong this one was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Placed {
    occurrence: Occurrence,
    /// Multiplies its tag's effect; 1 unless it was seen to be stronger or weaker than others.
    amplitude: f64,
}

/// All that acts on one step.
#[derive(Clone, Copy, Debug)]
struct Acting {
    log_factor: f64,
    difference: f64,
    log_variance: f64,
    variance: f64,
}

/// Largest logarithm of all factors in one step: e^20 times is past anything measured, and keeps every value finite.
const MOST_LOG: f64 = 20.0;

impl Priors {
    /// Means over the effects on like services, those that were learnt from occurrences.
    pub fn of<'a>(effects: impl IntoIterator<Item = &'a Effects>) -> Self {
        let mut priors = Self::default();
        for (tag, log) in effects.into_iter().flat_map(Effects::learnt_logs) {
            let mean = priors.0.entry(tag.to_owned()).or_default();
            mean.sum += log;
            mean.count += 1;
        }
        priors
    }

    /// The same without the effects on one of those services: what it did itself tells it nothing about others.
    #[must_use]
    pub fn without(&self, own: &Effects) -> Self {
        let mut others = self.clone();
        for (tag, log) in own.learnt_logs() {
            if let Some(mean) = others.0.get_mut(tag) {
                mean.sum -= log;
                mean.count = mean.count.saturating_sub(1);
            }
        }
        others.0.retain(|_, mean| mean.count > 0);
        others
    }

    /// The same, and what `others` know of further tags.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        let mut both = others.clone();
        both.0.extend(self.0.iter().map(|(tag, mean)| (tag.clone(), *mean)));
        both
    }

    /// Only the tags for which `keep` holds.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|tag, _| keep(tag));
        self
    }

    /// The mean logarithm of the factor that a tag has; `None` where nothing is known of it.
    pub fn get(&self, tag: &str) -> Option<f64> {
        self.0.get(tag).map(|mean| mean.sum / mean.count.max(1) as f64)
    }
}

impl Effects {
    fn new(step: Step, by_tag: BTreeMap<String, TagEffect>, occurrences: Vec<Occurrence>) -> Self {
        let longest_ms = occurrences.iter().map(|one| one.end.ms_since(one.start)).max().unwrap_or(0);
        let mut placed: Vec<Placed> =
            occurrences.into_iter().map(|occurrence| Placed { occurrence, amplitude: 1.0 }).collect();
        placed.sort_by_key(|one| (one.occurrence.start, one.occurrence.end));
        Self { step, by_tag, placed, longest_ms }
    }

    /// The same effects where other occurrences are known by now. Those that were seen keep their strength; nothing is
    /// learnt again.
    #[must_use]
    pub fn with_occurrences(&self, occurrences: &[Occurrence]) -> Self {
        let kept = occurrences.iter().filter(|one| one.start < one.end).cloned().collect();
        let mut effects = Self::new(self.step, self.by_tag.clone(), kept);
        for one in &mut effects.placed {
            let same = |known: &&Placed| {
                let (a, b) = (&known.occurrence, &one.occurrence);
                (&a.event, a.start, a.end) == (&b.event, b.start, b.end)
            };
            if let Some(known) = self.placed.iter().find(same) {
                one.amplitude = known.amplitude;
            }
        }
        effects
    }

    /// Takes over the effects of tags that have none here.
    pub(crate) fn take_tags_of(&mut self, other: Self) {
        for (tag, effect) in other.by_tag {
            self.by_tag.entry(tag).or_insert(effect);
        }
    }

    /// Logarithms of the factors that were learnt from occurrences, by tag.
    fn learnt_logs(&self) -> impl Iterator<Item = (&str, f64)> {
        let learnt = self.by_tag.iter().filter(|(_, effect)| effect.source == EffectSource::Learned);
        learnt.filter_map(|(tag, effect)| {
            Some((tag.as_str(), learn::as_log_factor(effect.kind, effect.mean(), effect.level)?))
        })
    }

    /// The effect of each tag that has one.
    pub fn tags(&self) -> &BTreeMap<String, TagEffect> {
        &self.by_tag
    }

    /// Whether no event has an effect, so that everything may go on as without a calendar.
    pub fn is_empty(&self) -> bool {
        self.by_tag.is_empty()
    }

    /// Takes the effects out of a history in place: what the values would have been without the events. `start` is the
    /// start of the first step. Values may fall below what can happen; [`Self::add_back`] is the exact inverse.
    pub fn subtract(&self, values: &mut [f64], start: Timestamp) {
        let end = start.plus_ms(self.step.times(values.len()));
        for one in self.overlapping(start, end) {
            for index in self.steps_of(&one.occurrence, start, values.len()) {
                // Steps with several events are met several times; the first of them takes out all.
                let at = start.plus_ms(self.step.times(index));
                let first = self.overlapping(at, at.plus_ms(self.step.ms())).next();
                if first.is_some_and(|first| std::ptr::eq(first, one)) {
                    let acting = self.acting(at);
                    values[index] = (values[index] - acting.difference) / acting.log_factor.exp();
                }
            }
        }
    }

    /// Puts the effects of the step that starts at `at` back onto a value of it; the inverse of [`Self::subtract`].
    pub fn add_back(&self, at: Timestamp, value: f64) -> f64 {
        let acting = self.acting(at);
        value * acting.log_factor.exp() + acting.difference
    }

    /// Puts them back onto values at [`LEVELS`], the spread of the effects included, which widens the band.
    ///
    /// The distance of each level from the middle and that of the spread at the same level, taken as normal, add up by
    /// their squares, as those of independent errors do.
    pub fn add_back_band(&self, at: Timestamp, band: [f64; LEVELS.len()]) -> [f64; LEVELS.len()] {
        let middle = band[LEVELS.len() / 2];
        let factor = self.acting(at).log_factor.exp();
        let spread = self.spread(at, middle);
        let centre = self.add_back(at, middle);
        std::array::from_fn(|index| {
            let own = (band[index] - middle) * factor;
            centre + widened(own, spread * NORMAL[index])
        })
    }

    /// Standard deviation that the effects' uncertainty adds to a value without events, in the unit of the series.
    pub fn spread(&self, at: Timestamp, value: f64) -> f64 {
        let acting = self.acting(at);
        let by_factors = value * acting.log_factor.exp();
        (acting.variance + by_factors * by_factors * acting.log_variance).sqrt()
    }

    /// Whether an event has an effect between `from`, inclusive, and `to`, exclusive.
    pub fn acts(&self, from: Timestamp, to: Timestamp) -> bool {
        self.overlapping(from, to).any(|one| self.by_tag.contains_key(one.occurrence.tag()))
    }

    /// Events with an effect between `from`, inclusive, and `to`, exclusive, in the order of their start.
    pub fn in_force(&self, from: Timestamp, to: Timestamp) -> Vec<InForce> {
        let named = |one: &Placed| {
            let effect = self.by_tag.get(one.occurrence.tag())?;
            Some(InForce {
                event: one.occurrence.event.clone(),
                tag: one.occurrence.tag().to_owned(),
                start: one.occurrence.start,
                end: one.occurrence.end,
                effect: in_words(effect.kind, effect.mean() * one.amplitude),
                source: effect.source,
                occurrences: effect.occurrences,
            })
        };
        self.overlapping(from, to).filter_map(named).collect()
    }

    /// Everything that acts on the step that starts at `at`.
    fn acting(&self, at: Timestamp) -> Acting {
        let mut acting = Acting { log_factor: 0.0, difference: 0.0, log_variance: 0.0, variance: 0.0 };
        for one in self.overlapping(at, at.plus_ms(self.step.ms())) {
            let Some(effect) = self.by_tag.get(one.occurrence.tag()) else { continue };
            let (weight, first, end) = coverage(&one.occurrence, at, self.step);
            let size = weight * one.amplitude * effect.between(first, end);
            let variance = (weight * effect.spread).powi(2);
            match effect.kind {
                EffectKind::Additive => {
                    acting.difference += size;
                    acting.variance += variance;
                }
                EffectKind::Factor => {
                    acting.log_factor += size;
                    acting.log_variance += variance;
                }
            }
        }
        acting.log_factor = acting.log_factor.clamp(-MOST_LOG, MOST_LOG);
        acting
    }

    fn overlapping(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &Placed> {
        let earliest = from.plus_ms(self.longest_ms.saturating_neg());
        let first = self.placed.partition_point(|one| one.occurrence.start < earliest);
        let end = self.placed.partition_point(|one| one.occurrence.start < to);
        self.placed[first..end.max(first)].iter().filter(move |one| one.occurrence.end > from)
    }

    fn steps_of(&self, occurrence: &Occurrence, start: Timestamp, length: usize) -> std::ops::Range<usize> {
        steps_of(occurrence, start, self.step, length)
    }
}

/// Indices of the steps that an occurrence touches, within a history of so many steps.
fn steps_of(occurrence: &Occurrence, start: Timestamp, step: Step, length: usize) -> std::ops::Range<usize> {
    let index = |count: i64| usize::try_from(count.max(0)).unwrap_or(0).min(length);
    let first = index(step.count(start, occurrence.start));
    let end = index(step.count(start, occurrence.end.plus_ms(step.ms() - 1)));
    first..end.max(first)
}

/// Share of a step that an occurrence covers, and from where to where in the occurrence that is, from 0 to 1.
fn coverage(occurrence: &Occurrence, at: Timestamp, step: Step) -> (f64, f64, f64) {
    let length = occurrence.end.ms_since(occurrence.start).max(1) as f64;
    let first = at.max(occurrence.start);
    let end = at.plus_ms(step.ms()).min(occurrence.end);
    let weight = end.ms_since(first).max(0) as f64 / step.ms() as f64;
    let position = |moment: Timestamp| moment.ms_since(occurrence.start) as f64 / length;
    (weight, position(first), position(end))
}

/// Quantiles of the normal distribution at [`LEVELS`].
pub(crate) const NORMAL: [f64; LEVELS.len()] =
    [-1.644_853_6, -1.281_551_6, -0.674_489_8, 0.0, 0.674_489_8, 1.281_551_6, 1.644_853_6];

/// The distance from the middle of a level, widened by another one at the same level.
pub(crate) fn widened(own: f64, other: f64) -> f64 {
    let size = own.hypot(other);
    let downwards = own < 0.0 || (own == 0.0 && other < 0.0);
    if downwards { -size } else { size }
}

fn in_words(kind: EffectKind, size: f64) -> String {
    match kind {
        EffectKind::Factor => format!("x{:.2}", size.exp()),
        EffectKind::Additive if size.abs() >= 100.0 => format!("{size:+.0}"),
        EffectKind::Additive => format!("{size:+.3}"),
    }
}
