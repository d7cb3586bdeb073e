//! Whether a replica can run on a node: hard conditions first, then what the twin says.
//!
//! [`movable`] says whether a workload can be moved at all; [`Mover`] judges one replica of it against one node after
//! the other. Both look at a [`Layout`], so that moves are judged together.
mod admits;
mod movable;
mod neighbours;
mod requested;
mod spreading;
#[cfg(test)]
mod tests;

pub use admits::{admits, discouraged};
pub use movable::{Immovable, movable};

use super::layout::{Layout, NodeIndex, WorkloadIndex};
use crate::plan::RejectionReason;

/// One workload, ready to be judged against many nodes. It is made again when the layout changes.
#[derive(Clone, Debug)]
pub struct Mover<'l, 'a> {
    layout: &'l Layout<'a>,
    workload: WorkloadIndex,
    spreads: Vec<spreading::Spreading>,
}

impl<'l, 'a> Mover<'l, 'a> {
    /// Counts once what all nodes are judged by.
    pub fn new(layout: &'l Layout<'a>, workload: WorkloadIndex) -> Self {
        let (_, described) = layout.workload(workload);
        let counted = |spread: &_| spreading::Spreading::new(layout, workload, *spread);
        Self { layout, workload, spreads: described.scheduling.spread.iter().map(counted).collect() }
    }

    /// Whether one replica can go from a node to another, by everything but CPU in use and latency, which are the
    /// twin's to judge. Memory is judged as forecast for the next `within_ms` milliseconds.
    ///
    /// # Errors
    /// The first condition that does not hold. Nothing is allocated unless there is one.
    pub fn feasible(&self, from: NodeIndex, to: NodeIndex, within_ms: i64) -> Result<(), RejectionReason> {
        if from == to {
            return Err(RejectionReason::IsSource);
        }
        let (id, node) = self.layout.node(to);
        let (_, workload) = self.layout.workload(self.workload);
        admits(workload, id, node)?;
        neighbours::bearable(self.layout, self.workload, from, to)?;
        for spread in &self.spreads {
            spread.allows(self.layout, self.workload, from, to)?;
        }
        requested::room(self.layout, self.workload, to)?;
        requested::memory_ahead(self.layout, self.workload, to, within_ms)
    }
}
