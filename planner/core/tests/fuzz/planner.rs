//! The planner under test, put together as its loop puts it together: live series in, the inputs of a decision out.
use crate::store::{Key, STEP_MS, Store};
use foremesh_core::{
    calendar::Priors,
    forecast::{Excluded, ForecastSettings, Shape},
    gauge::GaugeMetric,
    history::{Metric, ServiceHistory, ServiceStep},
    ids::{NodeId, PlanId, ServiceId, WorkloadId},
    inputs::{Measured, OwnedInputs},
    live::{LiveSeries, Surroundings},
    time::{Step, Timestamp},
    topology::Snapshot,
};
use std::collections::{BTreeMap, BTreeSet};

/// Steps that the newest values may be late.
const LATE: usize = 4;

#[derive(Debug)]
pub(crate) struct Planner {
    how: ForecastSettings,
    live: BTreeMap<Key, LiveSeries>,
    /// What is on record: survives a restart.
    pub(crate) newest: Option<(PlanId, u64)>,
    /// Whether values of a future that the clock went back from are still in memory.
    remembers_future: bool,
}

impl Planner {
    pub(crate) const fn new(how: ForecastSettings) -> Self {
        Self { how, live: BTreeMap::new(), newest: None, remembers_future: false }
    }

    /// Everything that was only in memory is gone.
    pub(crate) fn restart(&mut self) {
        self.live.clear();
        self.remembers_future = false;
    }

    /// Takes in what is new in the series that are `wanted` and forecasts them.
    pub(crate) fn forecast(
        &mut self,
        store: &Store,
        wanted: &BTreeSet<Key>,
        moves: &BTreeMap<ServiceId, Vec<Excluded>>,
        snapshot: Snapshot,
        now: Timestamp,
    ) -> OwnedInputs {
        let mut inputs = OwnedInputs::new(snapshot);
        inputs.now = now;
        for key in store.keys().filter(|key| wanted.contains(key)) {
            let Some(series) = store.series(key, now, self.remembers_future) else { continue };
            let (metric, subject, highest, places) = match key {
                Key::Service(service, metric) => {
                    let highest = (*metric == Metric::Availability).then_some(1.0);
                    let moves = moves.get(&ServiceId::new(service.clone())).map_or(&[][..], Vec::as_slice);
                    let moves = if metric.depends_on_place() { moves } else { &[] };
                    (metric.name(), service, highest, moves)
                }
                Key::Node(name, metric) | Key::Workload(name, metric) => {
                    (metric.name().to_owned(), name, None, &[][..])
                }
            };
            let horizon = self.how.horizon + LATE;
            let shape = Shape { horizon, highest, ..self.how.shape(series.step()) };
            let around = Surroundings {
                metric: &metric,
                occurrences: &[],
                priors: &Priors::default(),
                moves: places,
                regressors: &[],
                parts: None,
            };
            let live =
                self.live.entry(key.clone()).or_insert_with(|| LiveSeries::new(shape, series.start(), None));
            live.advance(&series, &around);
            let made = live.outlook(subject, &around, now, &self.how);
            match key {
                Key::Service(service, metric) => {
                    let of = inputs.services.entry(ServiceId::new(service.clone())).or_default();
                    of.forecasts.insert(*metric, made);
                }
                Key::Node(node, GaugeMetric::CpuUsedMillicores) => {
                    inputs.nodes.insert(NodeId::new(node.clone()), made);
                }
                Key::Node(node, GaugeMetric::CpuBackgroundMillicores) => {
                    inputs.background.insert(NodeId::new(node.clone()), made);
                }
                Key::Node(node, metric) => {
                    let of = inputs.resources.nodes.entry(NodeId::new(node.clone())).or_default();
                    of.insert(*metric, made);
                }
                Key::Workload(workload, metric) => {
                    let of = inputs.resources.workloads.entry(WorkloadId::new(workload.clone())).or_default();
                    of.insert(*metric, made);
                }
            }
        }
        for (service, known) in &mut inputs.services {
            known.measured = measured(store, service, now);
        }
        self.remembers_future = true;
        inputs.newest.clone_from(&self.newest);
        inputs
    }
}

/// What a service did in the newest steps that are over.
fn measured(store: &Store, service: &ServiceId, now: Timestamp) -> Option<Measured> {
    let newest = |metric| {
        let key = Key::Service(service.to_string(), metric);
        let series = store.series(&key, now, false)?;
        let first = series.values().len().saturating_sub(Measured::STEPS);
        Some(series.values()[first..].to_vec())
    };
    let (rates, slow) = (newest(Metric::Throughput)?, newest(Metric::Latency(3))?);
    let step = |(rps, p99): (&f64, &f64)| {
        let known = rps.is_finite() && p99.is_finite();
        let latencies = [0.3, 0.6, 0.7, 1.0, 1.3].map(|share| (p99 * share) as f32);
        known.then(|| ServiceStep::new((rps * STEP_MS as f64 / 1e3) as u32, 0, latencies))
    };
    // Both end now, whenever they began.
    let mut steps: Vec<_> = rates.iter().rev().zip(slow.iter().rev()).map(step).collect();
    steps.reverse();
    let step = Step::from_ms(STEP_MS).unwrap();
    let start = step.floor(now).plus_ms(-step.times(steps.len()));
    Measured::newest(&ServiceHistory { service: service.clone(), start, step, steps })
}
