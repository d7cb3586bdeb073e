//! Columns of the regression: the history's regressors, standardised, and Fourier pairs of a long season.
use foremesh_core::forecast::model::History;
use std::f64::consts::TAU;

/// How a step becomes a row of regressors.
#[derive(Clone, Debug)]
pub(super) struct Regressors {
    /// Index, mean and deviation of each regressor that varies.
    known: Vec<(usize, f64, f64)>,
    season: f64,
    pairs: usize,
}

impl Regressors {
    /// Looks at the regressors from the first step that is learnt from.
    pub(super) fn new(history: &History<'_>, first: usize, season: Option<usize>, pairs: usize) -> Self {
        let mut known = Vec::new();
        for (index, covariate) in history.covariates.iter().enumerate() {
            let values = covariate.values.get(first..).unwrap_or_default();
            let there: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
            let count = there.len() as f64;
            let mean = there.iter().sum::<f64>() / count;
            let deviation = (there.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
            if deviation > 1e-9 * mean.abs() && deviation.is_finite() {
                known.push((index, mean, deviation));
            }
        }
        Self { known, season: season.unwrap_or(1) as f64, pairs: if season.is_some() { pairs } else { 0 } }
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.known.len() + 2 * self.pairs
    }

    /// The row of a step from the start of the history.
    pub(super) fn row(&self, at: usize, covariate: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut row = Vec::with_capacity(self.width());
        for (index, mean, deviation) in &self.known {
            let value = (covariate(*index) - mean) / deviation;
            // An unknown value counts as a usual one.
            row.push(if value.is_finite() { value } else { 0.0 });
        }
        for pair in 1..=self.pairs {
            let (sine, cosine) = (TAU * (pair as f64 * at as f64 / self.season).fract()).sin_cos();
            row.extend([sine, cosine]);
        }
        row
    }

    /// All columns over the steps that are learnt from.
    pub(super) fn columns(&self, history: &History<'_>, first: usize) -> Vec<Vec<f64>> {
        let mut columns = vec![Vec::with_capacity(history.values.len() - first); self.width()];
        for at in first..history.values.len() {
            let row = self.row(at, |index| value(history, index, at));
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        columns
    }
}

/// A regressor of the history at a step.
pub(super) fn value(history: &History<'_>, index: usize, at: usize) -> f64 {
    history.covariates.get(index).and_then(|covariate| covariate.values.get(at)).copied().unwrap_or(f64::NAN)
}
