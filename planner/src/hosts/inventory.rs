//! What the hosts said, as a snapshot.
use super::{
    HostsPlatform, Shared,
    asked::Answer,
    config::{Host, HostedWorkload},
    replica_id,
};
use crate::{
    causes::chain,
    endpoints::located,
    platform::{Inventory, PlatformError},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, WorkloadId},
    topology::{Capabilities, Node, NodeState, Replica, Snapshot, Workload},
    units::Millicores,
};
use foremesh_summary::WindowSummary;
use std::collections::{BTreeMap, BTreeSet};

#[async_trait]
impl Inventory for HostsPlatform {
    async fn snapshot(&self) -> Result<Snapshot, PlatformError> {
        let shared = &*self.shared;
        let (recorded, owed) = (shared.placements.all().await, shared.placements.owed_pairs().await);
        let answers = self.ask_all(&recorded).await;
        let nodes =
            shared.hosts.hosts.iter().map(|(name, host)| (name.clone(), node(host, answers.get(name))));
        let nodes = nodes.collect();
        let (mut workloads, mut all_weights_known) = (BTreeMap::new(), true);
        for (name, hosted) in &shared.hosts.workloads {
            let here = recorded.get(name);
            let mut workload = shared.workload(name, hosted, here, &owed, &answers);
            all_weights_known &= shared.weigh(&mut workload).await;
            workloads.insert(name.clone(), workload);
        }
        self.pay_in_time(&answers);
        let capabilities = Capabilities { weights: all_weights_known };
        Ok(Snapshot { nodes, workloads, capabilities, ..Snapshot::empty(shared.clock.now()) })
    }

    async fn name(&self, summary: &mut WindowSummary) -> Result<bool, PlatformError> {
        Ok(located(summary))
    }

    fn addresses(&self) -> BTreeMap<String, NodeId> {
        let hosts = &self.shared.hosts.hosts;
        let alone = |of: &Host| hosts.values().filter(|host| host.address == of.address).count() == 1;
        let named = hosts.iter().filter(|(_, host)| alone(host));
        named.map(|(name, host)| (host.address.to_string(), name.clone())).collect()
    }
}

impl Shared {
    /// Gives each replica the weight that the endpoint file has in force, which is 0 for one that is not in the file, as
    /// one that was just started for a move. Whether that could be read: nobody may shift traffic without knowing where
    /// it is, so one unknown file is enough not to offer it.
    async fn weigh(&self, workload: &mut Workload) -> bool {
        match self.traffic.weights(&workload.service).await {
            Ok(weights) => {
                for (id, replica) in &mut workload.replicas {
                    replica.weight = weights.get(id).copied().unwrap_or(0);
                }
                true
            }
            Err(error) => {
                let (service, why) = (&workload.service, chain(&error));
                // Before the first start there are none, and whoever only looks writes none.
                if self.acts {
                    tracing::warn!(%service, why, "weights are not known, so no traffic will be shifted");
                }
                false
            }
        }
    }

    fn workload(
        &self,
        name: &WorkloadId,
        hosted: &HostedWorkload,
        recorded: Option<&BTreeSet<NodeId>>,
        owed: &BTreeSet<(WorkloadId, NodeId)>,
        answers: &BTreeMap<NodeId, Answer>,
    ) -> Workload {
        let mut replicas = BTreeMap::new();
        let (mut used, mut memory) = (Some(0.0), Some(0.0));
        let mut allowed_nodes = self.allowed(hosted);
        for host in &hosted.allowed {
            let answer = answers.get(host);
            let seen = answer.and_then(|answer| answer.replicas.get(name));
            let is_ready = seen.is_some_and(|seen| seen.ready);
            let is_recorded = recorded.is_some_and(|hosts| hosts.contains(host));
            if !is_recorded && owed.contains(&(name.clone(), host.clone())) {
                // It is to be stopped; until then nothing is to come there.
                if allowed_nodes.is_empty() {
                    allowed_nodes.clone_from(&hosted.allowed);
                }
                allowed_nodes.remove(host);
                continue;
            }
            if !is_ready && !is_recorded {
                continue;
            }
            if is_ready && !is_recorded {
                tracing::warn!(workload = %name, %host, "replica runs where the planner did not put it");
            }
            let here = answer.and_then(|answer| answer.usage.as_ref()).and_then(|usage| usage.of(name));
            used = used.zip(here).map(|(sum, here)| sum + here.cpu());
            memory = memory.zip(here.and_then(super::usage::Share::memory)).map(|(sum, here)| sum + here);
            let because = seen.and_then(|seen| seen.because.clone());
            let because = because.or_else(|| answer?.unreachable.clone()).filter(|_| !is_ready);
            let replica = Replica { because, ..Replica::new(host.clone(), is_ready) };
            replicas.insert(replica_id(name, host), replica);
        }
        Workload {
            tier: hosted.tier,
            allowed_nodes,
            memory_used_bytes: memory.filter(|_| !replicas.is_empty()),
            replicas,
            used: used.and_then(|used| Millicores::new(used).ok()),
            requests: hosted.requests,
            pinned: hosted.pinned.clone(),
            ..Workload::new(hosted.service.clone())
        }
    }

    /// Hosts that it may run on; none named means all, which is what most files say of most workloads.
    fn allowed(&self, hosted: &HostedWorkload) -> BTreeSet<NodeId> {
        if hosted.allowed.len() == self.hosts.hosts.len() { BTreeSet::new() } else { hosted.allowed.clone() }
    }
}

fn node(host: &Host, answer: Option<&Answer>) -> Node {
    let usage = answer.and_then(|answer| answer.usage.as_ref());
    let state = match answer.map(|answer| answer.unreachable.as_ref()) {
        Some(None) if host.cordoned => NodeState::Cordoned,
        Some(None) => NodeState::Ready,
        Some(Some(reason)) => NodeState::Unreachable(reason.clone()),
        None => NodeState::Unreachable("it was not asked".to_owned()),
    };
    Node {
        used: usage.and_then(|usage| Millicores::new(usage.cpu()).ok()),
        zone: host.zone.clone(),
        cost_per_hour: host.cost_per_hour,
        state,
        memory_bytes: host.memory_bytes,
        memory_used_bytes: usage.and_then(super::usage::Usage::memory),
        labels: host.labels.clone(),
        ..Node::new(host.capacity)
    }
}
