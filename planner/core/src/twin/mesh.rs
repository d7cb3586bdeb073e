//! The whole mesh as numbers: what runs where, what it takes, what is expected to come, and who waits for whom.
//!
//! It is built once for each pass. What depends on the layout is in [`super::Evaluation`].
mod build;
mod calibrate;
mod distances;
mod fitting;
mod scale;
mod shares;

use super::{
    Calibration, CalibrationNote, TwinUnknown,
    calls::Calls,
    lanes::{Lanes, Window},
    tail_fit::TailTable,
};
use crate::{
    forecast::LEVELS,
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    units::Quantile,
};
use distances::Distances;

/// Index of a node in a [`MeshModel`].
pub type NodeIx = usize;
/// Index of a replica in a [`MeshModel`].
pub type ReplicaIx = usize;
/// Index of a service in a [`MeshModel`].
pub type ServiceIx = usize;

/// The whole mesh as numbers.
#[derive(Clone, Debug)]
pub struct MeshModel {
    pub(super) window: Window,
    pub(super) node_ids: Vec<NodeId>,
    pub(super) nodes: Vec<NodeModel>,
    /// Millicores of each node that no known replica of its own accounts for.
    pub(super) background: Vec<Lanes>,
    pub(super) workload_ids: Vec<WorkloadId>,
    pub(super) workloads: Vec<WorkloadModel>,
    pub(super) replica_ids: Vec<ReplicaId>,
    pub(super) replicas: Vec<ReplicaModel>,
    pub(super) service_ids: Vec<ServiceId>,
    pub(super) services: Vec<ServiceModel>,
    /// Requests per second of each service.
    pub(super) rates: Vec<Lanes>,
    /// Replicas of each service, one service after the other.
    pub(super) replicas_of: Vec<u32>,
    pub(super) first_replica_of: Vec<u32>,
    pub(super) calls: Calls,
    pub(super) distances: Distances,
    pub(super) tables: Vec<TailTable>,
    /// Highest share of a node's CPU that may be in use.
    pub(super) max_utilisation: f32,
    /// Logarithm of measured over predicted latency: middle, and standard deviation.
    pub(super) error: (f32, f32),
}

/// One node.
#[derive(Clone, Debug)]
pub(super) struct NodeModel {
    /// Millicores.
    pub(super) capacity: f32,
    pub(super) cores: f32,
    /// Cores that one request can use at a time.
    pub(super) speed: f32,
    pub(super) zone: u32,
    pub(super) unknown: Option<TwinUnknown>,
}

/// One workload.
#[derive(Clone, Debug)]
pub(super) struct WorkloadModel {
    /// CPU of one request in milliseconds of one core.
    pub(super) demand_core_ms: f32,
    /// Millicores of one replica without requests.
    pub(super) idle: f32,
    /// Squared coefficient of variation of the demand.
    pub(super) scv: f32,
    /// Most that one replica may use, in cores.
    pub(super) limit_cores: Option<f32>,
    pub(super) first_replica: u32,
    pub(super) unknown: Option<TwinUnknown>,
}

/// One replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplicaModel {
    pub(super) workload: u32,
    pub(super) service: u32,
    /// Where it runs by the snapshot.
    pub(super) home: u32,
    /// Where it runs once the moves in flight are over.
    pub(super) start: u32,
    /// Part of the service's requests that it gets now.
    pub(super) share: f32,
    /// Its weight against the other replicas of the service once the moves in flight are over.
    pub(super) weight: f32,
}

/// One service.
#[derive(Clone, Debug)]
pub(super) struct ServiceModel {
    /// Why its latency is not predicted: it then stays as measured, wherever its replicas are.
    pub(super) unknown: Option<TwinUnknown>,
    pub(super) objective: Option<Objective>,
    /// Tier weight times expected requests per second.
    pub(super) weight: f32,
    /// Expected requests per second at the fullest moment.
    pub(super) requests: f32,
    pub(super) fitted: Fitted,
}

/// What a service is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Quantile of latency.
    pub quantile: Quantile,
    /// The objective in milliseconds.
    pub above_ms: f64,
    /// Look-ahead in milliseconds.
    pub within_ms: i64,
    /// Place of the quantile's table.
    pub(super) table: usize,
    pub(super) knots: usize,
}

/// How measured latency compares with the model where the service runs now.
///
/// What CPU does not explain stays as it is, wherever the service goes; so latency that rises while use does not, as
/// after a fault in the code, is never a reason to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fitted {
    /// Factor on the modelled mean, at most 1.
    pub(super) scale: f32,
    /// Milliseconds that CPU does not explain.
    pub(super) constant: f32,
    /// Factor on the modelled variance.
    pub(super) variance_scale: f32,
    /// Variance that CPU does not explain.
    pub(super) constant_variance: f32,
    /// Modelled variance where it runs now. Where it is higher, what was not explained rises with it: whether it comes
    /// from CPU or not cannot be told, so the worse is taken on either side.
    pub(super) variance_now: f32,
    /// Measured latency at the objective's quantile over what the model says without calibration.
    pub(super) ratio: f32,
    /// Factor on the quantile of the objective.
    pub(super) shape: f32,
    /// Whether there was something to fit to.
    pub(super) measured: bool,
}

impl Fitted {
    pub(super) const NOT: Self = Self {
        scale: 1.0,
        constant: 0.0,
        variance_scale: 1.0,
        constant_variance: 0.0,
        variance_now: 0.0,
        ratio: 1.0,
        shape: 1.0,
        measured: false,
    };

    pub(super) fn apply(&self, mean: f32, variance: f32) -> (f32, f32) {
        let rise = if self.variance_now > 0.0 { (variance / self.variance_now).max(1.0) } else { 1.0 };
        // A saturated node must not turn into a variance without bound.
        let rise = rise.min(1e6);
        (self.scale * mean + self.constant, self.variance_scale * variance + self.constant_variance * rise)
    }
}

impl MeshModel {
    /// Index of a node.
    pub fn node_ix(&self, node: &NodeId) -> Option<NodeIx> {
        self.node_ids.binary_search(node).ok()
    }

    /// Index of a replica.
    pub fn replica_ix(&self, workload: &WorkloadId, replica: &ReplicaId) -> Option<ReplicaIx> {
        let workload = self.workload_ids.binary_search(workload).ok()?;
        let first = self.workloads[workload].first_replica as usize;
        let next =
            self.workloads.get(workload + 1).map_or(self.replicas.len(), |next| next.first_replica as usize);
        self.replica_ids[first..next].binary_search(replica).ok().map(|at| first + at)
    }

    /// Index of a service.
    pub fn service_ix(&self, service: &ServiceId) -> Option<ServiceIx> {
        self.service_ids.binary_search(service).ok()
    }

    /// Number of nodes.
    pub const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Number of replicas.
    pub const fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// Number of services.
    pub const fn services(&self) -> usize {
        self.services.len()
    }

    /// Name of a node.
    pub fn node(&self, node: NodeIx) -> &NodeId {
        &self.node_ids[node]
    }

    /// Workload and name of a replica.
    pub fn replica(&self, replica: ReplicaIx) -> (&WorkloadId, &ReplicaId) {
        (&self.workload_ids[self.replicas[replica].workload as usize], &self.replica_ids[replica])
    }

    /// Name of a service.
    pub fn service(&self, service: ServiceIx) -> &ServiceId {
        &self.service_ids[service]
    }

    /// Service that a replica answers for.
    pub fn service_of(&self, replica: ReplicaIx) -> ServiceIx {
        self.replicas[replica].service as usize
    }

    /// Replicas of a service.
    pub fn replicas_of(&self, service: ServiceIx) -> impl Iterator<Item = ReplicaIx> + '_ {
        self.of_service(service).iter().map(|replica| *replica as usize)
    }

    /// CPU of a node in millicores.
    pub fn capacity(&self, node: NodeIx) -> f64 {
        f64::from(self.nodes[node].capacity)
    }

    /// Highest share of a node's CPU that may be predicted in use after a move to it.
    pub fn max_utilisation(&self) -> f64 {
        f64::from(self.max_utilisation)
    }

    /// Services that call a service.
    pub fn callers(&self, service: ServiceIx) -> impl Iterator<Item = ServiceIx> + '_ {
        self.calls.reaching(service).iter().map(|edge| self.calls.edges[*edge as usize].caller as usize)
    }

    pub(super) fn of_service(&self, service: ServiceIx) -> &[u32] {
        let (first, next) = (self.first_replica_of[service], self.first_replica_of[service + 1]);
        &self.replicas_of[first as usize..next as usize]
    }

    /// The strictest objective of a service, if a policy gives one.
    pub fn objective(&self, service: ServiceIx) -> Option<&Objective> {
        self.services[service].objective.as_ref()
    }

    /// Tier weight times expected requests per second: what one unit of risk of the service costs.
    pub fn weight(&self, service: ServiceIx) -> f64 {
        f64::from(self.services[service].weight)
    }

    /// Expected requests per second of a service at the fullest moment.
    pub fn requests(&self, service: ServiceIx) -> f64 {
        f64::from(self.services[service].requests)
    }

    /// Why the load of a replica is not known: it must not be moved for what the twin says.
    pub fn replica_unknown(&self, replica: ReplicaIx) -> Option<&TwinUnknown> {
        let replica = &self.replicas[replica];
        self.workloads[replica.workload as usize]
            .unknown
            .as_ref()
            .or(self.services[replica.service as usize].unknown.as_ref())
    }

    /// Why nothing is known of a node: it must not be a target.
    pub fn node_unknown(&self, node: NodeIx) -> Option<&TwinUnknown> {
        self.nodes[node].unknown.as_ref()
    }

    /// Why the latency of a service is not predicted; its risk then counts as 0, wherever its replicas are.
    pub fn service_unknown(&self, service: ServiceIx) -> Option<&TwinUnknown> {
        self.services[service].unknown.as_ref()
    }

    /// CPU of one request in milliseconds of one core, `None` when it is not known.
    pub fn demand_core_ms(&self, replica: ReplicaIx) -> Option<f64> {
        let workload = &self.workloads[self.replicas[replica].workload as usize];
        workload.unknown.is_none().then_some(f64::from(workload.demand_core_ms))
    }

    /// Squared coefficient of variation of the CPU of one request: as inferred from measured latency, else 1.
    pub fn demand_scv(&self, replica: ReplicaIx) -> f64 {
        f64::from(self.workloads[self.replicas[replica].workload as usize].scv)
    }

    /// Millicores of a replica with this share of its service's requests.
    pub(super) fn load(&self, replica: &ReplicaModel, share: f32, lane: usize) -> f32 {
        let workload = &self.workloads[replica.workload as usize];
        workload.demand_core_ms * self.rates[replica.service as usize][lane] * share + workload.idle
    }

    /// Milliseconds there and back between two nodes.
    pub fn distance_ms(&self, a: NodeIx, b: NodeIx) -> f64 {
        f64::from(self.distances.between(a as u32, b as u32, &self.nodes))
    }

    /// A quantile of a time with this mean and variance.
    pub(super) fn quantile_of(&self, quantile: Quantile, mean: f32, variance: f32) -> f32 {
        let table = self.tables.iter().find(|table| table.level() == quantile);
        table.map_or_else(
            || TailTable::new(quantile).quantile(mean, variance),
            |table| table.quantile(mean, variance),
        )
    }

    /// How measured latency compares with the model where a service runs now.
    pub fn calibration(&self, service: ServiceIx) -> Calibration {
        let fitted = &self.services[service].fitted;
        let note = if fitted.measured { CalibrationNote::Measured } else { CalibrationNote::Uncalibrated };
        Calibration { ratio: f64::from(fitted.ratio), note }
    }

    /// CPU of a node in cores.
    pub(super) fn capacity_cores(&self, node: NodeIx) -> f64 {
        f64::from(self.nodes[node].cores)
    }

    /// Knots that a look-ahead takes.
    pub(super) fn knots(&self, within_ms: i64) -> usize {
        self.window.knots(within_ms)
    }

    /// Start of a knot.
    pub fn knot_start(&self, knot: usize) -> crate::time::Timestamp {
        self.window.start(knot)
    }

    /// Number of levels at which everything is predicted, those of [`LEVELS`].
    pub const fn levels(&self) -> usize {
        LEVELS.len()
    }
}
