//! From the recent past to the rows that the trees see.
use super::{FOLDS, failed, group_of};
use crate::{
    features::{CARRIED, DAY_MS, Recent, WEEK_MS},
    splitmix::SplitMix,
};
use foremesh_core::forecast::model::ModelError;
use smartcore::linalg::basic::matrix::DenseMatrix;

/// Rows that are drawn at most. More change the error by less than their cost is worth.
pub(super) const MOST: usize = 1_600;

/// Rows drawn from one origin at most; further ones repeat it.
pub(super) const FROM_ONE_ORIGIN: usize = 8;

/// Columns without the regressors.
const OWN_COLUMNS: usize = 21;

/// One series at hand for reading rows: values on the scale, and their running sums for means in one subtraction.
#[derive(Debug)]
pub(super) struct Table<'a> {
    recent: &'a Recent,
    sums: Vec<f64>,
}

impl<'a> Table<'a> {
    /// Ready to give rows.
    pub(super) fn new(recent: &'a Recent) -> Self {
        let mut sums = Vec::with_capacity(recent.values().len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for value in recent.values() {
            sum += value;
            sums.push(sum);
        }
        Self { recent, sums }
    }

    /// Columns of a row.
    pub(super) const fn columns(covariates: usize) -> usize {
        OWN_COLUMNS + 2 * covariates
    }

    /// The newest value at `origin`, the first step that is not known: targets are differences to it, so that trees,
    /// which cannot leave the range of their targets, follow a level that was never seen.
    pub(super) fn level(&self, origin: usize) -> f64 {
        self.back(origin, 1)
    }

    /// Appends the row for the step `ahead` steps after `origin`, 0 being `origin` itself. `covariates` gives for each
    /// regressor its value at that step and at the newest known one.
    pub(super) fn append(
        &self,
        origin: usize,
        ahead: usize,
        covariates: impl Iterator<Item = (f64, f64)>,
        row: &mut Vec<f64>,
    ) {
        let recent = self.recent;
        let step = origin + ahead;
        let level = self.level(origin);
        let day = recent.season().unwrap_or(48);
        row.extend([level, self.back(origin, 2) - level, self.back(origin, 3) - level]);
        row.push(self.back(origin, 4) - level);
        for length in [6, 12, (day / 4).max(2), day] {
            row.push(self.mean(origin.saturating_sub(length), origin) - level);
        }
        let latest = recent.same_phase(step, origin, 0).unwrap_or(level);
        let older = recent.same_phase(step, origin, 1).unwrap_or(latest);
        // The value one season before the newest known one: what the season has done since is a drift.
        let then = recent.same_phase(origin.saturating_sub(1), origin.saturating_sub(1), 0).unwrap_or(latest);
        let profile = recent.profile(step, origin).unwrap_or(level);
        let weekday = recent.same_weekday(step, origin).unwrap_or(profile);
        row.extend([latest, older, profile, weekday, then].map(|value| value - level));
        row.push(latest - then);
        for (period, harmonics) in [(DAY_MS, 2), (WEEK_MS, 1)] {
            for harmonic in 1..=harmonics {
                // A clock that moves less than two steps around says nothing.
                let period = period / harmonic;
                let told = recent.step_ms().saturating_mul(2) < period;
                let (sine, cosine) = if told { recent.clock(step, period) } else { (0.0, 0.0) };
                row.extend([sine, cosine]);
            }
        }
        row.push(((ahead + 1) as f64).ln());
        for (at_step, known) in covariates {
            row.extend([at_step, at_step - known]);
        }
    }

    fn back(&self, origin: usize, steps: usize) -> f64 {
        let values = self.recent.values();
        values.get(origin.saturating_sub(steps)).or(values.last()).copied().unwrap_or(0.0)
    }

    fn mean(&self, from: usize, to: usize) -> f64 {
        (self.sums[to] - self.sums[from]) / (to - from).max(1) as f64
    }
}

/// Some of the rows, with their targets and groups.
pub(super) type Part = (DenseMatrix<f64>, Vec<f64>, Vec<usize>);

/// Rows drawn from a history, oldest origin first.
#[derive(Debug)]
pub(super) struct Drawn {
    values: Vec<f64>,
    /// Differences to the level at the origin.
    pub(super) targets: Vec<f64>,
    /// Block of time that each row lies in.
    blocks: Vec<usize>,
    /// Group of the horizon that each row looks at.
    groups: Vec<usize>,
    pub(super) columns: usize,
    pub(super) horizon: usize,
}

impl Drawn {
    /// Draws origins evenly over the history and for each how far ahead to look. `values` has a gap where `recent` has a
    /// stand-in: no target is one, and no origin lies deep in one.
    pub(super) fn from(
        recent: &Recent,
        values: &[f64],
        covariates: &[&[f64]],
        horizon: usize,
        seed: u64,
    ) -> Self {
        let table = Table::new(recent);
        let columns = Table::columns(covariates.len());
        let first = recent.season().unwrap_or(12).min(values.len());
        let span = values.len() - first;
        let draws = MOST.min(FROM_ONE_ORIGIN * span);
        let mut drawn = Self {
            values: Vec::with_capacity(draws * columns),
            targets: Vec::new(),
            blocks: Vec::new(),
            groups: Vec::new(),
            columns,
            horizon,
        };
        let mut random = SplitMix::new(seed);
        let gaps = gaps_before(values);
        for draw in 0..draws {
            let place = (draw as f64 + random.unit()) / draws as f64;
            let origin = first + ((place * span as f64) as usize).min(span.saturating_sub(1));
            let ahead = steps_ahead(&mut random, horizon);
            let step = origin + ahead;
            let Some(target) = recent.values().get(step).filter(|_| values[step].is_finite()) else {
                continue;
            };
            let regressors = covariates.iter().map(|c| (at(c, step), at(c, origin - 1)));
            if gaps[origin] > CARRIED || regressors.clone().any(|(now, then)| !(now - then).is_finite()) {
                continue;
            }
            table.append(origin, ahead, regressors, &mut drawn.values);
            drawn.targets.push(target - table.level(origin));
            drawn.blocks.push(((place * FOLDS as f64) as usize).min(FOLDS - 1));
            drawn.groups.push(group_of(ahead));
        }
        drawn
    }

    /// The rows of the blocks that are asked for.
    pub(super) fn part(&self, wanted: impl Fn(usize) -> bool) -> Result<Part, ModelError> {
        let indices = || (0..self.targets.len()).filter(|row| wanted(self.blocks[*row]));
        let row = |at: usize| &self.values[at * self.columns..(at + 1) * self.columns];
        let values: Vec<f64> = indices().flat_map(row).copied().collect();
        let targets: Vec<f64> = indices().map(|at| self.targets[at]).collect();
        let groups = indices().map(|at| self.groups[at]).collect();
        let matrix =
            DenseMatrix::new(targets.len(), self.columns, values, false).map_err(|error| failed(&error))?;
        Ok((matrix, targets, groups))
    }
}

/// Half of the draws favour the near steps, which are asked for most and change most.
fn steps_ahead(random: &mut SplitMix, horizon: usize) -> usize {
    if random.unit() < 0.5 {
        random.below(horizon)
    } else {
        let steps = (horizon.max(1) as f64 + 1.0).powf(random.unit());
        (steps as usize - 1).min(horizon.saturating_sub(1))
    }
}

/// For each step, how many steps in a row before it have no value.
fn gaps_before(values: &[f64]) -> Vec<usize> {
    let mut gap = 0;
    let before = values.iter().map(|value| {
        let here = gap;
        gap = if value.is_finite() { 0 } else { gap + 1 };
        here
    });
    before.collect()
}

fn at(values: &[f64], step: usize) -> f64 {
    values.get(step).copied().unwrap_or(f64::NAN)
}
