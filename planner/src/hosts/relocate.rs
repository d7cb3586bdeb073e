//! Starts and stops replicas with the hosts' own commands.
use super::{
    HostsPlatform, Shared,
    command::{Kind, Subject},
    config::{Host, HostedWorkload},
    replica_id,
};
use crate::platform::{PlatformError, Relocator, TrafficShifter};
use async_trait::async_trait;
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};

/// Exit codes of `ready` that say nothing about the replica: not executable, not found, and what ssh ends with when it
/// could not connect.
const COULD_NOT_ASK: [i32; 3] = [126, 127, 255];

impl Shared {
    pub(super) fn subject<'a>(
        &'a self,
        workload: &'a WorkloadId,
        node: &'a NodeId,
    ) -> Result<(&'a Host, &'a HostedWorkload, Subject<'a>), PlatformError> {
        let refused = |problem: String| PlatformError::Refused {
            object: format!("workload `{workload}` on host `{node}`"),
            problem,
            remedy: "correct the hosts file and restart the planner".to_owned(),
        };
        let host =
            self.hosts.host(node).ok_or_else(|| refused("the hosts file has no such host".to_owned()))?;
        let hosted = self.hosts.workloads.get(workload);
        let hosted = hosted.ok_or_else(|| refused("the hosts file has no such workload".to_owned()))?;
        if !hosted.allowed.contains(node) {
            return Err(refused("the host is not in its allowedHosts".to_owned()));
        }
        Ok((host, hosted, Subject { host_name: node, host, workload: Some((workload, hosted)) }))
    }

    /// Whether the replica answers. Exit code 0 is yes; every other is no, but those that say nothing about it.
    pub(super) async fn ready(&self, workload: &WorkloadId, node: &NodeId) -> Result<bool, PlatformError> {
        let (host, _, subject) = self.subject(workload, node)?;
        let ended = self.commands.run(Kind::Ready, subject, &host.commands.ready).await?;
        match ended.status.code() {
            Some(0) => Ok(true),
            Some(code) if !COULD_NOT_ASK.contains(&code) => Ok(false),
            _ => Err(ended.into_error()),
        }
    }

    async fn must(&self, kind: Kind, subject: Subject<'_>, argv: &[String]) -> Result<(), PlatformError> {
        let ended = self.commands.run(kind, subject, argv).await?;
        if ended.status.success() { Ok(()) } else { Err(ended.into_error()) }
    }
}

#[async_trait]
impl Relocator for HostsPlatform {
    async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError> {
        let (host, _, subject) = self.shared.subject(workload, node)?;
        match &host.commands.prepare {
            Some(argv) => self.shared.must(Kind::Prepare, subject, argv).await,
            None => Ok(()),
        }
    }

    async fn place(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        let (host, _, subject) = self.shared.subject(workload, node)?;
        self.shared.placements.add(workload, node).await?;
        // An answering replica is not started again, so that `start` need not be idempotent where it matters most:
        // when the planner died right after it.
        if !self.shared.ready(workload, node).await.unwrap_or(false) {
            self.shared.must(Kind::Start, subject, &host.commands.start).await?;
        }
        Ok(replica_id(workload, node))
    }

    async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        _: &ReplicaId,
    ) -> Result<bool, PlatformError> {
        self.shared.ready(workload, node).await
    }

    async fn retire(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<(), PlatformError> {
        let (host, hosted, subject) = self.shared.subject(workload, node)?;
        let refused = |problem: String, remedy: &str| PlatformError::Refused {
            object: format!("stop of workload `{workload}` on host `{node}`"),
            problem,
            remedy: remedy.to_owned(),
        };
        let replica = replica_id(workload, node);
        if let Some(weight) = self.weights(&hosted.service).await?.get(&replica).filter(|weight| **weight > 0)
        {
            let problem = format!("it still has traffic (weight {weight})");
            return Err(refused(problem, "give its traffic to another replica first"));
        }
        self.shared.must(Kind::Stop, subject, &host.commands.stop).await?;
        if self.shared.ready(workload, node).await.unwrap_or(false) {
            let problem = "the command ended well, but the replica still answers its ready check".to_owned();
            return Err(refused(problem, "make `stop` wait until the replica is gone"));
        }
        self.shared.placements.remove(workload, node).await
    }
}
