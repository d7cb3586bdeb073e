//! Bands: quantiles of recent honest errors at each knot, with a correction that is learnt online.
//!
//! The errors are those of forecasts that were really made, so their quantiles are what split conformal prediction takes
//! (Vovk, Gammerman, Shafer 2005). Where the series changes they come too late; so either side of the band is widened a
//! little with every miss and narrowed with every hit, in the ratio that keeps the promised share (adaptive conformal
//! inference, Gibbs and Candès 2021; the proportional term of conformal PID, Angelopoulos, Candès, Tibshirani 2023).
use super::LEVELS;
use super::scale::{Code, GAP, decode, encode};

/// Errors kept for each knot.
pub(super) const KEPT: usize = 64;

/// With fewer errors the band is filled up with assumed ones.
pub(super) const ENOUGH: usize = 16;

/// Errors are kept relative to this power of the spread at their origin: between 0, calm and stormy times are the same,
/// and 1, errors grow with the storm.
const STORM: f32 = 0.5;

/// Size of one correction, as a share of the width.
const RATE: f32 = 0.03;

/// Share of the way back to no correction with every error: the sample itself learns too, and what was corrected for its
/// old errors must not outlive them.
const RETURN: f32 = 0.005;

/// The corrections stay within these factors.
const NARROWEST: f32 = 0.6;
const WIDEST: f32 = 4.0;

/// Levels that the corrections are steered by, below and above.
const STEERED: f32 = 0.1;

/// Places of those levels in [`LEVELS`].
const LOW: usize = 1;
const HIGH: usize = 5;

/// Assumed errors are logistic, with this share of the spread as scale, and grow with the root of the distance up to
/// this factor.
const ASSUMED: f32 = 0.9;
const ASSUMED_GROWTH: f32 = 4.0;

/// The band at one knot.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    /// Ring of errors divided by the storm factor.
    errors: [Code; KEPT],
    next: u8,
    /// Newest quantiles, divided by the storm factor.
    quantiles: [f32; LEVELS.len()],
    /// Factors of the part below and above the point.
    below: f32,
    above: f32,
}

/// What errors are divided by at a spread of one-step errors.
pub(super) fn storm(spread: f32) -> f32 {
    spread.max(1e-4).powf(STORM)
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self { errors: [GAP; KEPT], next: 0, quantiles: [0.0; LEVELS.len()], below: 1.0, above: 1.0 }
    }

    /// Learns from an error and the storm factor at its origin; `kept` puts it into the sample too.
    pub(super) fn add(&mut self, error: f32, storm: f32, kept: bool) {
        let relative = error / storm;
        if self.quantiles[HIGH] > self.quantiles[LOW] {
            let correct = |factor: &mut f32, missed: bool| {
                let step = if missed { 1.0 - STEERED } else { -STEERED };
                let kept = *factor + RETURN * (1.0 - *factor);
                *factor = (kept * (1.0 + RATE * step)).clamp(NARROWEST, WIDEST);
            };
            let over = relative > self.quantiles[HIGH].max(0.0) * self.above;
            let under = relative < self.quantiles[LOW].min(0.0) * self.below;
            correct(&mut self.above, over);
            correct(&mut self.below, under);
        }
        if kept {
            self.errors[usize::from(self.next)] = encode(relative);
            self.next = (self.next + 1) % KEPT as u8;
        }
    }

    /// Refreshes the quantiles. `spread` and the distance `ahead` say what to assume where errors are few; `prior` are
    /// quantiles of a like series, in units of its storm.
    pub(super) fn refresh(&mut self, spread: f32, ahead: usize, prior: Option<&[f32; LEVELS.len()]>) {
        let mut sorted = [0.0f32; KEPT];
        let mut count = 0;
        for code in self.errors {
            if code != GAP {
                sorted[count] = decode(code);
                count += 1;
            }
        }
        if count < ENOUGH {
            let missing = ENOUGH - count;
            let scale = ASSUMED * spread / storm(spread) * (ahead as f32).sqrt().min(ASSUMED_GROWTH);
            for index in 0..missing {
                let share = (index as f32 + 0.5) / missing as f32;
                sorted[count] = match prior {
                    Some(prior) => between_levels(prior, share),
                    None => scale * (share / (1.0 - share)).ln(),
                };
                count += 1;
            }
        }
        let sorted = &mut sorted[..count];
        sorted.sort_unstable_by(f32::total_cmp);
        for (quantile, level) in self.quantiles.iter_mut().zip(LEVELS) {
            *quantile = at_level(sorted, level as f32);
        }
    }

    /// Newest quantiles as they were counted.
    pub(super) fn plain(&self) -> &[f32; LEVELS.len()] {
        &self.quantiles
    }

    /// Distances from the point at each of [`LEVELS`], in model scale. The middle is the point itself, and no level is
    /// on the wrong side of it.
    pub(super) fn band(&self, storm: f32) -> [f32; LEVELS.len()] {
        let mut band = self.quantiles;
        let middle = LEVELS.len() / 2;
        for (index, distance) in band.iter_mut().enumerate() {
            *distance = match index.cmp(&middle) {
                std::cmp::Ordering::Less => distance.min(0.0) * self.below * storm,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => distance.max(0.0) * self.above * storm,
            };
        }
        band
    }

    /// A single error of a path, corrected like the band.
    pub(super) fn corrected(&self, relative: f32, storm: f32) -> f32 {
        relative * storm * if relative < 0.0 { self.below } else { self.above }
    }

    /// Forgets all errors but the newest.
    pub(super) fn keep_newest(&mut self, count: usize) {
        for age in count..KEPT {
            let place = (usize::from(self.next) + KEPT - 1 - age) % KEPT;
            self.errors[place] = GAP;
        }
        (self.below, self.above) = (1.0, 1.0);
    }
}

/// Value at a level of a sorted, non-empty sample: linear between the ranks `(n + 1) · level`.
fn at_level(sorted: &[f32], level: f32) -> f32 {
    let last = sorted.len() - 1;
    let place = ((sorted.len() + 1) as f32 * level - 1.0).clamp(0.0, last as f32);
    let below = place as usize;
    sorted[below] + (place - below as f32) * (sorted[(below + 1).min(last)] - sorted[below])
}

/// Linear between quantiles at [`LEVELS`], carried on beyond them.
fn between_levels(quantiles: &[f32; LEVELS.len()], share: f32) -> f32 {
    let upper = LEVELS.iter().position(|level| *level as f32 >= share).unwrap_or(LEVELS.len() - 1).max(1);
    let (low, high) = (LEVELS[upper - 1] as f32, LEVELS[upper] as f32);
    quantiles[upper - 1] + (share - low) / (high - low) * (quantiles[upper] - quantiles[upper - 1])
}
