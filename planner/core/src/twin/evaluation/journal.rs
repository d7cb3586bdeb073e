//! What was there before a change, so that looking at a move leaves no trace.
use super::{
    super::{
        lanes::Lanes,
        mesh::{NodeIx, ServiceIx},
    },
    Evaluation,
    layout::NodeState,
};

/// Old values, in the order in which they were replaced.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    nodes: Vec<(NodeIx, NodeState, Lanes, f32)>,
    edges: Vec<(usize, f32)>,
    services: Vec<(ServiceIx, Lanes, Lanes, f32)>,
}

impl Journal {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.edges.clear();
        self.services.clear();
    }

    pub(super) fn services(&self) -> impl Iterator<Item = ServiceIx> + '_ {
        self.services.iter().map(|(service, ..)| *service)
    }
}

impl Evaluation<'_> {
    pub(super) fn renew_node(&mut self, node: NodeIx) {
        self.journal.nodes.push((node, self.layout.states[node], self.used[node], self.penalty[node]));
        self.compute_node(node);
    }

    pub(super) fn renew_edge(&mut self, edge: usize) {
        let before = self.layout.edge_ms[edge];
        self.journal.edges.push((edge, before));
        self.layout.measure(self.mesh, edge);
        let call = &self.mesh.calls.edges[edge];
        let calls = self.mesh.services[call.caller as usize].requests * call.calls;
        self.network_cost += f64::from(calls) * f64::from(self.layout.edge_ms[edge] - before);
    }

    pub(super) fn renew_service(&mut self, service: ServiceIx) {
        let (mean, variance) = (self.layout.mean[service], self.layout.variance[service]);
        self.journal.services.push((service, mean, variance, self.risk[service]));
        self.compute_service(service);
    }

    /// Puts everything back but the costs and the place of the replica.
    pub(super) fn restore(&mut self) {
        while let Some((node, state, used, penalty)) = self.journal.nodes.pop() {
            self.layout.states[node] = state;
            self.used[node] = used;
            self.penalty[node] = penalty;
        }
        while let Some((edge, ms)) = self.journal.edges.pop() {
            self.layout.edge_ms[edge] = ms;
        }
        while let Some((service, mean, variance, risk)) = self.journal.services.pop() {
            self.layout.mean[service] = mean;
            self.layout.variance[service] = variance;
            self.risk[service] = risk;
        }
    }
}
