//! Starts and stops replicas with the hosts' own commands.
use super::{
    HostsPlatform, Shared,
    command::{Copied, Ended, Subject},
    config::{Host, HostedWorkload, Kind},
    placements::Owed,
    replica_id,
    status::{COULD_NOT_ASK, Status},
    usage::Usage,
};
use crate::{
    causes::chain,
    platform::{PlatformError, Relocator},
};
use async_trait::async_trait;
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// What ssh ends with when it could not connect.
const NOT_CONNECTED: i32 = 255;
/// How long a port of a host may take to accept a connection.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(1);

/// What a ready check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Yes,
    /// And how the check ended.
    No(String),
}

/// What became of a stop.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It is not there any more.
    Gone,
    /// The host cannot be asked, so nobody knows.
    Unasked(PlatformError),
}

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
        let subject = Subject { host_name: node, host, workload: Some((workload, hosted)), copy: None };
        Ok((host, hosted, subject))
    }

    /// Whether the replica, or a copy of it, answers. Exit code 0 is yes; every other is no, but those that say nothing
    /// about it.
    pub(super) async fn answered(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        copy: Option<Copied>,
    ) -> Result<Answered, PlatformError> {
        let ended = self.run(Kind::Ready, workload, node, copy).await?;
        match ended.status.code() {
            Some(0) => Ok(Answered::Yes),
            Some(code) if !COULD_NOT_ASK.contains(&code) => Ok(Answered::No(chain(&ended.into_error()))),
            _ => Err(ended.into_error()),
        }
    }

    /// How the replica is, by the host's `status`.
    pub(super) async fn status(&self, workload: &WorkloadId, node: &NodeId) -> Result<Status, PlatformError> {
        let ended = self.run(Kind::Status, workload, node, None).await?;
        match Status::read(&ended) {
            Some(status) => Ok(status),
            None if ended.status.success() => Err(ended.into_senseless(
                "JSON such as {\"state\": \"running\"}, what `systemctl show` or `is-active` writes, or nothing",
            )),
            None => Err(ended.into_error()),
        }
    }

    /// What the host uses, whichever of its commands says it.
    pub(super) async fn used(&self, name: &NodeId, host: &Host) -> Result<Option<Usage>, PlatformError> {
        match self.usage(name, host).await? {
            Some(usage) => Ok(Some(usage)),
            None => Ok(self.listed(name, host).await?.and_then(|inventory| inventory.usage)),
        }
    }

    /// Nobody accepts connections where requests for the replica go: whoever cannot be asked does not serve either.
    async fn is_silent(&self, workload: &WorkloadId, node: &NodeId) -> bool {
        let Ok((host, hosted, _)) = self.subject(workload, node) else { return false };
        let Some(port) = hosted.ports.get(node) else { return false };
        let connecting = TcpStream::connect(SocketAddr::new(host.address, *port));
        !matches!(timeout(ACCEPTED_WITHIN, connecting).await, Ok(Ok(_)))
    }

    /// Runs a command about a workload, or about a copy of it.
    async fn run(
        &self,
        kind: Kind,
        workload: &WorkloadId,
        node: &NodeId,
        copy: Option<Copied>,
    ) -> Result<Ended, PlatformError> {
        let (host, _, subject) = self.subject(workload, node)?;
        let argv = host.commands.argv(kind, copy.is_some()).unwrap_or_default();
        self.commands.run(kind, Subject { copy, ..subject }, argv).await
    }

    /// The same for a command that has to succeed.
    pub(super) async fn must(
        &self,
        kind: Kind,
        workload: &WorkloadId,
        node: &NodeId,
        copy: Option<Copied>,
    ) -> Result<(), PlatformError> {
        let ended = self.run(kind, workload, node, copy).await?;
        if ended.status.success() { Ok(()) } else { Err(ended.into_error()) }
    }

    /// Stops a replica, or a copy of it, and looks whether it is gone.
    pub(super) async fn stop(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        copy: Option<Copied>,
    ) -> Result<Stopped, PlatformError> {
        let (host, _, _) = self.subject(workload, node)?;
        let (error, is_unconnected) = match self.run(Kind::Stop, workload, node, copy).await {
            Ok(ended) if ended.status.success() => return self.gone(workload, node, copy).await,
            Ok(ended) => {
                let code = ended.status.code();
                (ended.into_error(), code == Some(NOT_CONNECTED))
            }
            Err(error) => {
                let is_late = matches!(error, PlatformError::Deadline { .. });
                (error, is_late)
            }
        };
        let is_unasked =
            if host.commands.asks_host() { self.used(node, host).await.is_err() } else { is_unconnected };
        if is_unasked { Ok(Stopped::Unasked(error)) } else { Err(error) }
    }

    async fn gone(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        copy: Option<Copied>,
    ) -> Result<Stopped, PlatformError> {
        if !matches!(self.answered(workload, node, copy).await, Ok(Answered::Yes)) {
            return Ok(Stopped::Gone);
        }
        let what = if copy.is_some() { "copy of workload" } else { "workload" };
        Err(PlatformError::Refused {
            object: format!("stop of {what} `{workload}` on host `{node}`"),
            problem: "the command ended well, but the replica still answers its ready check".to_owned(),
            remedy: "make `stop` wait until the replica is gone".to_owned(),
        })
    }

    /// Refuses to stop what gets traffic.
    pub(super) async fn has_no_traffic(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
    ) -> Result<(), PlatformError> {
        let (_, hosted, _) = self.subject(workload, node)?;
        let weights = self.traffic.weights(&hosted.service).await?;
        match weights.get(&replica_id(workload, node)).filter(|weight| **weight > 0) {
            None => Ok(()),
            Some(weight) => Err(PlatformError::Refused {
                object: format!("stop of workload `{workload}` on host `{node}`"),
                problem: format!("it still has traffic (weight {weight})"),
                remedy: "give its traffic to another replica first".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl Relocator for HostsPlatform {
    async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError> {
        let (host, _, _) = self.shared.subject(workload, node)?;
        match host.commands.argv(Kind::Prepare, false) {
            Some(_) => self.shared.must(Kind::Prepare, workload, node, None).await,
            None => Ok(()),
        }
    }

    async fn place(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        // What is refused is not recorded.
        self.shared.subject(workload, node)?;
        {
            // Who is stopping it there ends first.
            let _alone = self.shared.paying.lock().await;
            self.shared.placements.add(workload, node).await?;
        }
        // An answering replica is not started again, so that `start` need not be idempotent where it matters most:
        // when the planner died right after it.
        if !matches!(self.shared.answered(workload, node, None).await, Ok(Answered::Yes)) {
            self.shared.must(Kind::Start, workload, node, None).await?;
        }
        Ok(replica_id(workload, node))
    }

    /// A host that cannot be asked is neither ready nor not, as long as somebody accepts connections at the replica's
    /// port: then only the planner's way there may be broken. When nobody does, requests fail there too.
    async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        _: &ReplicaId,
    ) -> Result<bool, PlatformError> {
        match self.shared.answered(workload, node, None).await {
            Ok(answered) => Ok(answered == Answered::Yes),
            Err(error) if self.shared.is_silent(workload, node).await => {
                let why = chain(&error);
                tracing::warn!(%workload, host = %node, why, "host could not be asked, and nobody listens at the replica's port");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// A stop that a host cannot be told is owed: it is made as soon as the host can be asked again, and until then the
    /// workload does not count as running there.
    async fn retire(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<(), PlatformError> {
        self.shared.has_no_traffic(workload, node).await?;
        match self.shared.stop(workload, node, None).await? {
            Stopped::Gone => self.shared.placements.remove(workload, node).await,
            Stopped::Unasked(error) => {
                let why = chain(&error);
                tracing::warn!(%workload, host = %node, why, "host could not be asked; what runs there is stopped when it can be");
                let stop = Owed { workload: workload.clone(), host: node.clone(), copy: false };
                self.shared.placements.owe(&[stop]).await
            }
        }
    }
}
