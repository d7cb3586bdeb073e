//! What traffic teaches the planner in a replay: CPU per request, who calls whom, how far nodes are.
use crate::memory::Memory;
use foremesh_core::learned::{Learned, TwinRecord};
use std::collections::BTreeMap;

/// Minutes between two fits.
const EVERY: usize = 60;

/// What was learned, and when.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    learned: Learned,
    at_minute: Option<usize>,
}

impl Learning {
    /// What is known now; learned anew when that was long ago.
    pub(crate) fn learned(&mut self, memory: &Memory) -> &Learned {
        if self.at_minute.is_none_or(|at| memory.minutes() >= at + EVERY) {
            self.at_minute = Some(memory.minutes());
            let (graph, proximity) = memory.network();
            self.learned = Learned { demand: BTreeMap::new(), graph, proximity, twin: TwinRecord::default() };
        }
        &self.learned
    }
}
