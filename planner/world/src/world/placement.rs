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
    pub(super) stateful: bool,
}

/// Replicas of each service: none uses more than the stated share of a node, as far as the maximum allows.
pub(super) fn replicas(rules: &Replicas, manifest: u32, work: f64, node_cores: f64) -> u32 {
    let wanted = (work / (rules.node_share * node_cores)).ceil().clamp(1.0, 1e6) as u32;
    wanted.max(manifest).max(rules.min).min(rules.max)
}

/// The node of each replica.
///
/// Packed: the fuller nodes are filled first, in random order but movable services before stateful ones, to
/// just below their utilisation; everything else is spread. Spread: most work first, each to the node with
/// the least utilisation, replicas of one service on different nodes as long as there are enough.
pub(super) fn place(
    replicas: &[Unplaced],
    capacity: &[f64],
    background: f64,
    rules: &Placement,
    seed: u64,
) -> (Vec<usize>, Vec<usize>) {
    let key = Key::new(seed, Draw::Placement);
    let mut node_of = vec![usize::MAX; replicas.len()];
    let mut used: Vec<f64> = capacity.iter().map(|cores| background * cores).collect();
    let mut hot: Vec<usize> = (0..capacity.len()).collect();
    key.with(0).shuffle(&mut hot);
    hot.truncate(match rules.kind {
        PlacementKind::Spread => 0,
        PlacementKind::Packed => ((rules.hot_share * capacity.len() as f64).round() as usize).max(1),
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
            let fits = used[node] + replica.work <= rules.hot_utilisation * capacity[node];
            if node_of[at] == usize::MAX && replica.work > 0.0 && fits && !(0..replicas.len()).any(twin) {
                node_of[at] = node;
                used[node] += replica.work;
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
        let after = |node: usize| (used[node] + replica.work) / capacity[node];
        let best = (0..capacity.len())
            .filter(|node| !hot.contains(node))
            .min_by(|a, b| twins(*a).cmp(&twins(*b)).then(after(*a).total_cmp(&after(*b))))
            .unwrap_or(0);
        node_of[at] = best;
        used[best] += replica.work;
    }
    (node_of, hot)
}
