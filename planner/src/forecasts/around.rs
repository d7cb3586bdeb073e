//! What is known around one series: events, moves and regressors.
use super::{Known, SeriesId};
use crate::{calendar::CalendarSet, control::moves_of, regressors::OnGrid};
use foremesh_core::{
    calendar::{Occurrence, Priors, Subject},
    covariate::{Future, Regressor},
    forecast::{Excluded, Forecast, LEVELS},
    live::{Surroundings, UpperQuantile},
    series::Series,
    time::Timestamp,
};
use std::{collections::BTreeMap, sync::Arc};

/// What is known around one series, owned.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) metric: String,
    pub(super) occurrences: Arc<Vec<Occurrence>>,
    pub(super) moves: Vec<Excluded>,
    regressors: Vec<OneRegressor>,
}

#[derive(Debug)]
struct OneRegressor {
    name: String,
    past: Vec<f64>,
    points: Vec<f64>,
    /// `None` when the points are known, as of a plan.
    bands: Option<Vec<[f64; LEVELS.len()]>>,
}

/// Occurrences of events, which are dear to find, shared by all series that the same events concern.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    of: Option<Arc<CalendarSet>>,
    to: Timestamp,
    /// By their start, quantity and the events that concern them.
    known: BTreeMap<(Timestamp, String, Vec<bool>), Arc<Vec<Occurrence>>>,
}

impl Occurrences {
    /// What concerns `subject` between `from` and `to`; found anew when the calendars or the end have changed.
    fn of(
        &mut self,
        calendars: &Arc<CalendarSet>,
        subject: &Subject<'_>,
        from: Timestamp,
        to: Timestamp,
    ) -> Arc<Vec<Occurrence>> {
        let same = self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, calendars));
        if !same || self.to != to {
            self.known.clear();
            (self.of, self.to) = (Some(Arc::clone(calendars)), to);
        }
        let concerns = calendars.concerning(subject);
        if !concerns.contains(&true) {
            return Arc::default();
        }
        let key = (from, subject.metric.to_owned(), concerns);
        let found = self.known.entry(key);
        Arc::clone(found.or_insert_with(|| Arc::new(calendars.occurrences(subject, from, to))))
    }
}

impl Around {
    /// `futures` are forecasts of regressors whose future nobody knows.
    pub(super) fn of(
        id: &SeriesId,
        series: &Series,
        known: &Known,
        occurrences: &mut Occurrences,
        futures: &BTreeMap<String, Forecast>,
        horizon: usize,
    ) -> Self {
        let metric = id.metric();
        let subject = id.event_subject(&metric);
        let step = series.step();
        let end = step.floor(known.now).plus_ms(step.times(horizon));
        let occurrences = occurrences.of(&known.calendars, &subject, series.start(), end);
        let moves = match id {
            SeriesId::Service(service, _) if id.depends_on_place() => moves_of(&known.rollouts, service),
            _ => Vec::new(),
        };
        let on_grid = known.regressors.on_grid(&subject, series.start(), known.now, step, horizon);
        let regressors = on_grid
            .into_iter()
            .filter_map(|one| {
                let future = futures.get(&one.regressor.name);
                let known_future = one.regressor.knows_future;
                (known_future || future.is_some())
                    .then(|| OneRegressor::new(one, series.values().len(), future))
            })
            .collect();
        Self { metric, occurrences, moves, regressors }
    }

    /// The same for the pure core.
    pub(super) fn surroundings<'a>(
        &'a self,
        priors: &'a Priors,
        regressors: &'a [(Regressor<'a>, Future<'a>)],
        parts: Option<UpperQuantile<'a>>,
    ) -> Surroundings<'a> {
        Surroundings {
            metric: &self.metric,
            occurrences: &self.occurrences,
            priors,
            moves: &self.moves,
            regressors,
            parts,
        }
    }

    pub(super) fn regressors(&self) -> Vec<(Regressor<'_>, Future<'_>)> {
        let borrowed = self.regressors.iter().map(|one| {
            let future = match &one.bands {
                None => Future::Known(&one.points),
                Some(bands) => Future::Forecast { points: &one.points, bands },
            };
            (Regressor { name: &one.name, values: &one.past }, future)
        });
        borrowed.collect()
    }
}

impl OneRegressor {
    /// Splits it where the series ends, which may be some steps before now.
    fn new(one: OnGrid, length: usize, future: Option<&Forecast>) -> Self {
        let mut past = one.past.values().to_vec();
        let mut late = past.split_off(length.min(past.len()));
        let bands = future.map(|forecast| {
            let held = late.iter().map(|value| [*value; LEVELS.len()]);
            held.chain(forecast.steps.iter().map(|step| step.quantiles)).collect()
        });
        match future {
            Some(forecast) => late.extend(forecast.steps.iter().map(|step| step.point)),
            None => late.extend(one.future),
        }
        Self { name: one.regressor.name.clone(), past, points: late, bands }
    }
}
