//! Asks every host at once what runs on it and how much it uses.
use super::{
    HostsPlatform, Shared,
    command::{Kind, Subject},
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
use futures::future::join_all;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The line that `usage` writes; more fields may be there and are not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
struct Usage {
    cpu_used_millicores: f64,
    #[serde(default)]
    workloads: BTreeMap<String, f64>,
}

/// What one host said.
#[derive(Debug)]
struct Answer {
    usage: Option<Usage>,
    /// For each workload that may be here, whether it answers; missing when it could not be asked.
    ready: BTreeMap<WorkloadId, bool>,
    /// Why the host could not be asked.
    unreachable: Option<String>,
}

#[async_trait]
impl Inventory for HostsPlatform {
    async fn snapshot(&self) -> Result<Snapshot, PlatformError> {
        let shared = &*self.shared;
        let asked =
            shared.hosts.hosts.iter().map(|(name, host)| async move { (name, shared.ask(name, host).await) });
        let answers: BTreeMap<&NodeId, Answer> = join_all(asked).await.into_iter().collect();
        let nodes =
            shared.hosts.hosts.iter().map(|(name, host)| (name.clone(), node(host, answers.get(name))));
        let nodes = nodes.collect();
        let (mut workloads, mut all_weights_known) = (BTreeMap::new(), true);
        for (name, hosted) in &shared.hosts.workloads {
            let mut workload = shared.workload(name, hosted, &answers).await;
            all_weights_known &= shared.weigh(&mut workload).await;
            workloads.insert(name.clone(), workload);
        }
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
    /// Usage and every ready check of one host, side by side.
    async fn ask(&self, name: &NodeId, host: &Host) -> Answer {
        let mine: Vec<&WorkloadId> = self
            .hosts
            .workloads
            .iter()
            .filter_map(|(workload, hosted)| hosted.allowed.contains(name).then_some(workload))
            .collect();
        let checks = join_all(mine.iter().map(|workload| self.ready(workload, name)));
        let (usage, checks) = tokio::join!(self.usage(name, host), checks);
        let mut answer = Answer { usage: None, ready: BTreeMap::new(), unreachable: None };
        match usage {
            Ok(usage) => answer.usage = usage,
            Err(error) => answer.unreachable = Some(chain(&error)),
        }
        for (workload, check) in mine.into_iter().zip(checks) {
            match check {
                Ok(ready) => {
                    answer.ready.insert(workload.clone(), ready);
                }
                Err(error) => {
                    answer.unreachable.get_or_insert_with(|| chain(&error));
                }
            }
        }
        if let Some(reason) = &answer.unreachable {
            tracing::warn!(host = %name, reason, "host could not be asked");
        }
        answer
    }

    async fn usage(&self, name: &NodeId, host: &Host) -> Result<Option<Usage>, PlatformError> {
        let Some(argv) = &host.commands.usage else { return Ok(None) };
        let subject = Subject { host_name: name, host, workload: None };
        let ended = self.commands.run(Kind::Usage, subject, argv).await?;
        if !ended.status.success() {
            return Err(ended.into_error());
        }
        let sensible = |usage: &Usage| {
            let mut all = usage.workloads.values().chain([&usage.cpu_used_millicores]);
            all.all(|value| value.is_finite() && *value >= 0.0)
        };
        match serde_json::from_slice::<Usage>(&ended.stdout).ok().filter(sensible) {
            Some(usage) => Ok(Some(usage)),
            None => Err(PlatformError::Output {
                object: ended.object,
                command: ended.command,
                output: String::from_utf8_lossy(&ended.stdout).trim().chars().take(200).collect(),
                expected: "one line of JSON such as {\"cpu_used_millicores\": 850, \"workloads\": {\"cart\": 400}}",
            }),
        }
    }

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
                tracing::warn!(%service, why, "weights are not known, so no traffic will be shifted");
                false
            }
        }
    }

    async fn workload(
        &self,
        name: &WorkloadId,
        hosted: &HostedWorkload,
        answers: &BTreeMap<&NodeId, Answer>,
    ) -> Workload {
        let recorded = self.placements.of(name).await;
        let mut replicas = BTreeMap::new();
        let mut used = Some(0.0);
        for host in &hosted.allowed {
            let answer = answers.get(host);
            let ready = answer.and_then(|a| a.ready.get(name)).copied().unwrap_or(false);
            if !ready && !recorded.contains(host) {
                continue;
            }
            if ready && !recorded.contains(host) {
                tracing::warn!(workload = %name, %host, "replica runs where the planner did not put it");
            }
            let here = answer.and_then(|a| a.usage.as_ref()).and_then(|u| u.workloads.get(name.as_str()));
            used = used.zip(here).map(|(sum, here)| sum + here);
            replicas.insert(replica_id(name, host), Replica::new(host.clone(), ready));
        }
        Workload {
            tier: hosted.tier,
            allowed_nodes: hosted.allowed.clone(),
            replicas,
            used: used.and_then(|used| Millicores::new(used).ok()),
            pinned: hosted.pinned.clone(),
            ..Workload::new(hosted.service.clone())
        }
    }
}

fn node(host: &Host, answer: Option<&Answer>) -> Node {
    let used =
        answer.and_then(|a| a.usage.as_ref()).and_then(|u| Millicores::new(u.cpu_used_millicores).ok());
    let state = match answer.map(|a| a.unreachable.as_ref()) {
        Some(None) if host.cordoned => NodeState::Cordoned,
        Some(None) => NodeState::Ready,
        Some(Some(reason)) => NodeState::Unreachable(reason.clone()),
        None => NodeState::Unreachable("it was not asked".to_owned()),
    };
    let (zone, cost_per_hour) = (host.zone.clone(), host.cost_per_hour);
    Node { used, zone, cost_per_hour, state, ..Node::new(host.capacity) }
}
