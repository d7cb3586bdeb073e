//! The dear models: which series gets which of them, and when, within a budget of CPU time.
//!
//! The budget is spent by what models say they cost ([`foremesh_core::forecast::model::Cost`]), not by a clock, so that
//! the same passes fit the same models. Series that are most likely to breach an objective come first, then those that
//! have waited longest. Memory has a limit too: where it is reached, a series gets a model only when one that is no
//! nearer to a breach than usual can give its own up.
#[cfg(test)]
mod tests;

use super::{
    SeriesId,
    guard::{self, ModelCounts, Tally},
};
use foremesh_core::{
    forecast::{
        HoltWinters,
        model::{History, MEDIAN_AND_TAIL, Model},
    },
    live::{LiveSeries, Surroundings},
    policy::RelocationPolicy,
    series::Series,
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// A new model is judged on so many horizons at the end of the history.
pub(super) const JUDGED_HORIZONS: usize = 2;

/// How many dear fits the planner may make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsSettings {
    /// CPU time for fits in each pass, in microseconds.
    pub budget_us: f64,
    /// Time after which a model is fitted again, in milliseconds.
    pub refit_ms: i64,
    /// Memory for the models that every series may get, of all series together, in bytes.
    pub memory_bytes: usize,
}

/// The dear models and what they were fitted to.
#[derive(Debug)]
pub struct Experts {
    settings: ExpertsSettings,
    models: Vec<Box<dyn Model>>,
    /// Names of those that every series may get, whatever the policies say.
    usual: Vec<String>,
    /// Names of those that wait for something better: series get them only where a policy names them.
    stand_ins: BTreeSet<&'static str>,
    /// When each was fitted last, or tried.
    tried: BTreeMap<SeriesId, BTreeMap<&'static str, Timestamp>>,
    /// What is left of the budget, in microseconds; below 0 after a fit that cost more than there was.
    left_us: f64,
    /// Bytes of the models that each series has, and of all together.
    held: BTreeMap<SeriesId, usize>,
    held_bytes: usize,
    /// Bytes of the largest model that was fitted; what the next one is expected to take.
    largest_bytes: usize,
    now: Timestamp,
    tally: Tally,
}

impl Experts {
    /// With these models, of which the ones named `usual` are fitted to every series.
    pub fn new(settings: ExpertsSettings, models: Vec<Box<dyn Model>>, usual: Vec<String>) -> Self {
        Self {
            settings,
            models,
            usual,
            stand_ins: BTreeSet::new(),
            tried: BTreeMap::new(),
            left_us: 0.0,
            held: BTreeMap::new(),
            held_bytes: 0,
            largest_bytes: 0,
            now: Timestamp::default(),
            tally: Tally::default(),
        }
    }

    /// Gives a model to a series only where a policy names it, until it is replaced.
    pub fn stand_in(&mut self, name: &'static str) {
        self.stand_ins.insert(name);
    }

    /// Replaces a model by a newer one of the same name, such as a net that was trained again. Series get it as the
    /// budget allows, judged on their past: what the old one got right is no merit of the new one.
    pub fn replace(&mut self, model: Box<dyn Model>) {
        let name = model.name();
        self.models.retain(|old| old.name() != name);
        self.models.push(model);
        self.stand_ins.remove(name);
        self.tried.values_mut().for_each(|tried| {
            tried.remove(name);
        });
    }

    /// What became of fits and predictions of each model that there is.
    pub fn counts(&self) -> BTreeMap<&'static str, ModelCounts> {
        let mut counts: BTreeMap<&'static str, ModelCounts> =
            self.models.iter().map(|model| (model.name(), ModelCounts::default())).collect();
        counts.extend(self.tally.counts());
        counts
    }

    /// Begins a pass over the series for which `there` holds; the others are forgotten.
    pub(super) fn begin_pass(&mut self, now: Timestamp, there: impl Fn(&SeriesId) -> bool) {
        self.now = now;
        self.tally.at(now);
        self.tried.retain(|id, _| there(id));
        self.held.retain(|id, _| there(id));
        self.held_bytes = self.held.values().sum();
        // What a pass did not spend is not saved, since a burst would delay a pass. What it overspent is paid back, so
        // that a fit that costs more than a pass may spend comes about too, only seldom.
        let budget = self.settings.budget_us;
        self.left_us = (self.left_us + budget).min(budget);
    }

    /// Bytes of the models of all series.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Takes the models away from series that can do without, in this order, until so many others have room for theirs.
    pub(super) fn make_room<'l>(
        &mut self,
        others: usize,
        can_do_without: impl Iterator<Item = (&'l SeriesId, &'l mut LiveSeries)>,
    ) {
        let needed = others.saturating_mul(self.largest_bytes);
        for (id, live) in can_do_without {
            if self.held_bytes.saturating_add(needed) <= self.settings.memory_bytes {
                break;
            }
            self.models.iter().for_each(|model| live.detach(model.name()));
            self.note_held(id, live);
        }
    }

    /// Whether a series has a model that was fitted here.
    pub(super) fn has_any(&self, live: &LiveSeries) -> bool {
        self.models.iter().any(|model| live.has(model.name()))
    }

    fn has_room(&self) -> bool {
        self.held_bytes.saturating_add(self.largest_bytes) <= self.settings.memory_bytes
    }

    fn note_held(&mut self, id: &SeriesId, live: &LiveSeries) {
        let of = |model: &dyn Model| live.forecaster().attached_bytes(model.name());
        let bytes = self.models.iter().filter_map(|model| of(model.as_ref())).sum();
        let before = self.held.get(id).copied().unwrap_or(0);
        if bytes != before {
            self.held_bytes = self.held_bytes + bytes - before;
            self.held.insert(id.clone(), bytes);
        }
    }

    /// When a dear model was tried last for this series; the first ever before all others.
    pub(super) fn waiting_since(&self, id: &SeriesId) -> Option<Timestamp> {
        self.tried.get(id)?.values().max().copied()
    }

    /// Fits what is due for a series and affordable.
    pub(super) fn look_at(
        &mut self,
        id: &SeriesId,
        live: &mut LiveSeries,
        series: &Series,
        around: &Surroundings<'_>,
        chosen: &[String],
    ) {
        // It may have lost one by itself, in a long silence.
        self.note_held(id, live);
        let observed = live.forecaster().observed();
        let shape = *live.forecaster().shape();
        // Taking the values together is dear enough not to be done for nothing.
        let mut training = None;
        for model in &self.models {
            let name = model.name();
            let wanted = if chosen.is_empty() { &self.usual } else { chosen };
            let there = live.has(name);
            let tried = self.tried.get(id).and_then(|tried| tried.get(name)).copied();
            if !wanted.iter().any(|wanted| wanted == name)
                || (chosen.is_empty() && self.stand_ins.contains(name))
                || self.left_us <= 0.0
                || (chosen.is_empty() && !there && !self.has_room())
                || observed < model.warm_up(shape.season, shape.horizon)
            {
                continue;
            }
            if let Some(at) = tried {
                // Not more often than once a quarter of the interval, also after a failure or a fresh start.
                let wait = if there { self.settings.refit_ms } else { self.settings.refit_ms / 4 };
                if self.now.ms_since(at) < wait {
                    continue;
                }
            }
            self.tried.entry(id.clone()).or_default().insert(name, self.now);
            let (start, values) = training.get_or_insert_with(|| live.training(series, around));
            let judged = JUDGED_HORIZONS * shape.horizon;
            let known = values.iter().rev().skip(judged).filter(|value| value.is_finite()).count();
            // Its own errors are known already, unless it was replaced; or there is too little to hold anything back.
            let judged_before = there && tried.is_some();
            let fitted_to = if judged_before || known < model.warm_up(shape.season, shape.horizon) {
                values.len()
            } else {
                values.len().saturating_sub(judged)
            };
            let cost = model.cost(observed);
            let replayed = (values.len() - fitted_to) as f64;
            self.left_us -= cost.fit_us + replayed * (cost.update_us + cost.predict_us / 6.0);
            let history = History {
                start: *start,
                step: shape.step,
                season: shape.season,
                horizon: shape.horizon,
                values: &values[..fitted_to],
                covariates: &[],
                lowest: shape.lowest,
                highest: shape.highest,
            };
            let Some(fitted) = guard::fit(model.as_ref(), &id.to_string(), &history, &self.tally) else {
                continue;
            };
            self.largest_bytes = self.largest_bytes.max(fitted.bytes());
            if fitted_to < values.len() {
                live.attach_judged(name, fitted, values, fitted_to);
            } else {
                live.attach(name, fitted);
            }
        }
        self.note_held(id, live);
    }
}

/// Every model that is fitted to a series apart from the streaming combination: those of the models' crate, and the cheap
/// one that has a state of its own.
pub fn dear_models() -> Vec<Box<dyn Model>> {
    let mut all: Vec<Box<dyn Model>> = vec![Box::new(HoltWinters)];
    all.extend(foremesh_models::all());
    all
}

/// Models that policies name for a series; empty for the planner's own choice. One that the series cannot have is not
/// among them.
pub(super) fn chosen(id: &SeriesId, policies: &[RelocationPolicy]) -> Vec<String> {
    let SeriesId::Service(service, _) = id else { return Vec::new() };
    let of_service = policies.iter().filter(|policy| policy.selects(service));
    let mut names: Vec<String> = of_service.flat_map(|policy| policy.models.iter().cloned()).collect();
    names.retain(|name| name != MEDIAN_AND_TAIL || id.has_tail());
    names.sort_unstable();
    names.dedup();
    names
}
