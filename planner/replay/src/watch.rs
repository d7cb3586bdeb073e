//! Keeps every series forecast, with the forecaster of production and its usual settings. The dear models and the expert
//! for the tail, which needs histograms, are not among them.
use crate::memory::{Memory, Subject};
use foremesh_core::{
    calendar::{Occurrence, Priors},
    forecast::{Excluded, ForecastSettings},
    ids::{NodeId, ServiceId},
    inputs::{MaybeForecast, ServiceInputs},
    live::{LiveSeries, Surroundings},
    time::Timestamp,
};
use std::collections::BTreeMap;

/// Steps that the newest value may be later than usual before the far end of the horizon is not forecast.
const LATE_STEPS: usize = 4;

/// A series, always ready to be forecast.
#[derive(Debug)]
pub(crate) struct Watch {
    how: ForecastSettings,
    live: BTreeMap<Subject, LiveSeries>,
}

/// What is known beside the series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Around {
    /// Events of the calendar.
    pub(crate) occurrences: Vec<Occurrence>,
    /// When each service was moved.
    pub(crate) moves: BTreeMap<ServiceId, Vec<Excluded>>,
    /// What events do to like series: nothing, as each learns by itself here.
    pub(crate) priors: Priors,
}

/// What the decision needs of the forecasts.
#[derive(Debug, Default)]
pub(crate) struct Outlooks {
    pub(crate) services: BTreeMap<ServiceId, ServiceInputs>,
    pub(crate) nodes: BTreeMap<NodeId, MaybeForecast>,
    pub(crate) background: BTreeMap<NodeId, MaybeForecast>,
}

impl Watch {
    pub(crate) const fn new(how: ForecastSettings) -> Self {
        Self { how, live: BTreeMap::new() }
    }

    /// Takes in what is new of every series.
    pub(crate) fn advance(&mut self, memory: &Memory, around: &Around) {
        for (subject, series) in memory.all().filter(|(subject, _)| is_forecast(subject)) {
            let mut shape = self.how.shape(Memory::STEP);
            shape.horizon += LATE_STEPS;
            let live = self
                .live
                .entry(subject.clone())
                .or_insert_with(|| LiveSeries::new(shape, series.start(), None));
            let metric = subject.metric();
            live.advance(series, &surroundings(&metric, subject, around));
        }
    }

    /// Forecasts every series.
    pub(crate) fn outlooks(&mut self, memory: &Memory, around: &Around, now: Timestamp) -> Outlooks {
        let mut outlooks = Outlooks::default();
        for (subject, live) in &mut self.live {
            let metric = subject.metric();
            let forecast =
                live.outlook(subject.name(), &surroundings(&metric, subject, around), now, &self.how);
            match subject {
                Subject::Service(service, metric) => {
                    let known = outlooks.services.entry(service.clone()).or_default();
                    known.measured = memory.measured(service);
                    known.forecasts.insert(*metric, forecast);
                }
                Subject::NodeUse(node) => drop(outlooks.nodes.insert(node.clone(), forecast)),
                Subject::NodeBackground(node) => drop(outlooks.background.insert(node.clone(), forecast)),
                Subject::WorkloadUse(_) => {}
            }
        }
        outlooks
    }
}

/// CPU of workloads is a matter of their throughput, which is forecast.
const fn is_forecast(subject: &Subject) -> bool {
    !matches!(subject, Subject::WorkloadUse(_))
}

fn surroundings<'a>(metric: &'a str, subject: &Subject, around: &'a Around) -> Surroundings<'a> {
    let moves = match subject {
        Subject::Service(service, metric) if metric.depends_on_place() => {
            around.moves.get(service).map_or(&[][..], Vec::as_slice)
        }
        _ => &[],
    };
    Surroundings {
        metric,
        occurrences: &around.occurrences,
        priors: &around.priors,
        moves,
        regressors: &[],
        parts: None,
    }
}
