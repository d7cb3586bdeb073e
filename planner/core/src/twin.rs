//! The digital twin: what latency would be if a replica ran somewhere else.
//!
//! Each node shares its CPU among everything on it ([`queueing`]). The twin takes the CPU time of one request from
//! what the workload uses now, the load of other things from the node's forecast, and the arrivals from the service's
//! forecast; what the formula misses is corrected by the ratio between measured and modelled latency where the
//! workload runs now. It says so when it does not know.
mod calls;
mod confirm;
pub mod demand;
mod evaluation;
pub mod events;
mod lanes;
mod mesh;
pub mod queueing;
mod sharing;
mod simulate;
mod tail_fit;

pub use confirm::Confirmation;
pub use evaluation::{Delta, Evaluation, TwinBreach};
pub use lanes::{KNOTS, LANES, lane};
pub use mesh::{MeshModel, NodeIx, Objective, ReplicaIx, ServiceIx};
pub use simulate::{MovePrediction, SimulatedPlan, SimulationError, simulate};

use crate::{
    forecast::{Forecast, LEVELS},
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::Inputs,
    time::Timestamp,
    topology::Node,
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Place of the median in [`LEVELS`]: what is expected.
pub const MEDIAN: usize = 3;
/// Place in [`LEVELS`] of the level that capacity is planned for: loads above the upper quartile at all steps at
/// once are rare enough for the headroom to take them.
pub const UPPER: usize = 4;

/// Range of the calibration ratio. The exponential tail overstates steady demand several times and knows nothing of
/// waiting for others; a ratio outside of this means that the model does not describe the workload.
const CALIBRATION: std::ops::RangeInclusive<f64> = 0.05..=20.0;

/// Throughput in requests per second below which CPU per request is noise.
pub(crate) const LEAST_RPS: f64 = 0.1;

/// Why the twin cannot tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TwinUnknown {
    /// CPU use of the workload was not reported.
    #[error("CPU use of workload `{workload}` is not known; check that the platform reports it")]
    NoCpu {
        /// The workload.
        workload: WorkloadId,
    },
    /// The service has had hardly any traffic lately, so CPU per request cannot be told.
    #[error(
        "service `{service}` has had less than 0.1 requests per second lately, too few to tell CPU per request"
    )]
    NoThroughput {
        /// The service.
        service: ServiceId,
    },
    /// How many requests will come is not known.
    #[error("throughput of service `{service}` could not be forecast: {why}")]
    NoThroughputForecast {
        /// The service.
        service: ServiceId,
        /// Why not.
        why: String,
    },
    /// Use of a node is not known over the window.
    #[error("CPU use of node `{node}` is not known over the whole window")]
    NodeUnknown {
        /// The node.
        node: NodeId,
    },
    /// The workload is not in the snapshot, or has no replica there.
    #[error("workload `{workload}` has no replica in the snapshot")]
    NoReplica {
        /// The workload.
        workload: WorkloadId,
    },
}

/// How measured latency compares with the model where the workload runs now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Every modelled latency is multiplied by this.
    pub ratio: f64,
    /// Why the ratio is not simply measured over modelled, if it is not.
    pub note: CalibrationNote,
}

/// How a calibration came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationNote {
    /// Measured over modelled.
    Measured,
    /// The ratio was outside of 0.05 to 20 and set to the nearer end.
    Clamped,
    /// Measured latency or present CPU use is missing, or a node is saturated now: the model as it is.
    Uncalibrated,
}

/// One workload as the twin sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadModel<'a> {
    /// CPU time of one request in milliseconds of one core.
    pub demand_core_ms: f64,
    /// Correction by measured latency.
    pub calibration: Calibration,
    quantile: Quantile,
    throughput: &'a Forecast,
    /// Share of the service's requests that one replica serves: replicas are taken to share evenly.
    share: f64,
}

/// One step of a replica on a node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwinStep {
    /// Start of the step.
    pub at: Timestamp,
    /// Share of the node's CPU in use by everything; may pass 1, where the node is saturated.
    pub utilisation: f64,
    /// Latency in milliseconds at the objective's quantile; `None` when the node is saturated.
    pub latency_ms: Option<f64>,
}

/// A replica on a node, over a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// One entry for each step.
    pub steps: Vec<TwinStep>,
}

impl Path {
    /// Highest latency in milliseconds; `None` when the node saturates.
    pub fn worst_ms(&self) -> Option<f64> {
        self.steps.iter().try_fold(0.0, |worst: f64, step| Some(worst.max(step.latency_ms?)))
    }

    /// Highest share of CPU in use.
    pub fn highest_utilisation(&self) -> f64 {
        self.steps.iter().map(|step| step.utilisation).fold(0.0, f64::max)
    }
}

/// Whether a node's forecast has the replica's load in it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The replica runs there: its load is part of what was measured.
    Included,
    /// The replica would come on top.
    Added,
}

/// Load that is promised to nodes beyond what their forecasts show: moves in flight and moves chosen before.
#[derive(Clone, Debug, Default)]
pub struct Commitments<'a>(BTreeMap<NodeId, Vec<Option<WorkloadModel<'a>>>>);

impl<'a> Commitments<'a> {
    /// The moves in flight, each on its target. Where the replica has arrived its load counts twice for a while,
    /// which errs on the safe side.
    pub fn in_flight(inputs: &Inputs<'a>) -> Self {
        let mut commitments = Self::default();
        for moving in inputs.in_flight {
            commitments.promise(inputs, &moving.to, &moving.workload);
        }
        commitments
    }

    /// Adds one replica of a workload; when its load is not known, nothing is known of the node any more.
    pub fn promise(&mut self, inputs: &Inputs<'a>, node: &NodeId, workload: &WorkloadId) {
        // Load does not depend on the quantile that latency is asked for.
        let model = Quantile::new(0.5).ok().and_then(|quantile| fit(inputs, workload, quantile).ok());
        self.0.entry(node.clone()).or_default().push(model);
    }

    /// Adds one replica of a workload that was fitted already.
    pub fn add(&mut self, node: NodeId, model: WorkloadModel<'a>) {
        self.0.entry(node).or_default().push(Some(model));
    }

    /// Promised load in millicores at a step; `None` when something of unknown size is on its way.
    fn load(&self, node: &NodeId, at: Timestamp, level: usize) -> Option<f64> {
        let promised = self.0.get(node).map_or(&[][..], Vec::as_slice);
        promised.iter().try_fold(0.0, |sum, model| Some(sum + model.as_ref()?.load(at, level)?))
    }
}

/// Fits the twin to one workload.
///
/// # Errors
/// [`TwinUnknown`] when CPU use, throughput or its forecast is missing.
pub fn fit<'a>(
    inputs: &Inputs<'a>,
    workload_id: &WorkloadId,
    quantile: Quantile,
) -> Result<WorkloadModel<'a>, TwinUnknown> {
    let no_replica = || TwinUnknown::NoReplica { workload: workload_id.clone() };
    let workload = inputs.snapshot.workloads.get(workload_id).ok_or_else(no_replica)?;
    let service = &workload.service;
    let of_service = inputs.snapshot.workloads.values().filter(|other| other.service == *service);
    let replicas_in_all: usize = of_service.map(|other| other.replicas.len()).sum();
    if workload.replicas.is_empty() {
        return Err(no_replica());
    }
    let share = 1.0 / replicas_in_all as f64;
    let used = workload.used.ok_or_else(|| TwinUnknown::NoCpu { workload: workload_id.clone() })?;
    let no_throughput = || TwinUnknown::NoThroughput { service: service.clone() };
    let measured = inputs.services.get(service).and_then(|known| known.measured).ok_or_else(no_throughput)?;
    let limit_ms = inputs.settings.forecast_limit_ms;
    if measured.throughput_rps < LEAST_RPS || inputs.now.ms_since(measured.at) > limit_ms {
        return Err(no_throughput());
    }
    let own_rps = measured.throughput_rps * share * workload.replicas.len() as f64;
    let demand_core_ms = queueing::demand_core_ms(used.get(), own_rps)
        .ok_or_else(|| TwinUnknown::NoCpu { workload: workload_id.clone() })?;
    let no_forecast = |why| TwinUnknown::NoThroughputForecast { service: service.clone(), why };
    let throughput = match inputs.forecast(service, Metric::Throughput) {
        Some(Ok(forecast)) if forecast.age_ms(inputs.now) <= limit_ms => forecast,
        Some(Ok(_)) => return Err(no_forecast("the forecast is too old".to_owned())),
        Some(Err(error)) => return Err(no_forecast(error.to_string())),
        None => return Err(no_forecast("nobody made a forecast".to_owned())),
    };
    let nodes = workload.replicas.values().map(|replica| inputs.snapshot.nodes.get(&replica.node));
    let modelled = slowest_now(nodes, demand_core_ms, quantile);
    let calibration = calibrate(measured.latency(quantile.get()), modelled);
    Ok(WorkloadModel { demand_core_ms, calibration, quantile, throughput, share })
}

/// Modelled latency of the slowest replica under present load: it is the one that shows in the service's tail.
fn slowest_now<'n>(
    nodes: impl Iterator<Item = Option<&'n Node>>,
    demand_core_ms: f64,
    quantile: Quantile,
) -> Option<f64> {
    let mut slowest = None;
    for node in nodes {
        let node = node?;
        let capacity = node.capacity.get();
        let utilisation = node.used?.get() / capacity;
        let latency = queueing::latency_ms(demand_core_ms, capacity, utilisation, quantile.get())?;
        slowest = Some(latency.max(slowest.unwrap_or(0.0)));
    }
    slowest
}

fn calibrate(measured_ms: Option<f64>, modelled_ms: Option<f64>) -> Calibration {
    let ratio = measured_ms.zip(modelled_ms).map(|(measured, modelled)| measured / modelled);
    match ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0) {
        None => Calibration { ratio: 1.0, note: CalibrationNote::Uncalibrated },
        Some(ratio) if CALIBRATION.contains(&ratio) => Calibration { ratio, note: CalibrationNote::Measured },
        Some(ratio) => Calibration {
            ratio: ratio.clamp(*CALIBRATION.start(), *CALIBRATION.end()),
            note: CalibrationNote::Clamped,
        },
    }
}

impl WorkloadModel<'_> {
    /// Load of one replica in millicores at a step, at a place in [`LEVELS`] of the throughput.
    fn load(&self, at: Timestamp, level: usize) -> Option<f64> {
        let step = self.throughput.steps.get(self.throughput.index_at(at)?)?;
        Some(self.demand_core_ms * step.quantiles[level] * self.share)
    }

    /// Load of one replica in millicores at the fullest step of the window, at the level that capacity is planned for.
    pub fn highest_load(&self, inputs: &Inputs<'_>, within_ms: i64) -> f64 {
        let loads = self.window(inputs, within_ms).filter_map(|at| self.load(at, UPPER));
        loads.fold(0.0, f64::max)
    }

    /// Starts of the steps from now to the end of the look-ahead.
    fn window(&self, inputs: &Inputs<'_>, within_ms: i64) -> impl Iterator<Item = Timestamp> {
        let until = inputs.now.plus_ms(within_ms);
        let first = self.throughput.index_at(inputs.now).unwrap_or(self.throughput.steps.len());
        self.throughput.steps[first..].iter().map(|step| step.at).take_while(move |at| *at < until)
    }

    /// One replica on a node over the look-ahead, with node load and throughput both at the same place in
    /// [`LEVELS`]: they are taken to rise together, the careful assumption.
    ///
    /// # Errors
    /// [`TwinUnknown`] when a forecast is missing or ends too early.
    pub fn path(
        &self,
        inputs: &Inputs<'_>,
        node_id: &NodeId,
        own: Own,
        commitments: &Commitments<'_>,
        within_ms: i64,
        level: usize,
    ) -> Result<Path, TwinUnknown> {
        let unknown = || TwinUnknown::NodeUnknown { node: node_id.clone() };
        let node = inputs.snapshot.nodes.get(node_id).ok_or_else(unknown)?;
        let used = inputs.nodes.get(node_id).and_then(|known| known.as_ref().ok()).ok_or_else(unknown)?;
        if used.age_ms(inputs.now) > inputs.settings.forecast_limit_ms {
            return Err(unknown());
        }
        let capacity = node.capacity.get();
        let step_at = |at: Timestamp| {
            let background = used.steps.get(used.index_at(at)?)?.quantiles[level];
            let own_load = self.load(at, level)?;
            let promised = commitments.load(node_id, at, level)?;
            let load = promised
                + match own {
                    // What is measured cannot be less than what the replica itself needs.
                    Own::Included => background.max(own_load),
                    Own::Added => background + own_load,
                };
            let utilisation = if capacity > 0.0 { load / capacity } else { f64::MAX };
            let latency_ms =
                queueing::latency_ms(self.demand_core_ms, capacity, utilisation, self.quantile.get());
            Some(TwinStep { at, utilisation, latency_ms: latency_ms.map(|ms| ms * self.calibration.ratio) })
        };
        let steps: Option<Vec<TwinStep>> = self.window(inputs, within_ms).map(step_at).collect();
        let steps = steps.ok_or_else(unknown)?;
        let until = inputs.now.plus_ms(within_ms);
        let covered = steps.last().map(|last| last.at.plus_ms(self.throughput.step.ms() * 2));
        if covered.is_none_or(|covered| covered <= until) {
            return Err(unknown());
        }
        Ok(Path { steps })
    }

    /// Probability that a replica on this node breaches the objective within the look-ahead: 1 less the lowest of
    /// [`LEVELS`] at which the path breaches; half the last level's rest when none does.
    ///
    /// # Errors
    /// [`TwinUnknown`] as for [`Self::path`].
    pub fn breach_probability(
        &self,
        inputs: &Inputs<'_>,
        node_id: &NodeId,
        own: Own,
        commitments: &Commitments<'_>,
        within_ms: i64,
        objective_ms: f64,
    ) -> Result<Probability, TwinUnknown> {
        let mut probability = (1.0 - LEVELS[LEVELS.len() - 1]) / 2.0;
        for (level, share) in LEVELS.iter().enumerate().rev() {
            let path = self.path(inputs, node_id, own, commitments, within_ms, level)?;
            if path.worst_ms().is_some_and(|worst| worst <= objective_ms) {
                break;
            }
            probability = 1.0 - share;
        }
        Ok(Probability::new(probability).unwrap_or_default())
    }
}
