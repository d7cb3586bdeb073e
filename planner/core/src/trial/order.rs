//! What is to be tried: which requests, at which rate, for how long, and beside which node.
use crate::{
    history::Metric,
    ids::{NodeId, PolicyId, ServiceId, WorkloadId},
    inputs::Inputs,
    plan::{Move, digest},
    policy::{Callees, RelocationPolicy, TrialRequest, TrialTerms, objective},
    time::Timestamp,
    topology::NodeState,
    twin::{MeshModel, MovePrediction, UPPER},
    units::Quantile,
};
use serde::{Deserialize, Serialize};

/// Requests beyond the quantile that a latency needs, so that a target twice as slow is nearly always told.
const BEYOND_QUANTILE: f64 = 30.0;
/// Pairs with which a share of 5 % failures is told from none with 99.9 % confidence, nearly always.
const LEAST_PAIRS: u64 = 800;
/// A rate below which nothing is a load, in requests per second.
const LEAST_RPS: f64 = 0.5;
/// Capacity of a node that stands for the source, as a share of the source's own, either way.
const LIKE: f64 = 0.1;

/// How trials are made, and how far they may load production.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialLimits {
    /// Highest rate at each copy, in requests per second.
    pub max_rate_rps: f64,
    /// Share of the predicted peak that must be reached; below it a trial says too little.
    pub least_peak_share: f64,
    /// Share of a node's CPU that production and a copy together may be predicted to use: beyond it production slows down.
    pub max_cpu_share: f64,
    /// Longest load, in milliseconds.
    pub max_duration_ms: i64,
    /// Load before anything is counted, in milliseconds.
    pub warm_up_ms: i64,
    /// How long the copies may take until they are ready, in milliseconds.
    pub start_within_ms: i64,
    /// By how much the target's share of failures may be above the source's.
    pub error_margin: f64,
    /// How many times the source's latency the target may have when that is above the objective.
    pub latency_factor: f64,
}

impl Default for TrialLimits {
    /// Under processor sharing latency at 0.7 of a node's CPU is 3.3 times that on an idle one, as planning allows it too.
    fn default() -> Self {
        Self {
            max_rate_rps: 200.0,
            least_peak_share: 0.5,
            max_cpu_share: 0.7,
            max_duration_ms: 300_000,
            warm_up_ms: 10_000,
            start_within_ms: 120_000,
            error_margin: 0.02,
            latency_factor: 1.2,
        }
    }
}

/// One trial, with nothing left open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialOrder {
    /// What is copied.
    pub workload: WorkloadId,
    /// The service that it answers for.
    pub service: ServiceId,
    /// Node of the copy that stands for the source: the source, or where that has no room one like it.
    pub source: NodeId,
    /// Node of the other copy: the candidate.
    pub target: NodeId,
    /// The requests.
    pub requests: Vec<TrialRequest>,
    /// Port of the pods; that of the service when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether requests may reach what the workload calls.
    pub callees: Callees,
    /// Whether the pods' secrets may be copied.
    pub copy_secrets: bool,
    /// Rate at each copy, in requests per second.
    pub rate_rps: f64,
    /// Rate of one replica at the predicted peak.
    pub peak_rps: f64,
    /// Pairs that a verdict needs.
    pub pairs: u64,
    /// Pairs after which it is given up.
    pub most_pairs: u64,
    /// Load before anything is counted, in milliseconds.
    pub warm_up_ms: i64,
    /// How long the copies may take until they are ready, in milliseconds.
    pub start_within_ms: i64,
    /// Quantile of the objective.
    pub quantile: Quantile,
    /// The objective in milliseconds.
    pub objective_ms: f64,
    /// By how much the target's share of failures may be above the source's.
    pub error_margin: f64,
    /// How many times the source's latency the target may have when that is above the objective.
    pub latency_factor: f64,
    /// Seed of everything that is drawn: the schedule, the route of each request, the runs of the comparison.
    pub seed: u64,
}

impl TrialOrder {
    /// Counts of pairs at which is looked whether there is a verdict, rising.
    pub fn looks(&self) -> Vec<u64> {
        let mut looks: Vec<u64> = (1..=4).map(|quarter| self.pairs * quarter / 4).collect();
        if self.most_pairs > self.pairs {
            looks.push(self.most_pairs);
        }
        looks
    }

    /// Longest load with its warm-up, in milliseconds.
    pub fn load_ms(&self) -> i64 {
        self.warm_up_ms.saturating_add((self.most_pairs as f64 / self.rate_rps.max(1e-3) * 1e3) as i64)
    }

    /// Time for all of it but the teardown, in milliseconds.
    pub fn limit_ms(&self) -> i64 {
        self.load_ms().saturating_add(self.start_within_ms).saturating_add(30_000)
    }

    /// In words.
    pub fn in_words(&self) -> String {
        format!(
            "copies on {} and {}, {:.1} requests per second to each ({:.0} % of the predicted peak), at least {} of them",
            self.source,
            self.target,
            self.rate_rps,
            100.0 * self.rate_rps / self.peak_rps.max(f64::MIN_POSITIVE),
            self.pairs
        )
    }
}

/// Why a move can neither go without a trial nor be tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TrialRefused {
    /// The policy is gone.
    #[error("policy `{policy}` is not in force any more")]
    NoPolicy {
        /// The policy.
        policy: PolicyId,
    },
    /// There is nowhere to try it.
    #[error(
        "policy `{policy}` does not waive the trial, and there is no staging mesh to run it in: set \
         `platform.kubernetes.staging`, or `staging` in the hosts file, or write \
         `trial: {{waivedBy: your name, reason: why}}` in the policy"
    )]
    NoStaging {
        /// The policy.
        policy: PolicyId,
    },
    /// It is not said which requests are tried.
    #[error(
        "policy `{policy}` does not say which requests a trial sends, and a ready check says nothing of a service: write \
         `trial: {{requests: [{{path: /…}}]}}` or waive the trial"
    )]
    NoRequests {
        /// The policy.
        policy: PolicyId,
    },
    /// Only traffic goes.
    #[error("only traffic is shifted, of which there is no trial: waive it in policy `{policy}`")]
    Shift {
        /// The policy.
        policy: PolicyId,
    },
    /// Nothing says how fast it has to be.
    #[error(
        "no rule about the service has an objective of latency, which a trial is judged by: give it a `predictedLatency` in a \
         policy that may move, or waive the trial in policy `{policy}`"
    )]
    NoObjective {
        /// The policy.
        policy: PolicyId,
    },
    /// Nothing says how much load a node bears.
    #[error(
        "how much CPU a request of `{workload}` takes is not known, so its trial cannot be bounded: wait until it is, or waive it"
    )]
    NoDemand {
        /// What would move.
        workload: WorkloadId,
    },
    /// Requests would reach production.
    #[error(
        "`{service}` calls {}: a trial would send them requests; write `callees: production` in the policy's trial if those \
         harm nobody, or waive the trial",
        callees.join(", ")
    )]
    Callees {
        /// The service.
        service: ServiceId,
        /// What it calls.
        callees: Vec<String>,
    },
    /// The load is not known.
    #[error("the peak of `{service}` in the move's window is not known: {why}")]
    NoPeak {
        /// The service.
        service: ServiceId,
        /// Why not.
        why: String,
    },
    /// A node has no room for a load.
    #[error(
        "{node} has CPU for {room_rps:.1} requests per second of a trial below {:.0} % of its CPU, and {needed_rps:.1} are needed \
         ({:.0} % of the predicted peak): raise `maxCpuShare`, lower `leastPeakShare`, or waive the trial",
        share * 100.0, least * 100.0
    )]
    NoRoom {
        /// The node.
        node: NodeId,
        /// What there is room for.
        room_rps: f64,
        /// What is needed.
        needed_rps: f64,
        /// Share of CPU that may be used.
        share: f64,
        /// Share of the peak that must be reached.
        least: f64,
    },
    /// The rate is bounded by a setting.
    #[error(
        "the predicted peak is {peak_rps:.1} requests per second, and `maxRate` allows {max_rps:.1}, too little for a verdict: \
         raise `maxRate`, lower `leastPeakShare`, or waive the trial"
    )]
    MaxRate {
        /// The peak.
        peak_rps: f64,
        /// The limit.
        max_rps: f64,
    },
    /// It would take too long.
    #[error(
        "at {rate_rps:.1} requests per second the {pairs} requests that a verdict needs take {} s, and a trial may take {} s: \
         raise the trial's `duration`, or waive it",
        needed_ms / 1000, limit_ms / 1000
    )]
    TooSlow {
        /// The rate.
        rate_rps: f64,
        /// Requests that are needed.
        pairs: u64,
        /// How long they take, in milliseconds.
        needed_ms: i64,
        /// How long they may take, in milliseconds.
        limit_ms: i64,
    },
}

/// Pairs that a verdict at this quantile needs.
pub(super) fn pairs_needed(quantile: Quantile) -> u64 {
    LEAST_PAIRS.max((BEYOND_QUANTILE / (1.0 - quantile.get())).ceil() as u64)
}

/// Writes the order for one move.
///
/// # Errors
/// When it cannot be tried, with the remedy.
pub fn order(
    planned: &Move,
    prediction: Option<&MovePrediction>,
    policy: &RelocationPolicy,
    inputs: &Inputs<'_>,
    staging: Option<&TrialLimits>,
) -> Result<TrialOrder, TrialRefused> {
    let named = || policy.id.clone();
    let limits = staging.ok_or_else(|| TrialRefused::NoStaging { policy: named() })?;
    let terms = policy.trial.as_ref().filter(|terms| !terms.requests.is_empty());
    let terms = terms.ok_or_else(|| TrialRefused::NoRequests { policy: named() })?;
    if planned.is_shift() {
        return Err(TrialRefused::Shift { policy: named() });
    }
    let core_ms = match prediction {
        Some(prediction) => prediction.demand_core_ms,
        None => demand_core_ms(planned, inputs)?,
    };
    callees(planned, terms, inputs)?;
    let quantile = planned.reason.quantile;
    let (pairs, limit_ms) = (pairs_needed(quantile), terms.duration_ms.unwrap_or(limits.max_duration_ms));
    let peak_rps = peak(planned, inputs)?;
    let needed_rps = (peak_rps * limits.least_peak_share).max(LEAST_RPS);
    let wanted_rps = peak_rps.max(LEAST_RPS);
    if limits.max_rate_rps < needed_rps {
        return Err(TrialRefused::MaxRate { peak_rps, max_rps: limits.max_rate_rps });
    }
    let until = inputs.now.plus_ms(limit_ms.saturating_add(limits.start_within_ms));
    let room = |node: &NodeId| room_rps(node, core_ms, until, inputs, limits.max_cpu_share);
    let no_room = |node: &NodeId| TrialRefused::NoRoom {
        node: node.clone(),
        room_rps: room(node),
        needed_rps,
        share: limits.max_cpu_share,
        least: limits.least_peak_share,
    };
    if room(&planned.to) < needed_rps {
        return Err(no_room(&planned.to));
    }
    let source = stands_for(planned, inputs, needed_rps, &room).ok_or_else(|| no_room(&planned.from))?;
    let rate_rps = wanted_rps.min(limits.max_rate_rps).min(room(&planned.to)).min(room(&source));
    let takes = |pairs: u64| (pairs as f64 / rate_rps * 1e3) as i64;
    let load_ms = limit_ms.saturating_sub(limits.warm_up_ms);
    if takes(pairs) > load_ms {
        let needed_ms = takes(pairs).saturating_add(limits.warm_up_ms);
        return Err(TrialRefused::TooSlow { rate_rps, pairs, needed_ms, limit_ms });
    }
    let most_pairs = if takes(pairs * 2) <= load_ms { pairs * 2 } else { pairs };
    Ok(TrialOrder {
        workload: planned.workload.clone(),
        service: planned.service.clone(),
        source,
        target: planned.to.clone(),
        requests: terms.requests.clone(),
        port: terms.port,
        callees: terms.callees,
        copy_secrets: terms.copy_secrets,
        rate_rps,
        peak_rps: wanted_rps,
        pairs,
        most_pairs,
        warm_up_ms: limits.warm_up_ms,
        start_within_ms: limits.start_within_ms,
        quantile,
        objective_ms: planned.reason.objective_ms,
        error_margin: limits.error_margin,
        latency_factor: limits.latency_factor,
        seed: seed(planned),
    })
}

/// CPU of one request of what is moved for another reason than latency, of which nothing was predicted. It is held to the
/// strictest objective of its service all the same.
fn demand_core_ms(planned: &Move, inputs: &Inputs<'_>) -> Result<f64, TrialRefused> {
    let policy = || planned.reason.policy.clone();
    objective(inputs.policies, &planned.service)
        .ok_or_else(|| TrialRefused::NoObjective { policy: policy() })?;
    let mesh = MeshModel::build(inputs);
    let replica = mesh.replica_ix(&planned.workload, &planned.replica);
    replica
        .and_then(|replica| mesh.demand_core_ms(replica))
        .ok_or_else(|| TrialRefused::NoDemand { workload: planned.workload.clone() })
}

/// What the workload calls is part of production: requests reach it only where the policy says so.
fn callees(planned: &Move, terms: &TrialTerms, inputs: &Inputs<'_>) -> Result<(), TrialRefused> {
    let calls = inputs.learned.graph.0.get(&planned.service).map(Vec::as_slice).unwrap_or_default();
    if terms.callees == Callees::Production || calls.is_empty() {
        return Ok(());
    }
    let callees = calls.iter().map(|call| format!("`{}`", call.callee)).collect();
    Err(TrialRefused::Callees { service: planned.service.clone(), callees })
}

/// Highest rate of the replica over the whole look-ahead, at the upper quartile.
fn peak(planned: &Move, inputs: &Inputs<'_>) -> Result<f64, TrialRefused> {
    let unknown = |why: String| TrialRefused::NoPeak { service: planned.service.clone(), why };
    let made = inputs.forecast(&planned.service, Metric::Throughput);
    let forecast = made.ok_or_else(|| unknown("it is not forecast".to_owned()))?;
    let forecast = forecast.map_err(|error| unknown(error.to_string()))?;
    let highest = forecast.steps.iter().map(|step| step.quantiles[UPPER]).fold(0.0, f64::max);
    let workload = inputs.snapshot.workloads.get(&planned.workload);
    let share =
        workload.and_then(|workload| Some(workload.share_of(workload.replicas.get(&planned.replica)?)));
    let share = share.ok_or_else(|| unknown(format!("replica `{}` is gone", planned.replica)))?;
    Some(highest * share).filter(|peak| peak.is_finite()).ok_or_else(|| unknown("it is no number".to_owned()))
}

/// Requests per second of a copy on a node, until its CPU is used up to a share; 0 where its use is not known.
fn room_rps(node: &NodeId, core_ms: f64, until: Timestamp, inputs: &Inputs<'_>, share: f64) -> f64 {
    let Some(there) = inputs.snapshot.nodes.get(node) else { return 0.0 };
    let Some(used) = there.used else { return 0.0 };
    let Some(Ok(forecast)) = inputs.nodes.get(node) else { return 0.0 };
    let meanwhile = forecast.steps.iter().filter(|step| step.at <= until).map(|step| step.quantiles[UPPER]);
    let used = meanwhile.fold(used.get(), f64::max);
    // One millisecond of a core for each request is one millicore for each request per second.
    ((there.capacity.get() * share - used) / core_ms.max(1e-6)).max(0.0)
}

/// The source, or where that has no room the node like it that has most.
fn stands_for(
    planned: &Move,
    inputs: &Inputs<'_>,
    needed_rps: f64,
    room: &impl Fn(&NodeId) -> f64,
) -> Option<NodeId> {
    if room(&planned.from) >= needed_rps {
        return Some(planned.from.clone());
    }
    let capacity = inputs.snapshot.nodes.get(&planned.from)?.capacity.get();
    let alike = inputs.snapshot.nodes.iter().filter(|(id, node)| {
        **id != planned.to
            && **id != planned.from
            && node.state == NodeState::Ready
            && (node.capacity.get() / capacity - 1.0).abs() <= LIKE
            && room(id) >= needed_rps
    });
    alike.max_by(|a, b| room(a.0).total_cmp(&room(b.0))).map(|(id, _)| id.clone())
}

/// Equal moves draw alike.
fn seed(planned: &Move) -> u64 {
    let digest = digest(planned).unwrap_or_default();
    digest.get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(1)
}
