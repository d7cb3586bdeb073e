//! What the net sees of a series at one origin.
use super::cell::INPUTS;
use crate::features::{DAY_MS, Recent, Scale};

/// Features of one step ahead.
pub(super) const FEATURES: usize = 15;

/// Steps that the net runs over.
pub(super) const LENGTH: usize = 48;

/// Steps without which nothing is seen.
pub(super) const SHORTEST: usize = 16;

/// Values that the scale of a window is taken from, spread over two seasons.
const SCALED_BY: usize = 192;

/// Values are cut at so many spreads on the `asinh` scale, 1 500 spreads of the series; one wild value must not
/// outweigh a thousand others in training.
const FARTHEST: f64 = 8.0;

/// A window: the inputs of each step, and what is the same for all steps ahead.
#[derive(Clone, Debug)]
pub(super) struct Window<'a> {
    recent: &'a Recent,
    origin: usize,
    scale: Scale,
    /// Newest value on the scale; predictions are differences to it.
    pub(super) level: f64,
    /// Means of the last 6 and [`LENGTH`] values.
    means: [f64; 2],
    pub(super) inputs: Vec<f32>,
}

impl<'a> Window<'a> {
    /// The window before `origin`, which counts from the oldest kept step. `otherwise` is the scale where the window is
    /// flat; `None` when there is none either, or when too little is known.
    pub(super) fn at(recent: &'a Recent, origin: usize, otherwise: Option<Scale>) -> Option<Self> {
        let values = recent.values().get(..origin)?;
        if values.len() < SHORTEST {
            return None;
        }
        let scale = scale_of(values, recent.season()).or(otherwise)?;
        let on_scale = |value: f64| scale.shrink(value).clamp(-FARTHEST, FARTHEST);
        let first = origin.saturating_sub(LENGTH);
        let mut inputs = Vec::with_capacity(LENGTH * INPUTS);
        for (step, value) in values.iter().enumerate().skip(first) {
            let before = recent.same_phase(step, step, 0).map_or(0.0, on_scale);
            let (sine, cosine) = time_of_day(recent, step);
            inputs.extend([on_scale(*value) as f32, before as f32, sine, cosine]);
        }
        let mean = |length: usize| {
            let last = &values[origin.saturating_sub(length)..];
            last.iter().map(|value| on_scale(*value)).sum::<f64>() / last.len() as f64
        };
        let level = on_scale(*values.last()?);
        Some(Self { recent, origin, scale, level, means: [mean(6), mean(LENGTH)], inputs })
    }

    /// Features of the step `ahead` steps after the origin; steps beyond `trained` look like it.
    pub(super) fn features(&self, ahead: usize, trained: usize) -> [f32; FEATURES] {
        let step = self.origin + ahead;
        let difference = |value: f64| self.on_scale(value) - self.level;
        let phase = |step, more| self.recent.same_phase(step, self.origin, more);
        let latest = phase(step, 0).map(difference);
        let older = phase(step, 1).map(difference).or(latest);
        let profile = self.recent.profile(step, self.origin).map(difference);
        let weekday = self.recent.same_weekday(step, self.origin).map(difference).or(profile);
        let newest = self.origin - 1;
        let then = self.recent.same_phase(newest, newest, 0).map(difference);
        let [near, older, profile, weekday, then] =
            [latest, older, profile, weekday, then].map(|value| value.unwrap_or(0.0) as f32);
        let (sine, cosine) = time_of_day(self.recent, step);
        let day_steps = DAY_MS as f64 / self.recent.step_ms() as f64;
        [
            near,
            older,
            profile,
            weekday,
            then,
            if latest.is_some() { 1.0 } else { 0.0 },
            self.level as f32,
            (self.means[0] - self.level) as f32,
            (self.means[1] - self.level) as f32,
            sine,
            cosine,
            (0.25 * ((ahead.min(trained.saturating_sub(1)) + 1) as f64).ln()) as f32,
            (ahead as f64 / day_steps).min(1.0) as f32,
            (0.25 * self.scale.log_variation()) as f32,
            (0.1 * day_steps.max(1e-3).ln()) as f32,
        ]
    }

    /// What came, as the net should have said it.
    pub(super) fn target(&self, value: f64) -> f32 {
        (self.on_scale(value) - self.level) as f32
    }

    /// A value that the net said, in the unit of the series.
    pub(super) fn restore(&self, said: f32) -> f64 {
        self.scale.restore((f64::from(said) + self.level).clamp(-FARTHEST, FARTHEST))
    }

    fn on_scale(&self, value: f64) -> f64 {
        self.scale.shrink(value).clamp(-FARTHEST, FARTHEST)
    }
}

fn scale_of(values: &[f64], season: Option<usize>) -> Option<Scale> {
    let length = season.map_or(LENGTH, |season| 2 * season).max(LENGTH);
    let last = &values[values.len().saturating_sub(length)..];
    let stride = last.len().div_ceil(SCALED_BY).max(1);
    Scale::of(last.iter().rev().step_by(stride).copied().collect())
}

fn time_of_day(recent: &Recent, step: usize) -> (f32, f32) {
    if recent.step_ms() >= DAY_MS / 2 {
        return (0.0, 0.0);
    }
    let (sine, cosine) = recent.clock(step, DAY_MS);
    (sine as f32, cosine as f32)
}
