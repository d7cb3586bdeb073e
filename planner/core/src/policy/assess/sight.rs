//! What rules can look at, indexed once for all services of a pass.
use crate::{
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::Inputs,
    policy::{PredictedLatency, RelocationPolicy},
    topology::Workload,
    twin::{Evaluation, TwinBreach},
};
use std::collections::BTreeMap;

/// The inputs of a pass with what is asked of them again and again: which policies are about a service, and where it
/// runs.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    pub(crate) inputs: Inputs<'a>,
    /// In the order of their names.
    policies: Vec<&'a RelocationPolicy>,
    workloads: BTreeMap<&'a ServiceId, Vec<(&'a WorkloadId, &'a Workload)>>,
    /// The present layout as the twin sees it, where it is asked.
    twin: Option<&'a Evaluation<'a>>,
    /// What runs on each node of which CPU per request is known, and how many replicas.
    fitted: BTreeMap<&'a NodeId, BTreeMap<&'a WorkloadId, usize>>,
}

impl<'a> Sight<'a> {
    /// Indexes the inputs.
    pub fn new(inputs: &Inputs<'a>) -> Self {
        let mut policies: Vec<&RelocationPolicy> = inputs.policies.iter().collect();
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        let mut workloads: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, workload) in &inputs.snapshot.workloads {
            workloads.entry(&workload.service).or_default().push((id, workload));
        }
        let mut fitted: BTreeMap<_, BTreeMap<_, usize>> = BTreeMap::new();
        for id in inputs.learned.demand.keys() {
            let replicas = inputs.snapshot.workloads.get(id).map(|workload| workload.replicas.values());
            for replica in replicas.into_iter().flatten() {
                *fitted.entry(&replica.node).or_default().entry(id).or_default() += 1;
            }
        }
        Self { inputs: *inputs, policies, workloads, twin: None, fitted }
    }

    /// The same, with what the twin says of the present layout.
    #[must_use]
    pub const fn with_twin(mut self, twin: &'a Evaluation<'a>) -> Self {
        self.twin = Some(twin);
        self
    }

    /// What the twin says of a rule about latency where everything is now; `None` when it does not know.
    pub(super) fn foreseen(&self, service: &ServiceId, rule: &PredictedLatency) -> Option<TwinBreach> {
        let twin = self.twin?;
        let service = twin.mesh().service_ix(service)?;
        twin.breach_within(service, rule.quantile, rule.above_ms, rule.within_ms)
    }

    /// Policies that are about a service, in the order of their names.
    pub fn policies_of(&self, service: &ServiceId) -> impl Iterator<Item = &'a RelocationPolicy> {
        self.policies.iter().copied().filter(|policy| policy.selects(service))
    }

    /// Workloads that answer for a service, in the order of their names.
    pub fn workloads_of(&self, service: &ServiceId) -> &[(&'a WorkloadId, &'a Workload)] {
        self.workloads.get(service).map_or(&[], Vec::as_slice)
    }

    /// Workloads on a node of which CPU per request is known, each with its replicas there.
    pub(super) fn fitted_on(&self, node: &NodeId) -> impl Iterator<Item = (&'a WorkloadId, usize)> {
        self.fitted.get(node).into_iter().flatten().map(|(workload, replicas)| (*workload, *replicas))
    }

    /// Nodes that its replicas run on, each with the number of them.
    pub fn nodes_of(&self, service: &ServiceId) -> BTreeMap<&'a NodeId, usize> {
        let mut nodes = BTreeMap::new();
        for replica in self.workloads_of(service).iter().flat_map(|(_, workload)| workload.replicas.values())
        {
            *nodes.entry(&replica.node).or_default() += 1;
        }
        nodes
    }
}
