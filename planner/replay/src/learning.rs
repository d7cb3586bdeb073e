//! What traffic teaches the planner in a replay: CPU per request, who calls whom, how far nodes are.
use crate::{
    inventory,
    memory::{Memory, Subject},
};
use foremesh_core::{
    history::Metric,
    ids::{ServiceId, WorkloadId},
    learned::{Demand, Learned, TwinRecord},
    twin::demand,
};
use foremesh_world::World;
use std::collections::BTreeMap;

/// Minutes between two fits.
const EVERY: usize = 60;

/// Newest minutes that demand is fitted to: a day, so that it is seen at many loads.
const WINDOW: usize = 1_440;

/// What was learned, and when.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    learned: Learned,
    at_minute: Option<usize>,
}

impl Learning {
    /// What is known now; learned anew when that was long ago.
    pub(crate) fn learned(&mut self, memory: &Memory, world: &World) -> &Learned {
        if self.at_minute.is_none_or(|at| memory.minutes() >= at + EVERY) {
            self.at_minute = Some(memory.minutes());
            self.learned = Learned {
                demand: demands(memory, world),
                graph: memory.call_graph(),
                proximity: memory.proximity(&inventory::zones(&world.inventory())),
                twin: TwinRecord::default(),
            };
        }
        &self.learned
    }
}

fn demands(memory: &Memory, world: &World) -> BTreeMap<WorkloadId, Demand> {
    let newest = |subject: Subject| {
        let values = memory.series(&subject)?.values();
        Some(values[values.len().saturating_sub(WINDOW)..].to_vec())
    };
    let fitted = |workload: foremesh_world::WorkloadEntry| {
        let id = WorkloadId::new(&*workload.name);
        let cpu = newest(Subject::WorkloadUse(id.clone()))?;
        let rps = newest(Subject::Service(ServiceId::new(&*workload.service), Metric::Throughput))?;
        Some((id, demand::fit(&cpu, &rps).ok()?))
    };
    world.inventory().workloads.into_iter().filter_map(fitted).collect()
}
