//! What is asked of every model on one series: from which origins, with which season, and what its errors are
//! measured against. All of it is known before the first origin.
use super::read::MeasuredSeries;
use foremesh_core::forecast::model::History;

/// Share of a series before its first origin.
const TRAINING_SHARE: f64 = 0.7;

/// Seasons that must precede the first origin; with fewer a season cannot be told from a trend.
const LEAST_SEASONS: f64 = 1.5;

/// Length of the season in milliseconds: one day.
const SEASON_MS: i64 = 86_400_000;

/// Quantile of the training part that counts as high.
const HIGH: f64 = 0.95;

/// Fewest observed steps before the first origin.
const LEAST_TRAINING: usize = 20;

/// The task that one series sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Length of the season in steps, where there is one.
    pub season: Option<usize>,
    /// Index of the first step of the first forecast; everything before it is the training part.
    pub first: usize,
    /// First forecast steps, rising: values before them are known, the one at them is not.
    pub origins: Vec<usize>,
    /// Steps that are forecast from each origin.
    pub horizon: usize,
    /// Mean absolute error of the seasonal naive forecast within the training part, of the last value where there is no
    /// season (Hyndman and Koehler 2006). `None` where the training part never changes.
    pub scale: Option<f64>,
    /// 95th percentile of the training part.
    pub threshold: f64,
    /// Values below this cannot happen.
    pub lowest: Option<f64>,
    /// Values above this cannot happen.
    pub highest: Option<f64>,
}

impl Task {
    /// The task of a series, with at most `origins` origins; `None` when it is too short.
    pub fn new(series: &MeasuredSeries, origins: usize, horizon: usize) -> Option<Self> {
        let length = series.values.len();
        let first = (length as f64 * TRAINING_SHARE).ceil() as usize;
        let training = series.values.get(..first)?;
        let last = length.checked_sub(horizon).filter(|last| *last >= first)?;
        let observed: Vec<f64> = training.iter().copied().filter(|value| value.is_finite()).collect();
        if observed.len() < LEAST_TRAINING.max(horizon) {
            return None;
        }
        let season = usize::try_from(SEASON_MS / series.step.ms())
            .ok()
            .filter(|season| *season >= 2 && SEASON_MS % series.step.ms() == 0)
            .filter(|season| first as f64 >= LEAST_SEASONS * *season as f64);
        Some(Self {
            season,
            first,
            origins: evenly(first, last, origins),
            horizon,
            scale: naive_error(training, season.unwrap_or(1)).filter(|error| *error > 0.0),
            threshold: percentile(&observed, HIGH)?,
            lowest: observed.iter().all(|value| *value >= 0.0).then_some(0.0),
            // Only what the unit says: a highest value that was merely observed may be exceeded tomorrow.
            highest: (series.kind == "availability" && series.unit == "percent").then_some(100.0),
        })
    }

    /// What a model may see before the step `origin`.
    pub fn history<'a>(&self, series: &'a MeasuredSeries, origin: usize) -> History<'a> {
        History {
            start: series.start,
            step: series.step,
            season: self.season,
            horizon: self.horizon,
            values: &series.values[..origin],
            covariates: &[],
            lowest: self.lowest,
            highest: self.highest,
        }
    }

    /// Every so many-th origin from the first to the last one, at most `most`, for questions that are cheap to ask.
    pub fn dense(&self, most: usize) -> Vec<usize> {
        match (self.origins.first(), self.origins.last()) {
            (Some(first), Some(last)) => {
                (*first..=*last).step_by((last + 1 - first).div_ceil(most.max(1))).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// At most `count` steps from `first` to `last`, both among them, evenly spaced.
fn evenly(first: usize, last: usize, count: usize) -> Vec<usize> {
    let count = count.clamp(1, last - first + 1);
    if count == 1 {
        return vec![first];
    }
    (0..count).map(|at| first + at * (last - first) / (count - 1)).collect()
}

/// Mean of `|y(t) - y(t - season)|`.
pub(crate) fn naive_error(values: &[f64], season: usize) -> Option<f64> {
    let errors = values.iter().zip(values.get(season..)?).map(|(before, after)| (after - before).abs());
    super::score::mean(errors.filter(|error| error.is_finite()))
}

/// Quantile of finite values with linear interpolation (type 7 of Hyndman and Fan 1996).
pub(super) fn percentile(values: &[f64], level: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = level.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_core::time::{Step, Timestamp};

    fn series(values: Vec<f64>, step_ms: i64) -> MeasuredSeries {
        MeasuredSeries {
            id: "s".into(),
            kind: "availability".into(),
            unit: "percent".into(),
            family: "f".into(),
            start: Timestamp::default(),
            step: Step::from_ms(step_ms).unwrap(),
            values,
        }
    }

    #[test]
    fn origins_lie_in_the_last_three_tenths_and_leave_room_for_the_horizon() {
        for (length, origins, horizon, want) in [
            (100, 3, 10, Some(vec![70, 80, 90])),
            (100, 1000, 28, Some(vec![70, 71, 72])),
            (100, 1, 10, Some(vec![70])),
            (100, 5, 31, None),
            (20, 5, 1, None),
        ] {
            let values = (0..length).map(f64::from).collect();
            let task = Task::new(&series(values, 60_000), origins, horizon);
            assert_eq!(task.map(|task| task.origins), want, "{length} {origins} {horizon}");
        }
    }

    #[test]
    fn the_training_part_sets_season_scale_and_threshold() {
        // Steps of 6 h: four make a day. 40 steps, 28 of them before the first origin.
        let values: Vec<f64> = (0..40).map(|at| f64::from(at % 4) + f64::from(at / 4)).collect();
        let task = Task::new(&series(values, 21_600_000), 5, 2).unwrap();
        assert_eq!((task.season, task.first), (Some(4), 28));
        assert!((task.scale.unwrap() - 1.0).abs() < 1e-12, "each day is one more than the last");
        // 28 sorted values end in 7, 7, 7, 8, 8, 9; place 0.95 * 27 = 25.65 is between 8 and 8.
        assert!((task.threshold - 8.0).abs() < 1e-12, "{}", task.threshold);
        assert_eq!((task.lowest, task.highest), (Some(0.0), Some(100.0)));
    }

    #[test]
    fn a_season_needs_one_and_a_half_of_it_and_a_scale_needs_change() {
        for (length, season) in [(8, None), (9, Some(4))] {
            // 70 % of 8 steps are 6 = 1.5 days of 4 steps; of 7 they are 5.
            let length = length * 4;
            let task = Task::new(&series(vec![5.0; length], 86_400_000 / 16), 2, 1).unwrap();
            assert_eq!(task.season, season.map(|_| 16).filter(|_| length * 7 / 10 >= 24), "{length}");
            assert_eq!(task.scale, None);
        }
    }

    #[test]
    fn dense_origins_are_bounded() {
        let values = (0..100).map(f64::from).collect();
        let task = Task::new(&series(values, 60_000), 3, 10).unwrap();
        assert_eq!(task.dense(1000).len(), 21);
        assert_eq!(task.dense(10), [70, 73, 76, 79, 82, 85, 88]);
    }
}
