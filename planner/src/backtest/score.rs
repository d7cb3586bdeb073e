//! Scores of one model on one series, and the means that sum up many.
use super::{replay::Forecasts, task::Task};

/// Level of the upper quantile that is scored.
pub const UPPER: f64 = 0.9;

/// Parts into which the horizon is divided for the coverage.
pub const QUARTERS: usize = 4;

/// Smallest error in a ratio, as a share of the scale: two models that are both right are equal, and not
/// infinitely far apart.
const FLOOR: f64 = 0.01;

/// How often something happened among how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How often it happened.
    pub hits: usize,
    /// Among how many.
    pub count: usize,
}

impl Share {
    /// Counts one more.
    pub fn add(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.count += 1;
    }

    /// The share; `None` of nothing.
    pub fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.hits as f64 / self.count as f64)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, count: self.count + other.count }
    }
}

/// Scores of one model on one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Mean absolute error over the steps 1 to h and all origins, for each horizon h asked for.
    pub mae: Vec<Option<f64>>,
    /// Mean pinball loss at 0.9, in the unit of the series.
    pub pinball_90: Option<f64>,
    /// Values within the band from 0.1 to 0.9, for each quarter of the horizon.
    pub covered: [Share; QUARTERS],
    /// Values not above the quantile 0.9.
    pub below_90: Share,
}

impl Scores {
    /// Scores forecasts against what came. A step without a value counts nowhere.
    pub fn new(forecasts: &Forecasts, values: &[f64], task: &Task, horizons: &[usize]) -> Self {
        let mut errors = vec![(0.0, 0_usize); task.horizon];
        let mut scores = Self::default();
        let (mut pinball_sum, mut pinball_count) = (0.0, 0_usize);
        for (row, origin) in forecasts.rows(task.horizon).zip(&task.origins) {
            for (ahead, (step, actual)) in row.iter().zip(&values[*origin..]).enumerate() {
                if !actual.is_finite() || !step.point.is_finite() {
                    continue;
                }
                errors[ahead].0 += (step.point - actual).abs();
                errors[ahead].1 += 1;
                if let Some([low, high]) = step.band {
                    scores.covered[ahead * QUARTERS / task.horizon].add((low..=high).contains(actual));
                    scores.below_90.add(*actual <= high);
                    pinball_sum += pinball(UPPER, high, *actual);
                    pinball_count += 1;
                }
            }
        }
        scores.pinball_90 = (pinball_count > 0).then(|| pinball_sum / pinball_count as f64);
        scores.mae = horizons
            .iter()
            .map(|horizon| {
                let within = errors.iter().take(*horizon);
                let (sum, count) = within.fold((0.0, 0), |(sum, count), (s, c)| (sum + s, count + c));
                (count > 0).then(|| sum / count as f64)
            })
            .collect();
        scores
    }

    /// Values within the band, over the whole horizon.
    pub fn covered_all(&self) -> Share {
        self.covered.iter().fold(Share::default(), |sum, quarter| sum.plus(*quarter))
    }
}

/// Pinball loss of a quantile forecast at `level` (Koenker and Bassett 1978).
pub fn pinball(level: f64, forecast: f64, actual: f64) -> f64 {
    let above = actual - forecast;
    if above >= 0.0 { level * above } else { (level - 1.0) * above }
}

/// Error of a model in terms of another one's, both floored at 1 % of the scale of the series.
pub fn relative(error: f64, reference: f64, scale: f64) -> f64 {
    let floor = (scale * FLOOR).max(f64::MIN_POSITIVE);
    error.max(floor) / reference.max(floor)
}

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_usize);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

/// Geometric mean of positive values; `None` of nothing.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    mean(values.into_iter().map(f64::ln)).map(f64::exp)
}

/// Median; `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests;
