//! What rules can look at, indexed once for all services of a pass.
use crate::{
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::Inputs,
    policy::RelocationPolicy,
    topology::Workload,
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
        Self { inputs: *inputs, policies, workloads }
    }

    /// Policies that are about a service, in the order of their names.
    pub fn policies_of(&self, service: &ServiceId) -> impl Iterator<Item = &'a RelocationPolicy> {
        self.policies.iter().copied().filter(|policy| policy.selects(service))
    }

    /// Workloads that answer for a service, in the order of their names.
    pub fn workloads_of(&self, service: &ServiceId) -> &[(&'a WorkloadId, &'a Workload)] {
        self.workloads.get(service).map_or(&[], Vec::as_slice)
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
