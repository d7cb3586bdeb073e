//! Regressors at one moment: what a forecast asks.
use super::grid;
use foremesh_core::{
    calendar::{Scope, Subject},
    series::Series,
    time::{Step, Timestamp},
};
use std::{collections::BTreeMap, sync::Arc};

/// Where the values of a regressor come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Somebody pushes them.
    Pushed,
    /// They are read by this expression.
    PromQl {
        /// The expression.
        query: String,
        /// Address of the API.
        url: String,
    },
}

/// One regressor with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Regressor {
    /// Its name.
    pub name: String,
    /// Unit of its values, for people.
    pub unit: Option<String>,
    /// What it may influence.
    pub scope: Scope,
    /// Where its values come from.
    pub source: Source,
    /// How long a value holds when no newer one follows, in milliseconds.
    pub hold_ms: i64,
    /// When its values were pushed or read last; `None` when never.
    pub received_at: Option<Timestamp>,
    /// Why the last read failed, when it did.
    pub error: Option<String>,
    /// Whether points after now are known values, and not only held ones.
    pub knows_future: bool,
    pub(super) points: Arc<BTreeMap<Timestamp, f64>>,
}

/// A regressor on the steps of a forecast.
#[derive(Clone, Debug)]
pub struct OnGrid {
    /// The regressor that it is of.
    pub regressor: Arc<Regressor>,
    /// What it was: one value for each step of the history, `NaN` for a gap.
    pub past: Series,
    /// What it will be: one value for each step of the horizon, the first one that of the step that holds now; `NaN`
    /// where it is not known.
    pub future: Vec<f64>,
    /// Age of its values in milliseconds since they were pushed or read; `None` when they never were.
    pub age_ms: Option<i64>,
    /// End of what is known.
    pub known_until: Option<Timestamp>,
}

impl OnGrid {
    /// Its values over the horizon, when each of them is known; else the regressor must be forecast itself.
    pub fn known_future(&self) -> Option<&[f64]> {
        self.future.iter().all(|value| value.is_finite()).then_some(&self.future)
    }
}

impl Regressor {
    /// Its points in time, oldest first.
    pub fn points(&self) -> &BTreeMap<Timestamp, f64> {
        &self.points
    }

    /// Time of the newest point.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.points.last_key_value().map(|(at, _)| *at)
    }

    /// End of what is known: the end of the newest point, or the time that it was read when its future is not known.
    pub fn known_until(&self) -> Option<Timestamp> {
        let (last, _) = self.points.last_key_value()?;
        let held = last.plus_ms(self.hold_ms);
        Some(if self.knows_future { held } else { held.min(self.received_at.unwrap_or(held)) })
    }

    /// Its values on steps: the history from `from` to the step that holds `now`, exclusive, and `horizon` steps from
    /// that step on.
    pub fn on_grid(self: &Arc<Self>, from: Timestamp, now: Timestamp, step: Step, horizon: usize) -> OnGrid {
        let (from, split) = (step.floor(from), step.floor(now));
        let steps = usize::try_from(step.count(from, split)).unwrap_or(0);
        let past = grid::on_grid(&self.points, self.hold_ms, from, step, steps);
        let future = if self.knows_future {
            grid::on_grid(&self.points, self.hold_ms, split, step, horizon)
        } else {
            vec![f64::NAN; horizon]
        };
        OnGrid {
            past: Series::new(from, step, past),
            future,
            age_ms: self.received_at.map(|at| now.ms_since(at)),
            known_until: self.known_until(),
            regressor: Arc::clone(self),
        }
    }
}

/// All regressors at one moment.
#[derive(Clone, Debug, Default)]
pub struct RegressorSet(pub(super) BTreeMap<String, Arc<Regressor>>);

impl RegressorSet {
    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Regressor>> {
        self.0.values()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Arc<Regressor>> {
        self.0.get(name)
    }

    /// Those that may influence a series and have values, on the steps of its forecast; sorted by name.
    pub fn on_grid(
        &self,
        subject: &Subject<'_>,
        from: Timestamp,
        now: Timestamp,
        step: Step,
        horizon: usize,
    ) -> Vec<OnGrid> {
        let concerned = self.all().filter(|r| !r.points.is_empty() && r.scope.selects(subject));
        concerned.map(|regressor| regressor.on_grid(from, now, step, horizon)).collect()
    }
}
