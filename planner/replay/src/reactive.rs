//! What load-aware deschedulers do: a node whose use was above a threshold in five samples gives its largest replica
//! to the emptiest node, if that stays below the threshold with it.
//!
//! Thresholds and samples follow the defaults that such systems document: high 70 % of CPU, target below 50 %, five
//! abnormal samples in a row, and five minutes of rest for each workload.
use crate::{
    foremesh::ReplayError,
    inventory,
    run::{Order, Strategy},
};
use foremesh_world::{Minute, World};
use std::collections::BTreeMap;

const HIGH: f64 = 0.7;
const LOW: f64 = 0.5;
const SAMPLES: usize = 5;
const REST_MINUTES: i64 = 5;

/// The strategy and what it remembers.
#[derive(Clone, Debug, Default)]
pub struct Reactive {
    /// Samples in a row above the threshold, by node.
    above: BTreeMap<String, usize>,
    /// When each workload was moved last, in milliseconds since 1970.
    moved_ms: BTreeMap<String, i64>,
}

impl Reactive {
    /// Takes in one minute.
    pub(crate) fn observe(&mut self, world: &World, minute: &Minute) {
        for node in inventory::nodes_now(world, minute) {
            let above = self.above.entry(node.name).or_default();
            *above = if node.used_share.is_some_and(|used| used > HIGH) { *above + 1 } else { 0 };
        }
    }
}

impl Strategy for Reactive {
    fn decide(&mut self, world: &World, minute: &Minute) -> Result<Vec<Order>, ReplayError> {
        self.observe(world, minute);
        let now_ms = world.now_ms();
        let mut nodes = inventory::nodes_now(world, minute);
        let replicas = inventory::replicas_now(world, minute);
        nodes.sort_by(|a, b| b.used_share.unwrap_or(0.0).total_cmp(&a.used_share.unwrap_or(0.0)));
        let hot: Vec<String> = nodes
            .iter()
            .filter(|node| self.above.get(&node.name).is_some_and(|above| *above >= SAMPLES))
            .map(|node| node.name.clone())
            .collect();
        let mut orders = Vec::new();
        for name in hot {
            let movable = replicas.iter().filter(|replica| {
                let rests = self.moved_ms.get(&replica.workload);
                replica.node == name
                    && replica.movable
                    && rests.is_none_or(|moved| now_ms - moved >= REST_MINUTES * 60_000)
            });
            let Some(largest) = movable.max_by(|a, b| a.used_millicores.total_cmp(&b.used_millicores)) else {
                continue;
            };
            let coolest = nodes
                .iter_mut()
                .filter(|node| node.name != name && node.used_share.is_some_and(|used| used < LOW))
                .min_by(|a, b| a.used_share.unwrap_or(1.0).total_cmp(&b.used_share.unwrap_or(1.0)));
            let Some(target) = coolest else { continue };
            let with =
                target.used_share.unwrap_or(1.0) + largest.used_millicores / target.capacity_millicores;
            if with > HIGH {
                continue;
            }
            target.used_share = Some(with);
            self.moved_ms.insert(largest.workload.clone(), now_ms);
            self.above.insert(name.clone(), 0);
            orders.push(Order {
                workload: largest.workload.clone(),
                replica: largest.number,
                to: target.name.clone(),
                service: largest.workload.clone(),
                why: format!("node {name} was above {:.0} % for {SAMPLES} minutes", HIGH * 100.0),
                ramp_percent: vec![10, 25, 50, 100],
            });
        }
        Ok(orders)
    }
}
