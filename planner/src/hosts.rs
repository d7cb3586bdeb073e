//! Plain hosts: machines without an orchestrator, told apart by a file, changed by commands, with Envoy in front.
//!
//! `hosts.yaml` names the machines, the workloads and the commands (argv, never a shell). Traffic is shared out by one
//! file of endpoints for each service, which an Envoy watches, or gets served where it cannot. The weights in that file
//! are how traffic is shared out at all times, also between moves: what a shift changed stays until something changes it
//! again, whatever becomes of the planner. Only a file that is gone is written anew, with even weights.
//!
//! *Where does a replica run?* Two sources, because neither is enough. `placements.json` says where the planner put
//! replicas, written before a start and after a stop, so that a restart in the middle of a move forgets nothing. The hosts
//! are asked too (`inventory`, or `ready` one by one), so that what somebody started or stopped by hand is seen: a replica
//! that answers counts wherever it is, and a recorded one that does not answer counts as not ready.
//!
//! *What if a host goes away?* What has to be stopped there is owed, on disk, and is stopped when the host is back; until
//! then it counts as running nowhere and nothing new is put there.
use crate::{
    clock::Clock,
    endpoints::EndpointFiles,
    hosts::{asked::Turns, command::Commands, config::Hosts, placements::Placements, traffic::Traffic},
    platform::PlatformError,
};
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
use std::{path::Path, sync::Arc};
use tokio::sync::Mutex;

mod asked;
mod command;
pub mod config;
mod inventory;
mod owed;
mod placements;
mod relocate;
mod staging;
mod status;
mod traffic;
mod usage;

#[cfg(test)]
mod tests;

pub use staging::HostTrials;

/// Plain hosts as a platform: implements [`crate::platform::Inventory`], [`crate::platform::Relocator`] and
/// [`crate::platform::TrafficShifter`].
#[derive(Clone, Debug)]
pub struct HostsPlatform {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hosts: Hosts,
    commands: Commands,
    placements: Placements,
    traffic: Traffic,
    clock: Clock,
    turns: Turns,
    /// Whether something may be changed, such as what is owed be stopped.
    acts: bool,
    /// Held while something that is owed is stopped: it must not be started meanwhile.
    paying: Mutex<()>,
    /// Held during a trial, whose copies nobody else may stop.
    trying: Mutex<()>,
}

impl HostsPlatform {
    /// Reads what an earlier run left in `state_dir` and brings the endpoint files up to date with the hosts file, their weights left alone.
    ///
    /// # Errors
    /// When a file there cannot be read, makes no sense, or cannot be written.
    pub async fn open(hosts: Hosts, state_dir: &Path, clock: Clock) -> Result<Self, PlatformError> {
        let platform = Self::read(hosts, state_dir, clock, true).await?;
        let shared = &platform.shared;
        shared.placements.save().await?;
        for (name, workload) in &shared.hosts.workloads {
            shared.traffic.bring_up_to_date(&workload.service, &shared.placements.of(name).await).await?;
        }
        Ok(platform)
    }

    /// The endpoint files, which can be served too.
    pub fn endpoints(&self) -> EndpointFiles {
        self.shared.traffic.files()
    }

    /// The same without writing anything, for whoever only wants a snapshot.
    ///
    /// # Errors
    /// When a file in `state_dir` cannot be read or makes no sense.
    pub async fn look(hosts: Hosts, state_dir: &Path, clock: Clock) -> Result<Self, PlatformError> {
        Self::read(hosts, state_dir, clock, false).await
    }

    async fn read(hosts: Hosts, state_dir: &Path, clock: Clock, acts: bool) -> Result<Self, PlatformError> {
        let placements = Placements::read(state_dir, &hosts).await?;
        let (traffic, commands) = (Traffic::new(&hosts), Commands::new(&hosts));
        let (turns, paying, trying) = (Turns::default(), Mutex::default(), Mutex::default());
        let shared = Shared { hosts, commands, placements, traffic, clock, turns, acts, paying, trying };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// A replica of a workload on a host has this name, for ever: there is at most one on each host.
pub(crate) fn replica_id(workload: &WorkloadId, host: &NodeId) -> ReplicaId {
    ReplicaId::new(format!("{workload}@{host}"))
}
