//! Experts: dear models that somebody else fits and that take part in the combination with their own tracked errors.
use super::model::{Fitted, Prediction};
use super::paths::KNOTS;
use super::scale::{Scale, units};
use super::weights::Errors;
use std::collections::VecDeque;

/// Predictions are asked for so many times in a horizon; more would cost a neural net's time at every step.
const ORIGINS: usize = 6;

/// One expert.
#[derive(Debug)]
pub(super) struct Expert {
    pub(super) name: String,
    model: Box<dyn Fitted>,
    /// Origin of the newest predictions, which follow, in model scale.
    origin: u64,
    pub(super) ahead: Vec<f32>,
    /// Origins and predictions at the knots whose values are still to come.
    pending: VecDeque<(u64, [f32; KNOTS])>,
    /// Decayed sums of its absolute errors and of the reference's on the same targets, in units.
    pub(super) sums: [(f32, f32); KNOTS],
    pub(super) counts: [f32; KNOTS],
    /// Weight at each knot.
    pub(super) weights: [f32; KNOTS],
    out: Vec<Prediction>,
}

impl Expert {
    pub(super) fn new(name: String, model: Box<dyn Fitted>, horizon: usize) -> Self {
        Self {
            name,
            model,
            origin: 0,
            ahead: vec![f32::NAN; horizon],
            pending: VecDeque::new(),
            sums: [(0.0, 0.0); KNOTS],
            counts: [0.0; KNOTS],
            weights: [0.0; KNOTS],
            out: vec![Prediction::UNKNOWN; horizon],
        }
    }

    /// Puts a newly fitted model in place of the old one; the errors stay, because the model is the same kind.
    pub(super) fn replace(&mut self, model: Box<dyn Fitted>) {
        self.model = model;
    }

    /// Takes a value in, and what else was measured in that step.
    pub(super) fn update(&mut self, value: f64, beside: &[f64]) {
        self.model.update(value, beside);
    }

    /// Bytes of the model itself.
    pub(super) fn bytes(&self) -> usize {
        self.model.bytes()
    }

    pub(super) fn skip(&mut self, steps: u64) {
        self.model.skip(steps);
    }

    /// The same expert at the beginning of a series, with the errors and the weights of before; `None` for one that must
    /// be fitted to it.
    pub(super) fn anew(&self) -> Option<Self> {
        let mut new = Self::new(self.name.clone(), self.model.anew()?, self.ahead.len());
        (new.sums, new.counts, new.weights) = (self.sums, self.counts, self.weights);
        Some(new)
    }

    /// Compares what it said with a value that came. `reference` is the reference's error at each knot, `NaN` for none.
    pub(super) fn compare(
        &mut self,
        index: u64,
        actual: f32,
        reference: &[f32; KNOTS],
        knots: &[usize; KNOTS],
        keep: f32,
    ) {
        for (knot, ahead) in knots.iter().enumerate() {
            let Some(origin) = (index + 1).checked_sub(*ahead as u64) else { continue };
            let said = self.pending.iter().find(|(at, _)| *at == origin).map(|(_, points)| points[knot]);
            let Some(said) = said.filter(|said| !said.is_nan() && !reference[knot].is_nan()) else {
                continue;
            };
            let error = (units(actual) - units(said)).abs();
            let (sum, of_reference) = &mut self.sums[knot];
            // It is asked less often than the reference, so its memory is as much shorter.
            let keep = keep.powi((knots[KNOTS - 1] / ORIGINS).max(1) as i32);
            *sum = keep * *sum + error.min(10.0 * reference[knot] + 10.0);
            *of_reference = keep * *of_reference + reference[knot];
            self.counts[knot] = keep * self.counts[knot] + 1.0;
        }
    }

    /// Whether it is asked at this origin.
    pub(super) fn asked(&self, origin: u64) -> bool {
        origin.is_multiple_of((self.ahead.len() / ORIGINS).max(1) as u64)
    }

    /// Asks for predictions; `false` when one of them is no number.
    pub(super) fn predict(&mut self, origin: u64, scale: &Scale) -> bool {
        self.origin = origin;
        self.out.fill(Prediction::UNKNOWN);
        self.model.predict(&[], &mut self.out);
        let mut sound = true;
        for (ahead, said) in self.ahead.iter_mut().zip(&self.out) {
            *ahead = if said.point.is_finite() { scale.model(said.point) } else { f32::NAN };
            sound &= said.point.is_finite();
        }
        sound
    }

    /// Whether its predictions are those of this origin.
    pub(super) fn current(&self, origin: u64) -> bool {
        self.origin == origin && self.ahead.first().is_some_and(|first| !first.is_nan())
    }

    /// What it said about a step ahead (from 1) of an origin at or after its own; `NaN` where it said nothing.
    pub(super) fn said(&self, origin: u64, ahead: usize) -> f32 {
        let place = origin.saturating_sub(self.origin) as usize + ahead - 1;
        self.ahead.get(place.min(self.ahead.len() - 1)).copied().unwrap_or(f32::NAN)
    }

    /// Its error at a knot as a share of the reference's; infinite before it was ever judged.
    pub(super) fn ratio(&self, errors: &Errors, knot: usize) -> f32 {
        let (sum, reference) = self.sums[knot];
        if self.counts[knot] > 0.0 { errors.ratio_of(sum, reference) } else { f32::INFINITY }
    }

    /// Remembers the newest predictions until the values come.
    pub(super) fn remember(&mut self, origin: u64, knots: &[usize; KNOTS]) {
        let points = knots.map(|ahead| self.ahead.get(ahead - 1).copied().unwrap_or(f32::NAN));
        self.pending.push_back((origin, points));
        while self.pending.front().is_some_and(|(at, _)| *at + (self.ahead.len() as u64) < origin) {
            self.pending.pop_front();
        }
    }

    /// Forgets what it said before a shift of the scale or the level.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }
}
