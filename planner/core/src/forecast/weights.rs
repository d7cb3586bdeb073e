//! Weights of the candidates from their own past errors at the same distance ahead.
use super::candidates::{CANDIDATES, REFERENCE, RIDGE};

/// Errors beyond so many times the reference's mean are cut there: one spike that nobody could foresee says little
/// about who is better.
const CUT: f32 = 10.0;

/// Every candidate starts as if it had been judged on so many targets, a little worse than the reference.
const PRIOR: f32 = 2.0;
const PRIOR_RATIO: f32 = 1.15;
const PRIOR_RIDGE: f32 = 1.1;

/// Weights go with this power of the inverse error.
const POWER: f32 = 20.0;

/// A candidate whose error is larger than the best one's by this factor is left out.
const WEAK: f32 = 1.5;

/// Decayed errors of every candidate at one knot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errors {
    /// Sum of absolute errors, in units.
    sums: [f32; CANDIDATES],
    /// Sum of the reference's errors over the same targets: a candidate that came late is not judged by easier times.
    reference: [f32; CANDIDATES],
    pub(super) count: f32,
}

impl Errors {
    pub(super) const NONE: Self = Self { sums: [0.0; CANDIDATES], reference: [0.0; CANDIDATES], count: 0.0 };

    /// Takes in the absolute errors of one target; `NaN` for a candidate that had no prediction.
    pub(super) fn add(&mut self, errors: &[f32; CANDIDATES], keep: f32) {
        let reference = errors[REFERENCE];
        if reference.is_nan() {
            return;
        }
        let typical = if self.count > 4.0 { self.sums[REFERENCE] / self.count } else { f32::INFINITY };
        let most = CUT * typical + 1e-6;
        for (index, error) in errors.iter().enumerate() {
            if !error.is_nan() {
                self.sums[index] = keep * self.sums[index] + error.min(most);
                self.reference[index] = keep * self.reference[index] + reference.min(most);
            }
        }
        self.count = keep * self.count + 1.0;
    }

    /// Forgets all but a share.
    pub(super) fn forget(&mut self, keep: f32) {
        self.sums.iter_mut().chain(&mut self.reference).for_each(|sum| *sum *= keep);
        self.count *= keep;
    }

    /// Mean absolute error of the reference, in units.
    pub(super) fn typical(&self) -> f32 {
        if self.count > 0.0 { self.sums[REFERENCE] / self.count } else { 0.0 }
    }

    /// Error of each candidate as a share of the reference's; infinite for one that was never judged.
    pub(super) fn ratios(&self) -> [f32; CANDIDATES] {
        let mut ratios = [f32::INFINITY; CANDIDATES];
        for (index, ratio) in ratios.iter_mut().enumerate() {
            if self.reference[index] > 0.0 || self.sums[index] > 0.0 {
                let expected = if index == RIDGE { PRIOR_RIDGE } else { PRIOR_RATIO };
                *ratio = self.shrunk(self.sums[index], self.reference[index], expected);
            }
        }
        ratios
    }

    /// One error as a share of the reference's on the same targets, pulled towards what is expected of a newcomer.
    fn shrunk(&self, sum: f32, reference: f32, expected: f32) -> f32 {
        let prior = PRIOR * self.typical().max(1e-9);
        (sum + prior * expected) / (reference + prior)
    }

    /// The same for a model that keeps its own sums.
    pub(super) fn ratio_of(&self, sum: f32, reference: f32) -> f32 {
        self.shrunk(sum, reference, PRIOR_RATIO)
    }
}

/// Shares of the horizon at one knot, which add up to 1, from the ratios of all candidates and experts. Before any error
/// is known the reference has it all.
pub(super) fn share(ratios: &[f32; CANDIDATES], experts: &mut [f32]) -> [f32; CANDIDATES] {
    let best = ratios.iter().chain(experts.iter()).copied().fold(f32::INFINITY, f32::min);
    let mut weights = [0.0; CANDIDATES];
    if !best.is_finite() {
        weights[REFERENCE] = 1.0;
        experts.fill(0.0);
        return weights;
    }
    let raw =
        |ratio: f32| if ratio <= WEAK * best { (best.max(1e-6) / ratio.max(1e-6)).powf(POWER) } else { 0.0 };
    let mut sum = 0.0;
    for (weight, ratio) in weights.iter_mut().zip(ratios) {
        *weight = raw(*ratio);
        sum += *weight;
    }
    for expert in experts.iter_mut() {
        *expert = raw(*expert);
        sum += *expert;
    }
    for weight in experts.iter_mut() {
        *weight /= sum;
    }
    weights.map(|weight| weight / sum)
}
