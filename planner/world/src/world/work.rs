//! Work of a minute on the nodes: what is done, what waits, and what is dropped.

use super::World;

/// A node in a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeMinute {
    /// Cores that requests want.
    pub(super) work: f64,
    /// Requests a second.
    pub(super) rps: f64,
    /// Cores that something else takes.
    pub(super) other: f64,
    /// Utilisation that the slowdowns are of.
    pub(super) level: f64,
    /// Seconds for which a mean request waits for work from before.
    pub(super) waits_s: f64,
    /// Share of the requests that are dropped.
    pub(super) dropped: f64,
}

/// Share of a node that work of others leaves to requests at least.
const LEAST_ROOM: f64 = 0.1;

impl World {
    /// Work of the requests on the nodes, and what waits because of it.
    pub(super) fn work(&mut self) {
        let setup = &self.setup;
        let (minute, moves) = (f64::from(self.minute), &setup.spec.moves);
        let timeout_s = setup.spec.requests.timeout_ms / 1000.0;
        let scratch = &mut self.scratch;
        scratch.used.clear();
        scratch.demands.clear();
        scratch.held.clear();
        for instance in &mut self.instances {
            let service = &setup.services[instance.service];
            let cold = instance.cold_since.map_or(1.0, |since| {
                let warm = (minute - f64::from(since)) / (moves.warms_in.0 as f64).max(1e-9);
                1.0 + (moves.cold_factor - 1.0) * (-warm).exp()
            });
            let fault = setup.trouble.faulty(instance.service, i64::from(self.minute));
            let demand = service.demand_ms * cold * fault.demand / setup.nodes[instance.node].speed;
            let rps = scratch.rps[instance.service] * instance.share / f64::from(service.replicas);
            let (mut used, mut waits_s, mut dropped) = (rps * demand / 1000.0, 0.0, 0.0);
            if let Some(limit) = service.limit_m {
                let room = limit / 1000.0;
                let before = instance.throttled;
                let all = used * 60.0 + before;
                let waiting = (all - room * 60.0).max(0.0);
                instance.throttled = waiting.min(room * timeout_s);
                dropped = if waiting > instance.throttled {
                    (waiting - instance.throttled) / (used * 60.0)
                } else {
                    0.0
                };
                waits_s = f64::midpoint(before, instance.throttled) / room;
                used = used.min(room).max((all - waiting) / 60.0);
            }
            scratch.used.push(used);
            scratch.demands.push(demand);
            scratch.held.push((waits_s, dropped));
            let node = &mut scratch.nodes[instance.node];
            node.work += used;
            node.rps += rps;
        }
        for (number, node) in scratch.nodes.iter_mut().enumerate() {
            let cores = setup.nodes[number].cores;
            let room = (cores - node.other).max(LEAST_ROOM * cores);
            let before = self.backlog[number];
            let all = node.work * 60.0 + before;
            let waiting = (all - room * 60.0).max(0.0);
            let after = waiting.min(cores * timeout_s);
            if waiting > after {
                node.dropped = ((waiting - after) / (node.work * 60.0).max(1e-9)).min(1.0);
            }
            self.backlog[number] = after;
            node.waits_s = f64::midpoint(before, after) / cores;
            node.level = (node.work + node.other) / cores;
            scratch.utilisation[number] = (((all - waiting) / 60.0 + node.other) / cores).min(1.0);
        }
    }
}
