//! What every model is compared with: the last value, the last season, and simple exponential smoothing.
//!
//! Their errors are computed here from the values alone and not by the models of the same names, so that a defect in a
//! model cannot flatter the others, and so that the comparison is there whichever models take part.
use super::{
    read::MeasuredSeries,
    replay::{ForecastStep, Forecasts},
    task::Task,
};

/// Smoothing rates from which the one with the smallest squared one-step error in the training part is taken.
const RATES: [f64; 12] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0];

/// Forecasts of the references.
#[derive(Clone, Debug, PartialEq)]
pub struct References {
    /// The newest value, carried on.
    pub last_value: Forecasts,
    /// The newest value of the same phase; `None` without a season.
    pub seasonal_naive: Option<Forecasts>,
    /// The smoothed level, carried on.
    pub smoothing: Forecasts,
}

impl References {
    /// Forecasts from every origin of a task.
    pub fn new(series: &MeasuredSeries, task: &Task) -> Self {
        let values = &series.values;
        let rate = best_rate(&values[..task.first]);
        let level = levels(values, rate);
        let last = levels(values, 1.0);
        let of = |forecast: &dyn Fn(usize, usize) -> f64| {
            let ahead = |origin: usize| (0..task.horizon).map(move |ahead| (origin, ahead));
            let steps = task.origins.iter().flat_map(|origin| ahead(*origin));
            Forecasts {
                steps: steps
                    .map(|(origin, ahead)| ForecastStep { point: forecast(origin, ahead), band: None })
                    .collect(),
            }
        };
        Self {
            last_value: of(&|origin, _| last[origin - 1]),
            smoothing: of(&|origin, _| level[origin - 1]),
            seasonal_naive: task.season.map(|season| {
                of(&|origin, ahead| same_phase(values, origin, ahead, season).unwrap_or(last[origin - 1]))
            }),
        }
    }
}

/// The newest value before `origin` of the phase of the step `origin + ahead`.
fn same_phase(values: &[f64], origin: usize, ahead: usize, season: usize) -> Option<f64> {
    let nearest = season - ahead % season;
    let past = (nearest..=origin).step_by(season).map(|back| values[origin - back]);
    past.into_iter().find(|value| value.is_finite())
}

fn best_rate(training: &[f64]) -> f64 {
    let loss = |rate: f64| -> f64 {
        let level = levels(training, rate);
        let errors = level.iter().zip(&training[1..]).map(|(level, value)| (value - level).powi(2));
        errors.filter(|error| error.is_finite()).sum()
    };
    let losses = RATES.map(|rate| (rate, loss(rate)));
    losses.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(1.0, |(rate, _)| rate)
}

/// Smoothed level after each value; a gap leaves it, and it is `NaN` before the first value.
fn levels(values: &[f64], rate: f64) -> Vec<f64> {
    let mut level = f64::NAN;
    let mut next = |value: &f64| {
        if value.is_finite() {
            level = if level.is_finite() { level + rate * (value - level) } else { *value };
        }
        level
    };
    values.iter().map(&mut next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_core::time::{Step, Timestamp};

    #[test]
    fn references_see_only_what_was_before_the_origin() {
        // Two phases: 10 and 20, with a gap at 5; one step is half a day.
        let mut values: Vec<f64> = (0..100).map(|at| if at % 2 == 0 { 10.0 } else { 20.0 }).collect();
        values[69] = f64::NAN;
        let series = MeasuredSeries {
            id: "s".into(),
            kind: "cpu".into(),
            unit: "percent".into(),
            family: "f".into(),
            start: Timestamp::default(),
            step: Step::from_ms(43_200_000).unwrap(),
            values,
        };
        let task = Task::new(&series, 1, 3).unwrap();
        assert_eq!((task.origins.as_slice(), task.season), ([70].as_slice(), Some(2)));
        let references = References::new(&series, &task);
        let points =
            |forecasts: &Forecasts| forecasts.steps.iter().map(|step| step.point).collect::<Vec<_>>();
        assert_eq!(points(&references.last_value), [10.0, 10.0, 10.0], "the newest value is that of step 68");
        assert_eq!(points(references.seasonal_naive.as_ref().unwrap()), [10.0, 20.0, 10.0]);
        let level = references.smoothing.steps[0].point;
        assert!(
            (14.0..16.0).contains(&level),
            "a slow rate is best on values that alternate, but it is {level}"
        );
    }

    #[test]
    fn a_random_walk_is_smoothed_with_rate_one() {
        let walk: Vec<f64> = (0..50).map(|at| f64::from(at) * 2.0).collect();
        assert!((best_rate(&walk) - 1.0).abs() < f64::EPSILON);
    }
}
