//! Extremely randomised trees (Geurts, Ernst, Wehenkel 2006) on lags, means, the season and the calendar.
//!
//! One forest serves the whole horizon: how far ahead a row looks is a column. It is fitted as several small forests,
//! each without one block of time; the errors of each on its own block are the band (cross-conformal prediction, Vovk
//! 2015), and all of them together are the prediction. So a band costs nothing beside the fit.
mod grove;
mod rows;
#[cfg(test)]
mod tests;

use crate::{
    features::{Bounds, Recent, Scale, reach},
    residuals::{MIN_RESIDUALS, Residuals},
};
use foremesh_core::forecast::{
    LEVELS,
    model::{Cost, Family, Fitted, History, Model, ModelError, Prediction},
};
use grove::Grove;
use rows::{Drawn, Table};
use smartcore::{
    ensemble::extra_trees_regressor::{ExtraTreesRegressor, ExtraTreesRegressorParameters},
    error::Failed,
    linalg::basic::matrix::DenseMatrix,
};

type Forest = ExtraTreesRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>;

/// Blocks of time, each left out by one forest.
const FOLDS: usize = 4;

/// Trees of one forest; the folds together are the 20 that were measured to be enough.
const TREES_A_FOLD: usize = 5;

/// Fewest rows worth a tree.
const FEWEST_ROWS: usize = 64;

/// Steps of history that are learnt from at most; older traffic is of another service.
const LONGEST: usize = 20_000;

/// Share of the targets that counts as a tail on each side: one in so many.
const TAIL: usize = 30;

/// Observed steps that a fit needs beside the horizon.
const WARM_UP: usize = 40;

/// Steps ahead, from 0, at which a group of the horizon with errors of its own begins.
const GROUPS: [usize; 6] = [0, 1, 3, 6, 12, 24];

/// Fits forests; each fit of the same history gives the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraTrees {
    seed: u64,
}

impl ExtraTrees {
    /// Trees that are randomised by this seed.
    pub const fn seeded(seed: u64) -> Self {
        Self { seed }
    }
}

impl Default for ExtraTrees {
    fn default() -> Self {
        Self::seeded(1)
    }
}

impl Model for ExtraTrees {
    fn name(&self) -> &'static str {
        "extra_trees"
    }

    fn family(&self) -> Family {
        Family::Trees
    }

    fn cost(&self, observed: usize) -> Cost {
        let rows = rows::MOST.min(rows::FROM_ONE_ORIGIN * observed);
        Cost { fit_us: 7.0 * rows as f64, update_us: 0.02, predict_us: 60.0 }
    }

    fn warm_up(&self, _season: Option<usize>, horizon: usize) -> usize {
        horizon + WARM_UP
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let mut bounds = Bounds::of(history);
        let latest = history.values.len().saturating_sub(LONGEST);
        let known = history.values.iter().position(|value| bounds.checked(*value).is_finite());
        let first = latest.max(known.unwrap_or(0));
        let values: Vec<f64> = history.values[first..].iter().map(|value| bounds.checked(*value)).collect();
        let observed: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let need = self.warm_up(history.season, history.horizon);
        if observed.len() < need {
            return Err(ModelError::NotEnoughHistory { have: observed.len(), need });
        }
        for value in &observed {
            bounds.include(*value);
        }
        let scale = Scale::of(observed)
            .ok_or_else(|| ModelError::Degenerate { why: "all values are the same".to_owned() })?;

        // A season counts once half of it can be compared with what came a season before.
        let season = history.season.filter(|season| season + season / 2 <= values.len());
        let start = history.start.plus_ms(history.step.times(first));
        let mut recent = Recent::new(start, history.step, season, values.len());
        for value in &values {
            recent.push(scale.shrink(*value));
        }
        let rows =
            Drawn::from(&recent, &values, &covariates_from(history, first), history.horizon, self.seed);
        let (trees, residuals) = cross_fit(&rows, self.seed)?;
        let keep = reach(season, history.step.ms(), history.horizon).max(64);
        let covariates = history.covariates.iter().map(|covariate| newest(covariate.values)).collect();
        Ok(Box::new(Grown { recent: recent.keeping(keep), scale, bounds, trees, residuals, covariates }))
    }
}

fn covariates_from<'a>(history: &History<'a>, first: usize) -> Vec<&'a [f64]> {
    history.covariates.iter().map(|covariate| covariate.values.get(first..).unwrap_or_default()).collect()
}

fn newest(values: &[f64]) -> f64 {
    values.iter().rev().copied().find(|value| value.is_finite()).unwrap_or(0.0)
}

/// Group of the horizon that a step belongs to.
fn group_of(ahead: usize) -> usize {
    GROUPS.partition_point(|first| *first <= ahead) - 1
}

/// Trees of forests that each leave out one block, and by group the errors on what was left out.
fn cross_fit(rows: &Drawn, seed: u64) -> Result<(Grove, Vec<Residuals>), ModelError> {
    if rows.targets.len() < FEWEST_ROWS {
        return Err(ModelError::NotEnoughHistory { have: rows.targets.len(), need: FEWEST_ROWS });
    }
    let parameters = ExtraTreesRegressorParameters::default()
        .with_n_trees(TREES_A_FOLD)
        .with_max_depth(12)
        .with_min_samples_leaf(5)
        .with_m(rows.columns.div_ceil(2));
    let mut trees = Grove::default();
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); GROUPS.len()];
    for fold in 0..FOLDS {
        // The library seeds the trees of a forest with consecutive numbers.
        let parameters = parameters.clone().with_seed(seed.wrapping_add((fold * TREES_A_FOLD) as u64));
        let (inside, mut targets, _) = rows.part(|block| block != fold)?;
        cut_tails(&mut targets);
        let forest = Forest::fit(&inside, &targets, parameters).map_err(|error| failed(&error))?;
        let (outside, targets, groups) = rows.part(|block| block == fold)?;
        // A block that is all gap has no rows to judge by.
        if !targets.is_empty() {
            let predicted = forest.predict(&outside).map_err(|error| failed(&error))?;
            for ((target, predicted), group) in targets.iter().zip(predicted).zip(groups) {
                errors[group].push(target - predicted);
            }
        }
        trees.plant(&forest)?;
    }
    let groups = group_of(rows.horizon.saturating_sub(1)) + 1;
    let residuals = (0..groups).map(|group| pooled(&errors, group));
    let residuals: Option<Vec<Residuals>> = residuals.collect();
    let why = "no error could be observed".to_owned();
    Ok((trees, residuals.ok_or(ModelError::Failed { why })?))
}

/// Cuts the farthest thirtieth of the targets on each side to what lies within: trees minimise squares, and a few bursts
/// must not move every leaf.
fn cut_tails(targets: &mut [f64]) {
    let mut sorted = targets.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = sorted.len() / TAIL;
    if let (Some(low), Some(high)) = (sorted.get(rank), sorted.get(sorted.len().saturating_sub(rank + 1))) {
        for target in targets {
            *target = target.clamp(*low, *high);
        }
    }
}

/// Errors of a group; with too few, its neighbours lend theirs.
fn pooled(errors: &[Vec<f64>], group: usize) -> Option<Residuals> {
    let within = |reach: usize| {
        errors
            .iter()
            .enumerate()
            .filter(move |(other, _)| other.abs_diff(group) <= reach)
            .flat_map(|(_, e)| e)
    };
    let reach =
        (0..errors.len()).find(|reach| within(*reach).count() >= MIN_RESIDUALS).unwrap_or(errors.len());
    Residuals::new(within(reach).copied())
}

fn failed(error: &Failed) -> ModelError {
    ModelError::Failed { why: error.to_string() }
}

/// A fitted model.
struct Grown {
    recent: Recent,
    scale: Scale,
    bounds: Bounds,
    trees: Grove,
    /// Errors by group of the horizon, on the scale.
    residuals: Vec<Residuals>,
    /// Newest known value of each regressor.
    covariates: Vec<f64>,
}

impl std::fmt::Debug for Grown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grown")
            .field("scale", &self.scale)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl Fitted for Grown {
    fn update(&mut self, value: f64, covariates: &[f64]) {
        let value = self.bounds.checked(value);
        self.bounds.include(value);
        self.recent.push(self.scale.shrink(value));
        for (known, new) in self.covariates.iter_mut().zip(covariates) {
            if new.is_finite() {
                *known = *new;
            }
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.trees.bytes() + self.recent.bytes()
    }

    fn predict(&mut self, future: &[&[f64]], out: &mut [Prediction]) {
        let scaled = self.scaled(future, out.len());
        for (ahead, prediction) in out.iter_mut().enumerate() {
            *prediction = Prediction::UNKNOWN;
            let group = group_of(ahead).min(self.residuals.len().saturating_sub(1));
            let (Some(point), Some(residuals)) = (scaled.get(ahead), self.residuals.get(group)) else {
                continue;
            };
            let restored = |error: f64| self.bounds.clamp(self.scale.restore(point + error));
            let quantiles = LEVELS.map(|level| restored(residuals.quantile(level)));
            if quantiles.iter().all(|value| value.is_finite()) {
                // Trees give means; the median error brings them to the median.
                *prediction =
                    Prediction { point: restored(residuals.quantile(0.5)), quantiles: Some(quantiles) };
            }
        }
    }
}

impl Grown {
    /// Points on the scale.
    fn scaled(&self, future: &[&[f64]], steps: usize) -> Vec<f64> {
        let table = Table::new(&self.recent);
        let origin = self.recent.values().len();
        let columns = Table::columns(self.covariates.len());
        let mut rows = Vec::with_capacity(steps * columns);
        for ahead in 0..steps {
            let covariates = self.covariates.iter().enumerate().map(|(at, known)| {
                let told = future.get(at).and_then(|values| values.get(ahead)).copied();
                (told.filter(|value| value.is_finite()).unwrap_or(*known), *known)
            });
            table.append(origin, ahead, covariates, &mut rows);
        }
        let mut sums = vec![table.level(origin); steps];
        for (sum, row) in sums.iter_mut().zip(rows.chunks(columns)) {
            *sum += self.trees.predict(row);
        }
        sums
    }
}
