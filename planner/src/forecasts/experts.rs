//! The dear models: which series gets which of them, and when, within a budget of CPU time.
//!
//! The budget is spent by what models say they cost ([`Cost`]), not by a clock, so that the same passes fit the same
//! models. Series that a policy names models for come first, then those that were fitted longest ago.
use super::SeriesId;
use foremesh_core::{
    forecast::model::{Cost, History, Model, ModelError},
    live::{LiveSeries, Surroundings},
    policy::RelocationPolicy,
    series::Series,
    time::Timestamp,
};
use std::collections::BTreeMap;

/// How many dear fits the planner may make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsSettings {
    /// CPU time for fits in each pass, in microseconds.
    pub budget_us: f64,
    /// Time after which a model is fitted again, in milliseconds.
    pub refit_ms: i64,
}

/// The dear models and what they were fitted to.
#[derive(Debug)]
pub struct Experts {
    settings: ExpertsSettings,
    models: Vec<Box<dyn Model>>,
    /// Names of those that every series may get, whatever the policies say.
    usual: Vec<String>,
    /// When each was fitted last, or tried.
    tried: BTreeMap<(SeriesId, &'static str), Timestamp>,
    /// What is left of the budget of this pass, in microseconds.
    left_us: f64,
    now: Timestamp,
    failures: BTreeMap<&'static str, u64>,
    fits: BTreeMap<&'static str, u64>,
}

impl Experts {
    /// With these models, of which the ones named `usual` are fitted to every series.
    pub fn new(settings: ExpertsSettings, models: Vec<Box<dyn Model>>, usual: Vec<String>) -> Self {
        Self {
            settings,
            models,
            usual,
            tried: BTreeMap::new(),
            left_us: 0.0,
            now: Timestamp::default(),
            failures: BTreeMap::new(),
            fits: BTreeMap::new(),
        }
    }

    /// Replaces a model by a newer one of the same name, such as a net that was trained again.
    pub fn replace(&mut self, model: Box<dyn Model>) {
        let name = model.name();
        self.models.retain(|old| old.name() != name);
        self.models.push(model);
        self.tried.retain(|(_, tried), _| *tried != name);
    }

    /// Fits that were made and that failed, by model. A failed fit leaves the series to the other models.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let of = |counts: &BTreeMap<&'static str, u64>, name| counts.get(name).copied().unwrap_or(0);
        self.models
            .iter()
            .map(move |model| (model.name(), of(&self.fits, model.name()), of(&self.failures, model.name())))
    }

    pub(super) fn begin_pass(&mut self, now: Timestamp) {
        self.now = now;
        // What one pass did not spend is not saved: a burst would delay a pass.
        self.left_us = self.settings.budget_us;
    }

    /// Fits what is due for a series and affordable.
    pub(super) fn look_at(
        &mut self,
        id: &SeriesId,
        live: &mut LiveSeries,
        series: &Series,
        around: &Surroundings<'_>,
        policies: &[RelocationPolicy],
    ) {
        let chosen = chosen(id, policies);
        let shape = *live.forecaster().shape();
        for model in &self.models {
            let name = model.name();
            let wanted = match &chosen {
                Some(names) => names.iter().any(|chosen| *chosen == name),
                None => self.usual.iter().any(|usual| usual == name),
            };
            let key = (id.clone(), name);
            let due = self
                .tried
                .get(&key)
                .is_none_or(|at| self.now.ms_since(*at) >= self.settings.refit_ms || !live.has(name));
            let observed = live.forecaster().observed();
            let Cost { fit_us, .. } = model.cost(observed);
            // Not more often than once a quarter of the interval, also after a failure or a fresh start.
            let lately =
                self.tried.get(&key).is_some_and(|at| self.now.ms_since(*at) < self.settings.refit_ms / 4);
            if !wanted
                || !due
                || lately
                || fit_us > self.left_us
                || observed < model.warm_up(shape.season, shape.horizon)
            {
                continue;
            }
            self.left_us -= fit_us;
            self.tried.insert(key, self.now);
            let (start, values) = live.training(series, around);
            let history = History {
                start,
                step: shape.step,
                season: shape.season,
                horizon: shape.horizon,
                values: &values,
                covariates: &[],
                lowest: shape.lowest,
                highest: shape.highest,
            };
            match model.fit(&history) {
                Ok(fitted) => {
                    live.attach(name, fitted);
                    *self.fits.entry(name).or_default() += 1;
                }
                Err(ModelError::NotEnoughHistory { .. } | ModelError::NoSeason) => {}
                Err(error) => {
                    tracing::debug!(series = ?id, model = name, %error, "model not fitted");
                    *self.failures.entry(name).or_default() += 1;
                }
            }
        }
    }
}

/// Models that a policy names for a series; `None` without such a policy.
fn chosen<'p>(id: &SeriesId, policies: &'p [RelocationPolicy]) -> Option<Vec<&'p String>> {
    let SeriesId::Service(service, _) = id else { return None };
    let names: Vec<&String> =
        policies.iter().filter(|policy| policy.selects(service)).flat_map(|policy| &policy.models).collect();
    (!names.is_empty()).then_some(names)
}
