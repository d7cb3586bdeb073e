//! What a change of the layout replaced, so that it can be taken back, and made again, without computing anything.
use super::{
    super::{
        lanes::Lanes,
        mesh::{NodeIx, ReplicaIx, ServiceIx},
    },
    Evaluation,
    layout::NodeState,
};
use std::collections::VecDeque;

/// Moves that can be taken back without computing anything, at most.
const KEPT: usize = 8;

/// A replica's way from one node to another.
pub(super) type Step = (ReplicaIx, NodeIx, NodeIx);

/// A change with the values of that side of it which the layout is not on. Each place is in it once.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    /// What changed; `None` when it was no whole move.
    pub(super) step: Option<Step>,
    nodes: Vec<(NodeIx, NodeState, Lanes, f32)>,
    edges: Vec<(usize, f32)>,
    services: Vec<(ServiceIx, Lanes, Lanes, [f32; 2])>,
    risk_cost: f64,
    network_cost: f64,
}

/// The last changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// The last move that was looked at or taken back: as the layout would be with it.
    pub(super) looked: Journal,
    /// Moves that were made, the newest last: as the layout was before.
    pub(super) made: VecDeque<Journal>,
    /// Whether the newest change is the one looked at.
    pub(super) looks: bool,
    /// Services that are computed anew, for the next change to use.
    pub(super) touched: Vec<u32>,
    /// Journals of nothing, for their room.
    spare: Vec<Journal>,
}

impl Steps {
    /// Takes note of a move that was made.
    pub(super) fn push(&mut self, journal: Journal) {
        self.made.push_back(journal);
        self.looks = false;
    }

    /// An empty journal, with the room of one that is no longer needed.
    pub(super) fn empty(&mut self) -> Journal {
        let old = if self.made.len() >= KEPT { self.made.pop_front() } else { self.spare.pop() };
        let mut journal = old.unwrap_or_default();
        journal.clear();
        journal
    }

    /// Takes the newest move back, if it is this one; its journal.
    pub(super) fn pop(&mut self, step: Step) -> Option<Journal> {
        let newest = self.made.back().is_some_and(|made| made.step == Some(step));
        if newest { self.made.pop_back() } else { None }
    }

    /// Takes note of a move that was taken back: it can be made again.
    pub(super) fn look(&mut self, journal: Journal) {
        let old = std::mem::replace(&mut self.looked, journal);
        self.spare.push(old);
        self.looks = true;
    }

    /// Services of the newest change.
    pub(super) fn services(&self) -> impl Iterator<Item = ServiceIx> + '_ {
        let newest = if self.looks { Some(&self.looked) } else { self.made.back() };
        newest.into_iter().flat_map(|journal| journal.services.iter().map(|(service, ..)| *service))
    }
}

impl Journal {
    /// Forgets what is in it.
    pub(super) fn clear(&mut self) {
        self.step = None;
        self.nodes.clear();
        self.edges.clear();
        self.services.clear();
    }
}

impl Evaluation<'_> {
    /// Notes the costs before a change.
    pub(super) fn note_costs(&self, journal: &mut Journal) {
        journal.clear();
        (journal.risk_cost, journal.network_cost) = (self.risk_cost, self.network_cost);
    }

    pub(super) fn note_node(&self, journal: &mut Journal, node: NodeIx) {
        journal.nodes.push((node, self.layout.states[node], self.used[node], self.penalty[node]));
    }

    /// Adds to the cost what a node's penalty has changed by since it was noted.
    pub(super) fn add_penalty(&mut self, journal: &Journal, node: NodeIx) {
        let before = journal.nodes.iter().find(|(noted, ..)| *noted == node).map_or(0.0, |noted| noted.3);
        self.risk_cost += f64::from(self.penalty[node]) - f64::from(before);
    }

    pub(super) fn renew_edge(&mut self, journal: &mut Journal, edge: usize) {
        let before = self.layout.edge_ms[edge];
        journal.edges.push((edge, before));
        self.layout.measure(self.mesh, edge);
        let call = &self.mesh.calls.edges[edge];
        let calls = self.mesh.services[call.caller as usize].requests * call.calls;
        self.network_cost += f64::from(calls) * f64::from(self.layout.edge_ms[edge] - before);
    }

    pub(super) fn renew_service(&mut self, journal: &mut Journal, service: ServiceIx) {
        let (mean, variance) = (self.layout.mean[service], self.layout.variance[service]);
        journal.services.push((service, mean, variance, [self.risk[service], self.expected[service]]));
        self.compute_service(service);
    }

    /// Goes to the other side of a change: takes it back, or makes it again.
    pub(super) fn exchange(&mut self, journal: &mut Journal) {
        for (node, state, used, penalty) in &mut journal.nodes {
            std::mem::swap(state, &mut self.layout.states[*node]);
            std::mem::swap(used, &mut self.used[*node]);
            std::mem::swap(penalty, &mut self.penalty[*node]);
        }
        for (edge, ms) in &mut journal.edges {
            std::mem::swap(ms, &mut self.layout.edge_ms[*edge]);
        }
        for (service, mean, variance, [risk, expected]) in &mut journal.services {
            std::mem::swap(mean, &mut self.layout.mean[*service]);
            std::mem::swap(variance, &mut self.layout.variance[*service]);
            std::mem::swap(risk, &mut self.risk[*service]);
            std::mem::swap(expected, &mut self.expected[*service]);
        }
        std::mem::swap(&mut journal.risk_cost, &mut self.risk_cost);
        std::mem::swap(&mut journal.network_cost, &mut self.network_cost);
    }
}
