//! Trials of moves on plain hosts: a copy of the workload beside production on both hosts, at a port of its own.
//!
//! A copy is started, asked and stopped by the hosts' own commands, told from the workload by `{instance}` and `{port}`, or
//! by commands of their own. That a copy is to be stopped is on disk before it is started, so no crash leaves one behind:
//! whoever starts next stops it.
use super::{
    HostsPlatform,
    command::Copied,
    config::{Kind, Staging},
    placements::Owed,
    relocate::Answered,
};
use crate::{
    platform::{PlatformError, StagingMesh},
    rollout::RolloutSettings,
    trial::{Ends, sent},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, RolloutId, WorkloadId},
    trial::{TrialLimits, TrialOrder, TrialSamples},
};
use std::{net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep};

/// How much longer than a trial its copies may live, in seconds, when no planner comes back.
const GRACE_S: u64 = 120;
/// Time between two ready checks of a copy.
const ASKED_EVERY: Duration = Duration::from_millis(200);
/// Share of a host's memory that may be in use with a copy on it. A host that runs out of memory kills, it does not slow
/// down.
const MEMORY_SHARE: f64 = 0.9;

/// Trials on the hosts of a platform.
#[derive(Clone, Debug)]
pub struct HostTrials {
    platform: HostsPlatform,
    staging: Staging,
    limits: TrialLimits,
}

impl HostsPlatform {
    /// Where moves are tried, as strictly as the gates of rollouts judge; none when the hosts file does not say how.
    pub fn staging(&self, rollout: &RolloutSettings) -> Option<HostTrials> {
        let staging = self.shared.hosts.staging.clone()?;
        let limits = rollout.judging(&staging.load.limits());
        Some(HostTrials { platform: self.clone(), staging, limits })
    }
}

impl HostTrials {
    fn refused(workload: &WorkloadId, node: &NodeId, problem: String, remedy: &str) -> PlatformError {
        let object = format!("trial of `{workload}` on host `{node}`");
        PlatformError::Refused { object, problem, remedy: remedy.to_owned() }
    }

    /// Looks once more, just before a copy is started, whether the host has room for it now.
    async fn has_room(&self, order: &TrialOrder, node: &NodeId) -> Result<(), PlatformError> {
        let shared = &self.platform.shared;
        let (host, hosted, _) = shared.subject(&order.workload, node)?;
        let Some(usage) = shared.used(node, host).await? else { return Ok(()) };
        let refused = |problem, remedy: &str| Err(Self::refused(&order.workload, node, problem, remedy));
        let bound = host.capacity.get() * self.limits.max_cpu_share;
        if usage.cpu() >= bound {
            let problem =
                format!("{:.0} millicores are in use, and a trial may fill it to {bound:.0}", usage.cpu());
            return refused(problem, "wait until it is less busy, or raise `staging.load.maxCpuShare`");
        }
        let used = usage.of(&order.workload).and_then(super::usage::Share::memory);
        let needed = hosted.requests.memory_bytes.or(used);
        let known = host.memory_bytes.zip(usage.memory()).zip(needed);
        match known.filter(|((all, used), needed)| used + needed > all * MEMORY_SHARE) {
            None => Ok(()),
            Some(((all, used), needed)) => {
                let problem = format!(
                    "{used:.0} of {all:.0} bytes of memory are in use, and a copy needs {needed:.0} more"
                );
                refused(problem, "free memory there, or waive the trial")
            }
        }
    }

    /// What answers already at the port of copies is none, and would be tried in place of one.
    async fn is_free(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError> {
        let copy = self.platform.shared.copied(node, 0);
        if self.platform.shared.answered(workload, node, Some(copy)).await? == Answered::Yes {
            let problem = format!("something answers already at port {}, where the copy would be", copy.port);
            return Err(Self::refused(workload, node, problem, "stop it, or change `staging.ports`"));
        }
        Ok(())
    }

    async fn start(&self, order: &TrialOrder, node: &NodeId, copy: Copied) -> Result<(), PlatformError> {
        let shared = &self.platform.shared;
        shared.must(Kind::Start, &order.workload, node, Some(copy)).await?;
        let deadline = Instant::now() + Duration::from_millis(order.start_within_ms.unsigned_abs());
        loop {
            let why = match shared.answered(&order.workload, node, Some(copy)).await? {
                Answered::Yes => return Ok(()),
                Answered::No(why) => why,
            };
            if Instant::now() >= deadline {
                let problem =
                    format!("its copy was not ready within {} s: {why}", order.start_within_ms / 1000);
                let remedy = "start a copy by hand to see why, or raise `staging.load.startWithin`";
                return Err(Self::refused(&order.workload, node, problem, remedy));
            }
            sleep(ASKED_EVERY).await;
        }
    }

    fn address(&self, node: &NodeId) -> Option<SocketAddr> {
        let host = self.platform.shared.hosts.host(node)?;
        Some(SocketAddr::new(host.address, *self.staging.ports.get(node)?))
    }
}

#[async_trait]
impl StagingMesh for HostTrials {
    fn limits(&self) -> TrialLimits {
        self.limits.clone()
    }

    async fn try_move(&self, _: &RolloutId, order: &TrialOrder) -> Result<TrialSamples, PlatformError> {
        let shared = &self.platform.shared;
        let _alone = shared.trying.lock().await;
        shared.clear_copies().await?;
        let (source, target) = (&order.source, &order.target);
        let unknown = |node: &NodeId| {
            let problem = "the hosts file has no port for copies there".to_owned();
            Self::refused(&order.workload, node, problem, "add it to `staging.ports` and restart the planner")
        };
        let ends = Ends {
            source: self.address(source).ok_or_else(|| unknown(source))?,
            target: self.address(target).ok_or_else(|| unknown(target))?,
            host: order.service.to_string(),
        };
        for node in [source, target] {
            self.has_room(order, node).await?;
            self.is_free(&order.workload, node).await?;
        }
        let stop = |node: &NodeId| Owed { workload: order.workload.clone(), host: node.clone(), copy: true };
        shared.placements.owe(&[stop(source), stop(target)]).await?;
        let lives_s = order.limit_ms().unsigned_abs() / 1000 + GRACE_S;
        tokio::try_join!(
            self.start(order, source, shared.copied(source, lives_s)),
            self.start(order, target, shared.copied(target, lives_s))
        )?;
        let note = "measured by the planner, whose requests went straight to the copies' ports";
        sent(&ends, order, note).await
    }

    async fn clear(&self, _: &RolloutId) -> Result<(), PlatformError> {
        self.platform.shared.clear_copies().await
    }

    async fn sweep(&self) -> Result<(), PlatformError> {
        self.platform.shared.clear_copies().await
    }
}
