//! What was measured, by the planner's own clock, and when that truly was.
use foremesh_core::{
    gauge::GaugeMetric,
    history::Metric,
    series::Series,
    time::{Step, Timestamp},
};
use std::collections::BTreeMap;

/// Length of a step in milliseconds.
pub(crate) const STEP_MS: i64 = 300_000;
/// Steps that are kept.
const KEPT: i64 = 400;

/// What a series is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Service(String, Metric),
    Node(String, GaugeMetric),
    Workload(String, GaugeMetric),
}

#[derive(Clone, Debug, Default)]
struct Recorded {
    /// Number of the first step.
    first: i64,
    values: Vec<f64>,
    /// End of the newest value in true time.
    newest_true_ms: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    recorded: BTreeMap<Key, Recorded>,
}

impl Store {
    /// Records a value of the step that holds `at` by the planner's clock and ended at `true_ms` in truth.
    pub(crate) fn record(&mut self, key: Key, at: Timestamp, true_ms: i64, value: f64) {
        let step = at.unix_ms().div_euclid(STEP_MS);
        let recorded = self.recorded.entry(key).or_default();
        if recorded.values.is_empty() {
            recorded.first = step;
        }
        if step < recorded.first {
            let missing = usize::try_from(recorded.first - step).unwrap();
            recorded.values.splice(..0, std::iter::repeat_n(f64::NAN, missing));
            recorded.first = step;
        }
        let index = usize::try_from(step - recorded.first).unwrap();
        if index >= recorded.values.len() {
            recorded.values.resize(index + 1, f64::NAN);
        }
        recorded.values[index] = value;
        recorded.newest_true_ms = true_ms;
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.recorded.keys()
    }

    /// The whole steps before `now`, and those after it that were recorded before the clock went back. `None` when nothing
    /// is left of the series.
    pub(crate) fn series(&self, key: &Key, now: Timestamp, with_future: bool) -> Option<Series> {
        let recorded = self.recorded.get(key)?;
        let end = now.unix_ms().div_euclid(STEP_MS);
        let last = recorded.first + i64::try_from(recorded.values.len()).unwrap();
        let to = if with_future { end.max(last) } else { end };
        let from = recorded.first.max(end - KEPT);
        let index = |step: i64| usize::try_from(step - recorded.first).unwrap().min(recorded.values.len());
        if from >= to {
            return None;
        }
        let mut values = recorded.values[index(from)..index(to)].to_vec();
        values.resize(usize::try_from(to - from).unwrap(), f64::NAN);
        let start = Timestamp::from_unix_ms(from * STEP_MS);
        values
            .iter()
            .any(|value| value.is_finite())
            .then(|| Series::new(start, Step::from_ms(STEP_MS).unwrap(), values))
    }

    /// How long ago the newest value was in truth, in milliseconds; `None` when there never was one.
    pub(crate) fn true_age_ms(&self, key: &Key, true_now_ms: i64) -> Option<i64> {
        Some(true_now_ms - self.recorded.get(key)?.newest_true_ms)
    }
}
