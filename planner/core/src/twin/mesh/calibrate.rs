//! Measured latency against the model where everything runs now.
use super::{Fitted, MeshModel};
use crate::{
    inputs::Inputs,
    twin::{
        MEDIAN,
        evaluation::layout::{Layout, NodeState},
        lanes::{LANES, lane},
        sharing::Slowdown,
        tail_fit,
    },
    units::Quantile,
};

/// Fits every service, callees first, so that what a callee waits for is not taken for its callers' own.
pub(super) fn calibrate(mesh: &mut MeshModel, inputs: &Inputs<'_>) {
    let middle = table(mesh, 0.5);
    let tail = table(mesh, 0.99);
    let mut layout = Layout::new(mesh, |replica| mesh.replicas[replica].home);
    states_now(mesh, inputs, &mut layout);
    for service in mesh.calls.order.clone() {
        let service = service as usize;
        let measured = inputs.services.get(&mesh.service_ids[service]).and_then(|known| known.measured);
        // The quantile of the objective is the one that must be met exactly.
        let upper = mesh.services[service].objective.as_ref().map_or((tail, 0.99), |objective| {
            if objective.table == middle { (tail, 0.99) } else { (objective.table, objective.quantile.get()) }
        });
        let moments = measured.and_then(|measured| {
            let (low, high) = (measured.latency(0.5)?, measured.latency(upper.1)?);
            tail_fit::moments((&mesh.tables[middle], &mesh.tables[upper.0]), low, high)
        });
        let (mean, variance) = layout.raw(mesh, service);
        let fitted = match moments {
            _ if mesh.services[service].unknown.is_some() => constant(moments),
            Some(measured) => fit(measured, (f64::from(mean[0]), f64::from(variance[0]))),
            None => Fitted::NOT,
        };
        let (mean, variance) = fitted.apply(mean[0], variance[0]);
        layout.mean[service] = [mean; LANES];
        layout.variance[service] = [variance; LANES];
        mesh.services[service].fitted = fitted;
    }
}

fn table(mesh: &mut MeshModel, level: f64) -> usize {
    // Both levels are between 0 and 1.
    Quantile::new(level).map_or(0, |quantile| mesh.table(quantile))
}

/// Nodes as they are now, in every lane.
fn states_now(mesh: &MeshModel, inputs: &Inputs<'_>, layout: &mut Layout) {
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
        // A node that is full now says nothing of what it would do with less.
        let slowdown = Slowdown::at((used / node.capacity).min(FULL), node.cores);
        let mut state =
            NodeState { remaining: remaining[ix] / load[ix].max(f32::MIN_POSITIVE), ..NodeState::IDLE };
        (0..LANES).for_each(|lane| state.set(lane, slowdown));
        layout.states[ix] = state;
    }
}

/// Use from which on the slowdown now is not taken from use: it rises without bound, and a report of it is not exact.
const FULL: f32 = 0.98;

/// Latency of a service that is not predicted: as measured.
fn constant(measured: Option<(f64, f64)>) -> Fitted {
    let (mean, variance) = measured.unwrap_or((0.0, 0.0));
    Fitted {
        scale: 0.0,
        constant: mean as f32,
        variance_scale: 0.0,
        constant_variance: variance as f32,
        ..Fitted::NOT
    }
}

fn fit((mean, variance): (f64, f64), (modelled, modelled_variance): (f64, f64)) -> Fitted {
    let scale = if modelled > 0.0 { (mean / modelled).min(1.0) } else { 1.0 };
    let variance_scale = if modelled_variance > 0.0 { (variance / modelled_variance).min(1.0) } else { 1.0 };
    Fitted {
        scale: scale as f32,
        constant: (mean - modelled).max(0.0) as f32,
        variance_scale: variance_scale as f32,
        constant_variance: (variance - modelled_variance).max(0.0) as f32,
        variance_now: modelled_variance as f32,
        measured: true,
    }
}
