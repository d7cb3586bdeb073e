//! Where replicas run at first.

use crate::random::{Draw, Key};
use crate::scenario::{Placement, PlacementKind, Replicas};

/// A replica to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unplaced {
    pub(super) service: usize,
    pub(super) replica: u32,
    /// Cores in use at reference load.
    pub(super) work: f64,
    pub(super) memory_bytes: f64,
    pub(super) stateful: bool,
}

/// A node to place replicas on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Cores at speed 1.
    pub(super) cores: f64,
    pub(super) memory_bytes: f64,
}

/// Share of a node's memory that is given away at first, so that a replica can still come.
const MEMORY_SHARE: f64 = 0.8;

/// Replicas of each service: none uses more than the stated share of a node, as far as the maximum allows.
pub(super) fn replicas(rules: &Replicas, manifest: u32, work: f64, node_cores: f64) -> u32 {
    let wanted = (work / (rules.node_share * node_cores)).ceil().clamp(1.0, 1e6) as u32;
    wanted.max(manifest).max(rules.min).min(rules.max)
}

/// The node of each replica.
///
/// Packed: the fuller nodes are filled first, in random order but movable services before stateful ones, to
/// just below their utilisation; everything else is spread. Spread: most work first, each to the node with
/// the least utilisation, replicas of one service on different nodes as long as there are enough. Memory is
/// respected as long as any node has enough.
pub(super) fn place(
    replicas: &[Unplaced],
    nodes: &[Room],
    background: f64,
    rules: &Placement,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    let key = Key::new(seed, Draw::Placement);
    let mut node_of = vec![usize::MAX; replicas.len()];
    let mut used: Vec<f64> = nodes.iter().map(|node| background * node.cores).collect();
    let mut memory: Vec<f64> = nodes.iter().map(|node| MEMORY_SHARE * node.memory_bytes).collect();
    let mut hot: Vec<usize> = (0..nodes.len()).collect();
    key.with(0).shuffle(&mut hot);
    hot.truncate(match rules.kind {
        PlacementKind::Spread => 0,
        PlacementKind::Packed => ((rules.hot_share * nodes.len() as f64).round() as usize).max(1),
    });
    let mut order: Vec<usize> = (0..replicas.len()).collect();
    key.with(1).shuffle(&mut order);
    order.sort_by_key(|at| replicas[*at].stateful);
    for (number, &node) in hot.iter().enumerate() {
        // A large movable piece first: what makes a node full is seldom only small change.
        let mut largest: Vec<usize> = (0..replicas.len())
            .filter(|at| node_of[*at] == usize::MAX && !replicas[*at].stateful && replicas[*at].work > 0.0)
            .collect();
        largest.sort_by(|a, b| replicas[*b].work.total_cmp(&replicas[*a].work));
        largest.truncate(largest.len().div_ceil(3));
        let lead = largest.get(key.with(2).with(number as u64).below(largest.len())).copied();
        let first: Vec<usize> = lead.into_iter().chain(order.iter().copied()).collect();
        for at in first {
            let replica = replicas[at];
            let twin = |other: usize| node_of[other] == node && replicas[other].service == replica.service;
            let fits = used[node] + replica.work <= rules.hot_utilisation * nodes[node].cores
                && replica.memory_bytes <= memory[node];
            if node_of[at] == usize::MAX && replica.work > 0.0 && fits && !(0..replicas.len()).any(twin) {
                node_of[at] = node;
                used[node] += replica.work;
                memory[node] -= replica.memory_bytes;
            }
        }
    }
    order.sort_by(|a, b| replicas[*b].work.total_cmp(&replicas[*a].work));
    for at in order {
        if node_of[at] != usize::MAX {
            continue;
        }
        let replica = replicas[at];
        let twins = |node: usize| {
            (0..replicas.len())
                .filter(|other| node_of[*other] == node && replicas[*other].service == replica.service)
                .count()
        };
        let after = |node: usize| (used[node] + replica.work) / nodes[node].cores;
        let short = |node: usize| replica.memory_bytes > memory[node];
        let best = (0..nodes.len())
            .filter(|node| !hot.contains(node))
            .min_by(|a, b| {
                let first = short(*a).cmp(&short(*b)).then(twins(*a).cmp(&twins(*b)));
                first.then(after(*a).total_cmp(&after(*b)))
            })
            .unwrap_or(0);
        node_of[at] = best;
        used[best] += replica.work;
        memory[best] -= replica.memory_bytes;
    }
    (node_of, hot)
}

#[cfg(test)]
mod tests {
    use super::{Placement, Room, Unplaced, place, replicas};
    use crate::scenario::{PlacementKind, Replicas};

    fn unplaced(memory_bytes: f64) -> Vec<Unplaced> {
        let of = |service: usize| {
            (0..2).map(move |replica| Unplaced {
                service,
                replica,
                work: 0.2 + 0.1 * (service % 5) as f64,
                memory_bytes,
                stateful: service.is_multiple_of(3),
            })
        };
        (0..10).flat_map(of).collect()
    }

    #[test]
    fn a_placement_respects_its_rules() {
        let rooms = vec![Room { cores: 4.0, memory_bytes: 100.0 }; 6];
        for (kind, memory, seed) in [
            (PlacementKind::Spread, 1.0, 1),
            (PlacementKind::Packed, 1.0, 2),
            (PlacementKind::Packed, 20.0, 3),
        ] {
            let rules = Placement { kind, hot_share: 0.3, hot_utilisation: 0.6 };
            let all = unplaced(memory);
            let (node_of, hot) = place(&all, &rooms, 0.05, &rules, seed);
            assert_eq!(hot.len(), if kind == PlacementKind::Packed { 2 } else { 0 });
            for node in 0..rooms.len() {
                let here: Vec<&Unplaced> =
                    all.iter().zip(&node_of).filter(|(_, at)| **at == node).map(|(it, _)| it).collect();
                assert!(here.len() as f64 * memory <= 80.0, "memory of node {node}: {here:?}");
                let mut services: Vec<usize> = here.iter().map(|replica| replica.service).collect();
                services.dedup();
                assert_eq!(services.len(), here.len(), "twins on node {node}: {here:?}");
                let level = 0.05 + here.iter().map(|replica| replica.work).sum::<f64>() / 4.0;
                assert!(level <= 0.6, "node {node} at {level}");
                // Memory lets only four replicas be on a node, full or not.
                assert!(!hot.contains(&node) || level > 0.5 || memory > 1.0, "fuller node {node} at {level}");
            }
        }
    }

    #[test]
    fn a_service_has_replicas_enough() {
        let rules = Replicas { min: 1, max: 4, node_share: 0.25 };
        for (manifest, work, count) in
            [(1, 0.0, 1), (1, 1.0, 1), (1, 1.1, 2), (3, 1.1, 3), (1, 99.0, 4), (9, 0.1, 4)]
        {
            assert_eq!(replicas(&rules, manifest, work, 4.0), count, "{manifest} {work}");
        }
    }
}
