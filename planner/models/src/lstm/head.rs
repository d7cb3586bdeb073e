//! From the state to the quantiles of one step ahead: one hidden layer, and a straight way past it.
//!
//! The same weights serve every step of the horizon; how far ahead it is, and what the season says about it, are among
//! the features (multi-horizon quantile recurrent forecaster, Wen et al. 2017).
use super::{
    cell::UNITS,
    math::{add_scaled, dot, tanh},
    window::FEATURES,
};
use foremesh_core::forecast::LEVELS;

/// Size of the hidden layer.
const HIDDEN: usize = 32;

/// Quantiles.
pub(super) const QUANTILES: usize = LEVELS.len();

/// Place of the median among them.
const MIDDLE: usize = QUANTILES / 2;

/// Weights to the hidden layer, with its biases.
const TO_HIDDEN: usize = (UNITS + FEATURES + 1) * HIDDEN;

/// All weights: to the hidden layer, and from it, the features and a constant to the quantiles.
pub(super) const WEIGHTS: usize = TO_HIDDEN + QUANTILES * (HIDDEN + FEATURES + 1);

/// Inputs of one quantile: hidden layer, features, constant.
pub(super) const COLUMNS: usize = HIDDEN + FEATURES + 1;

/// What the state contributes to the hidden layer; the same for all steps of the horizon.
pub(super) fn from_state(weights: &[f32], state: &[f32]) -> [f32; HIDDEN] {
    let mut sums = [0.0; HIDDEN];
    sums.copy_from_slice(&weights[(UNITS + FEATURES) * HIDDEN..TO_HIDDEN]);
    for (value, weights) in state.iter().zip(weights.chunks_exact(HIDDEN)) {
        add_scaled(&mut sums, *value, weights);
    }
    sums
}

/// One step ahead on the way forth.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    /// Hidden layer, features and a 1.
    columns: [f32; COLUMNS],
    /// Outputs as they are before they are made to rise.
    raw: [f32; QUANTILES],
    /// Rising quantiles, as differences to the level.
    pub(super) quantiles: [f32; QUANTILES],
}

impl Ahead {
    /// Quantiles for these features.
    pub(super) fn run(weights: &[f32], from_state: &[f32; HIDDEN], features: &[f32; FEATURES]) -> Self {
        let mut columns = [1.0_f32; COLUMNS];
        columns[..HIDDEN].copy_from_slice(from_state);
        for (value, weights) in features.iter().zip(weights[UNITS * HIDDEN..].chunks_exact(HIDDEN)) {
            add_scaled(&mut columns[..HIDDEN], *value, weights);
        }
        for value in &mut columns[..HIDDEN] {
            *value = tanh(*value);
        }
        columns[HIDDEN..HIDDEN + FEATURES].copy_from_slice(features);
        let mut raw = [0.0; QUANTILES];
        for (raw, weights) in raw.iter_mut().zip(weights[TO_HIDDEN..].chunks_exact(COLUMNS)) {
            *raw = dot(&columns, weights);
        }
        // Neighbouring quantiles are a positive distance apart, so that they cannot cross.
        let mut quantiles = raw;
        for at in MIDDLE + 1..QUANTILES {
            quantiles[at] = quantiles[at - 1] + softplus(raw[at]);
        }
        for at in (0..MIDDLE).rev() {
            quantiles[at] = quantiles[at + 1] - softplus(raw[at]);
        }
        Self { columns, raw, quantiles }
    }

    /// Mean pinball loss (Koenker, Bassett 1978) against what came, and its gradient by each quantile.
    pub(super) fn loss(&self, actual: f32) -> (f32, [f32; QUANTILES]) {
        let mut gradient = [0.0; QUANTILES];
        let mut loss = 0.0;
        for ((gradient, quantile), level) in gradient.iter_mut().zip(&self.quantiles).zip(LEVELS) {
            let error = actual - quantile;
            let slope = if error >= 0.0 { level as f32 } else { level as f32 - 1.0 };
            loss += slope * error / QUANTILES as f32;
            *gradient = -slope / QUANTILES as f32;
        }
        (loss, gradient)
    }

    /// Adds the gradients of the weights and of the state, given that of the quantiles.
    pub(super) fn back(
        &self,
        weights: &[f32],
        state: &[f32],
        of_quantiles: &[f32; QUANTILES],
        gradient: &mut [f32],
        of_state: &mut [f32],
    ) {
        // A quantile moves with every distance between it and the median.
        let mut of_raw = [0.0; QUANTILES];
        let mut sum = 0.0;
        for at in (MIDDLE + 1..QUANTILES).rev() {
            sum += of_quantiles[at];
            of_raw[at] = sum * softplus_slope(self.raw[at]);
        }
        let mut below = 0.0;
        for at in 0..MIDDLE {
            below += of_quantiles[at];
            of_raw[at] = -below * softplus_slope(self.raw[at]);
        }
        of_raw[MIDDLE] = sum + below + of_quantiles[MIDDLE];

        let (to_hidden, to_quantiles) = gradient.split_at_mut(TO_HIDDEN);
        let mut of_columns = [0.0; COLUMNS];
        let outputs = weights[TO_HIDDEN..].chunks_exact(COLUMNS).zip(to_quantiles.chunks_exact_mut(COLUMNS));
        for (of_raw, (weights, gradient)) in of_raw.iter().zip(outputs) {
            add_scaled(gradient, *of_raw, &self.columns);
            add_scaled(&mut of_columns, *of_raw, weights);
        }
        let mut of_hidden = [0.0; HIDDEN];
        for (of_hidden, (of_column, value)) in of_hidden.iter_mut().zip(of_columns.iter().zip(&self.columns))
        {
            *of_hidden = of_column * (1.0 - value * value);
        }
        let features = &self.columns[HIDDEN..];
        let inputs = state.iter().chain(features);
        for (value, gradient) in inputs.zip(to_hidden.chunks_exact_mut(HIDDEN)) {
            add_scaled(gradient, *value, &of_hidden);
        }
        for (of_state, weights) in of_state.iter_mut().zip(weights.chunks_exact(HIDDEN)) {
            *of_state += dot(weights, &of_hidden);
        }
    }
}

/// `(x + sqrt(x² + 1)) / 2`: positive, and nearly `x` far out, as `ln(1 + e^x)` is, but without a logarithm.
fn softplus(x: f32) -> f32 {
    0.5 * (x + (x * x + 1.0).sqrt())
}

fn softplus_slope(x: f32) -> f32 {
    0.5 * (1.0 + x / (x * x + 1.0).sqrt())
}
