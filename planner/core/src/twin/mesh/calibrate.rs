//! Measured latency against the model where everything runs now.
use super::{
    Fitted, MeshModel,
    fitting::{Seen, fit},
};
use crate::{
    ids::ServiceId,
    inputs::{Inputs, Measured},
    twin::{
        MEDIAN,
        evaluation::layout::{Layout, NodeState},
        lanes::{LANES, lane},
        moments::moments,
        sharing::Slowdown,
    },
};

/// Passes over all services: how much the demand of one varies counts for the others on its node too. After the second
/// pass the model is within 1 % of what is measured, wherever it can be.
const PASSES: usize = 2;

/// What is measured of a service, with what is drawn from it.
struct Known {
    measured: Measured,
    /// `None` when its quantiles are none.
    seen: Option<Seen>,
}

impl Known {
    fn of(inputs: &Inputs<'_>, service: &ServiceId) -> Option<Self> {
        let measured = inputs.services.get(service)?.measured?;
        let [median, ninth, ..] = measured.latency_ms;
        let seen = |(mean, variance)| Seen { mean, variance, median, ninth };
        Some(Self { measured, seen: moments(&measured.latency_ms).map(seen) })
    }
}

/// Fits every service to what is measured of it now.
pub(super) fn calibrate(mesh: &mut MeshModel, inputs: &Inputs<'_>) {
    let measured: Vec<Option<Known>> = mesh.service_ids.iter().map(|id| Known::of(inputs, id)).collect();
    for _ in 0..PASSES {
        pass(mesh, inputs, &measured);
    }
}

/// Fits every service, callees first, so that what a callee waits for is not taken for its callers' own.
fn pass(mesh: &mut MeshModel, inputs: &Inputs<'_>, measured: &[Option<Known>]) {
    let mut layout = Layout::new(mesh, |replica| mesh.replicas[replica].home);
    let full = states_now(mesh, inputs, &mut layout);
    let mut queueing = vec![false; mesh.services.len()];
    for service in mesh.calls.order.clone() {
        let service = service as usize;
        let on_full =
            mesh.of_service(service).iter().any(|ix| full[mesh.replicas[*ix as usize].home as usize]);
        let waits_for_one = mesh.calls.edges[mesh.calls.of(service)]
            .iter()
            .any(|call| call.waits && queueing[call.callee as usize]);
        queueing[service] = on_full || waits_for_one;
        let known = measured[service].as_ref();
        let seen = known.and_then(|known| known.seen.as_ref());
        let fitted = match seen {
            _ if mesh.services[service].unknown.is_some() => constant(seen),
            // Requests queue on a full node for as long as it has been full, which no formula of the moment tells. Taken for
            // a wait of the service's own it would go along to every other node, and no move would ever be a cure.
            _ if queueing[service] => Fitted::NOT,
            Some(seen) => fit(seen, |scv| {
                spread(mesh, service, scv);
                let (mean, variance) = layout.raw(mesh, service);
                (f64::from(mean[0]), f64::from(variance[0]))
            }),
            None => Fitted::NOT,
        };
        let (mean, variance) = layout.raw(mesh, service);
        let raw = (mean[0], variance[0]);
        let (mean, variance) = fitted.apply(raw.0, raw.1);
        let over = |(mean, variance): (f32, f32)| {
            let objective = mesh.services[service].objective.as_ref()?;
            let now = known?.measured.latency(objective.quantile.get())? as f32;
            let ratio = now / mesh.tables[objective.table].quantile(mean, variance);
            (ratio.is_finite() && ratio > 0.0).then_some(ratio)
        };
        let shape = over((mean, variance)).map_or(1.0, |shape| shape.clamp(SHAPE.0, SHAPE.1));
        let fitted = if queueing[service] {
            fitted
        } else {
            Fitted { ratio: over(raw).unwrap_or(1.0), shape, ..fitted }
        };
        layout.mean[service] = [mean; LANES];
        layout.variance[service] = [variance; LANES];
        mesh.services[service].fitted = fitted;
    }
}

/// Sets how much the demand of a service's workloads varies.
fn spread(mesh: &mut MeshModel, service: usize, scv: f64) {
    for at in mesh.first_replica_of[service]..mesh.first_replica_of[service + 1] {
        let replica = mesh.replicas_of[at as usize];
        let workload = mesh.replicas[replica as usize].workload;
        mesh.workloads[workload as usize].scv = scv as f32;
    }
}

/// Nodes as they are now, in every lane. Gives which of them are so full that requests queue.
fn states_now(mesh: &MeshModel, inputs: &Inputs<'_>, layout: &mut Layout) -> Vec<bool> {
    let mut full = Vec::with_capacity(mesh.nodes.len());
    let now = lane(0, MEDIAN);
    let mut load = vec![0.0f32; mesh.nodes.len()];
    let mut remaining = vec![0.0f32; mesh.nodes.len()];
    for (ix, replica) in mesh.replicas.iter().enumerate() {
        let workload = &mesh.workloads[replica.workload as usize];
        let measured = inputs.services.get(&mesh.service_ids[replica.service as usize]);
        let measured = measured.and_then(|known| known.measured);
        let rate =
            measured.map_or(mesh.rates[replica.service as usize][now], |now| now.throughput_rps as f32);
        let busy = workload.demand_core_ms * rate * replica.share;
        load[replica.home as usize] += busy;
        remaining[replica.home as usize] += busy * workload.demand_core_ms * (1.0 + workload.scv) / 2.0;
        layout.limit(mesh, ix, |_| rate);
    }
    for (ix, node) in mesh.nodes.iter().enumerate() {
        let reported = inputs.snapshot.nodes.get(&mesh.node_ids[ix]).and_then(|node| node.used);
        let used = reported.map_or(mesh.background[ix][now] + load[ix], |used| used.get() as f32);
        full.push(used / node.capacity >= QUEUEING);
        // A node that is full now says nothing of what it would do with less.
        let slowdown = Slowdown::at((used / node.capacity).min(FULL), node.cores);
        let mut state =
            NodeState { remaining: remaining[ix] / load[ix].max(f32::MIN_POSITIVE), ..NodeState::IDLE };
        (0..LANES).for_each(|lane| state.set(lane, slowdown));
        layout.states[ix] = state;
    }
    full
}

/// Share of a node's CPU in use from which on latency is made by how long it has been full.
const QUEUEING: f32 = 0.92;

/// Use from which on the slowdown now is not taken from use: it rises without bound, and a report of it is not exact.
const FULL: f32 = 0.98;

/// Latency of a service that is not predicted: as measured.
fn constant(seen: Option<&Seen>) -> Fitted {
    let (mean, variance) = seen.map_or((0.0, 0.0), |seen| (seen.mean, seen.variance));
    Fitted {
        scale: 0.0,
        constant: mean as f32,
        variance_scale: 0.0,
        constant_variance: variance as f32,
        ..Fitted::NOT
    }
}

/// Range of a quantile over what the family of the model makes of mean and variance.
const SHAPE: (f32, f32) = (0.5, 2.0);
