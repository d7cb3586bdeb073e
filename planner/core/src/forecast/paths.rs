//! Past forecasts kept whole: each with its origin and its points at the knots. Together with the values that came, they
//! are joint error paths, which bands and breach probabilities are made of.
use super::memory::Memory;
use super::scale::{Code, decode, encode};

/// Knots of the horizon.
pub(super) const KNOTS: usize = 5;

/// Paths kept.
pub(super) const PATHS: usize = 48;

/// One past forecast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    origin: u64,
    points: [Code; KNOTS],
    /// Storm factor at its origin, which its errors are relative to.
    storm: f32,
}

/// The distances ahead, in steps, at which predictions are tracked; each larger than the one before, the last the
/// horizon. Between them everything is interpolated.
pub(super) fn knots(horizon: usize) -> [usize; KNOTS] {
    let mut knots = [0; KNOTS];
    let ratio = (horizon as f64).powf(1.0 / (KNOTS - 1) as f64);
    for (index, knot) in knots.iter_mut().enumerate() {
        *knot = (ratio.powi(index as i32).round() as usize).clamp(1, horizon.max(1));
    }
    knots[KNOTS - 1] = horizon.max(1);
    knots
}

/// The knot at or after a distance ahead, and the share of the one before it.
pub(super) fn between(knots: &[usize; KNOTS], ahead: usize) -> (usize, f32) {
    let upper = knots.iter().position(|knot| *knot >= ahead).unwrap_or(KNOTS - 1);
    if upper == 0 || knots[upper] == knots[upper - 1] {
        return (upper, 0.0);
    }
    let share = (knots[upper].saturating_sub(ahead)) as f32 / (knots[upper] - knots[upper - 1]) as f32;
    (upper, share)
}

/// Linear between the values at two knots.
pub(super) fn blend(at_knots: &[f32; KNOTS], (upper, share): (usize, f32)) -> f32 {
    at_knots[upper] + share * (at_knots[upper.saturating_sub(1)] - at_knots[upper])
}

/// The newest paths, thinned so that they reach back over about a season.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    paths: Vec<Path>,
    /// Steps between two origins.
    stride: u32,
    most_stride: u32,
}

impl Paths {
    pub(super) fn new(kept: usize, horizon: usize) -> Self {
        let most_stride = (kept.saturating_sub(horizon + 1) / (PATHS + 1)).max(1) as u32;
        Self { paths: Vec::with_capacity(PATHS), stride: 1, most_stride }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.paths.capacity() * size_of::<Path>()
    }

    /// Whether the forecast from this origin is one to keep.
    pub(super) fn wanted(&self, origin: u64) -> bool {
        origin.is_multiple_of(u64::from(self.stride))
    }

    pub(super) fn push(&mut self, origin: u64, points: &[f32; KNOTS], storm: f32) {
        if self.paths.len() == PATHS {
            if self.stride * 2 <= self.most_stride {
                self.stride *= 2;
                let stride = self.stride;
                self.paths.retain(|path| path.origin.is_multiple_of(u64::from(stride)));
            } else {
                self.paths.remove(0);
            }
        }
        self.paths.push(Path { origin, points: points.map(encode), storm });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter()
    }

    /// Forgets the paths that began before a step.
    pub(super) fn forget_before(&mut self, origin: u64) {
        self.paths.retain(|path| path.origin >= origin);
    }
}

impl Path {
    /// Whether all its values came by now.
    pub(super) fn over(&self, memory: &Memory, horizon: usize) -> bool {
        self.origin + horizon as u64 <= memory.steps
    }

    /// What was forecast at a knot and what came; `NaN` where nothing came.
    pub(super) fn at_knot(&self, memory: &Memory, knot: usize, ahead: usize) -> (f32, f32) {
        (decode(self.points[knot]), memory.at(self.origin + ahead as u64 - 1))
    }

    /// What came less what was forecast, `ahead` steps (from 1) after the origin, relative to the storm factor; `NaN`
    /// where nothing came.
    pub(super) fn error(&self, memory: &Memory, ahead: usize, place: (usize, f32)) -> f32 {
        let actual = memory.at(self.origin + ahead as u64 - 1);
        let (upper, share) = place;
        let high = decode(self.points[upper]);
        let low = decode(self.points[upper.saturating_sub(1)]);
        (actual - (high + share * (low - high))) / self.storm
    }
}
