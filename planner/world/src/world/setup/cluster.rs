//! Nodes, what else runs on them, distances, and where replicas start.

use std::sync::Arc;

use super::super::placement::{Room, Unplaced, place};
use super::{MIB, NodeSetup, Placed, ServiceSetup, cores_of_limit};
use crate::Id;
use crate::random::{Draw, Key};
use crate::scenario::{Scenario, ScenarioSpec};
use crate::series::{Curve, Shaping};
use crate::sharing::Slowdowns;

/// The nodes, with what else runs on them.
pub(super) fn nodes(scenario: &Scenario, services: usize, seed: u64) -> Vec<NodeSetup> {
    let spec = &scenario.spec;
    let by_service = (spec.nodes.per_service * services as f64).ceil() as usize;
    let count = spec.nodes.count.unwrap_or_else(|| by_service.clamp(spec.nodes.min, spec.nodes.max));
    let shaping = Shaping { smooth: spec.background.smooth.0, peak: None, clamp: spec.background.clamp };
    let curves: Vec<Curve> = scenario.background.iter().map(|series| series.curve(shaping)).collect();
    let key = Key::new(seed, Draw::Background);
    (0..count)
        .map(|number| {
            let kind = &spec.nodes.kinds[number % spec.nodes.kinds.len()];
            let zone = char::from(b'a' + (number % spec.nodes.zones) as u8);
            let key = key.with(number as u64);
            let curve = curves.get(key.with(0).below(curves.len())).cloned().unwrap_or_else(Curve::flat);
            let cores = f64::from(kind.cores);
            NodeSetup {
                id: Id::from(format!("node-{}", number + 1)),
                zone: Id::from(format!("zone-{zone}")),
                cores,
                speed: kind.speed,
                memory_bytes: kind.memory_gib * 1024.0 * MIB,
                cost_per_hour: kind.cost_per_hour,
                background: spec.background.mean * cores,
                phase: key.with(1).below(curve.days()) as i64 * 1440,
                curve,
                slowdowns: Slowdowns::of(kind.cores),
            }
        })
        .collect()
}

/// Places all replicas, and fills up the fuller nodes with background to their utilisation.
pub(super) fn placed(
    services: &[ServiceSetup],
    nodes: &mut [NodeSetup],
    spec: &ScenarioSpec,
    seed: u64,
) -> Vec<Placed> {
    let mut unplaced = Vec::new();
    for (service, setup) in services.iter().enumerate() {
        let work = setup.reference_rps * setup.demand_ms / 1000.0 / f64::from(setup.replicas);
        for replica in 0..setup.replicas {
            unplaced.push(Unplaced {
                service,
                replica,
                work,
                memory_bytes: setup.memory_bytes,
                stateful: setup.stateful,
            });
        }
    }
    // Fuller nodes start with half the usual background: what is missing in the end is added to it.
    let rooms: Vec<Room> = nodes
        .iter()
        .map(|node| Room { cores: node.cores * node.speed, memory_bytes: node.memory_bytes })
        .collect();
    let (node_of, hot) = place(&unplaced, &rooms, spec.background.mean / 2.0, &spec.placement, seed);
    for node in hot {
        let work: f64 = unplaced
            .iter()
            .zip(&node_of)
            .filter(|(_, at)| **at == node)
            .map(|(replica, _)| replica.work)
            .sum();
        let missing = spec.placement.hot_utilisation - work / rooms[node].cores;
        nodes[node].background = missing.clamp(0.02, 0.5) * nodes[node].cores;
    }
    unplaced
        .iter()
        .zip(node_of)
        .map(|(replica, node)| Placed { service: replica.service, replica: replica.replica, node })
        .collect()
}

/// Mean round trips between all pairs of nodes, the same in both directions.
pub(super) fn delays(nodes: &[NodeSetup], spec: &ScenarioSpec, seed: u64) -> Vec<f32> {
    let key = Key::new(seed, Draw::Network);
    let mut delays = vec![0.0; nodes.len() * nodes.len()];
    for a in 0..nodes.len() {
        for b in 0..nodes.len() {
            let pair = key.with(a.min(b) as u64).with(a.max(b) as u64).between(0.7, 1.3);
            delays[a * nodes.len() + b] = if a == b {
                spec.network.same_node_ms
            } else if nodes[a].zone == nodes[b].zone {
                spec.network.same_zone_ms * pair
            } else {
                spec.network.cross_zone_ms * pair
            } as f32;
        }
    }
    delays
}

/// The tables that CPU limits need.
pub(super) fn limited(services: &[ServiceSetup]) -> Vec<(u32, Arc<Slowdowns>)> {
    let mut cores: Vec<u32> =
        services.iter().filter_map(|service| service.limit_m).map(cores_of_limit).collect();
    cores.sort_unstable();
    cores.dedup();
    cores.into_iter().map(|cores| (cores, Slowdowns::of(cores))).collect()
}
