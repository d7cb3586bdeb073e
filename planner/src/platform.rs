//! The ports to a platform: what runs where, start and stop a replica, share out the traffic.
//!
//! A platform is one folder that implements these traits. Everything that changes the world can be repeated without
//! harm, because after a restart the rollout does not know whether its last action was carried out.
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, ReplicaId, RolloutId, ServiceId, WorkloadId},
    topology::Snapshot,
    trial::{TrialLimits, TrialOrder, TrialSamples},
};
use foremesh_summary::WindowSummary;
use std::{collections::BTreeMap, fmt::Debug, io, path::PathBuf, time::Duration};

/// What a platform could not do. Every variant names the object and says what a human can do about it.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// A command ended with a failure.
    #[error(
        "{object}: `{command}` ended with {status}: {stderr}; run it by hand on the planner's machine to see more"
    )]
    Command {
        /// What the command is and what it was run for.
        object: String,
        /// The argv, joined by blanks.
        command: String,
        /// Exit code or signal.
        status: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// A command did not end in time and was killed with all that it had started.
    #[error(
        "{object}: `{command}` did not end within {deadline:?} and was killed; make it faster or raise {setting}"
    )]
    Deadline {
        /// What the command is and what it was run for.
        object: String,
        /// The argv, joined by blanks.
        command: String,
        /// The time that it had.
        deadline: Duration,
        /// The setting that gives it more.
        setting: String,
    },
    /// A command could not be started at all.
    #[error(
        "{object}: `{command}` could not be started; check that the program exists and may be run by the planner"
    )]
    NotStarted {
        /// What the command is and what it was run for.
        object: String,
        /// The argv, joined by blanks.
        command: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A command ended well, but what it wrote makes no sense.
    #[error("{object}: `{command}` wrote `{output}`, which is not {expected}")]
    Output {
        /// What the command is and what it was run for.
        object: String,
        /// The argv, joined by blanks.
        command: String,
        /// The start of what it wrote.
        output: String,
        /// What it should have written.
        expected: &'static str,
    },
    /// A file of the platform could not be read or written.
    #[error("failed to {action} {path}; check its owner, its rights and the space left", path = .path.display())]
    File {
        /// Read, write, rename.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is asked of the platform, or stored in it, that it must not or cannot act on.
    #[error("{object}: {problem}; {remedy}")]
    Refused {
        /// What was to be changed.
        object: String,
        /// Why it is not.
        problem: String,
        /// What a human can do.
        remedy: String,
    },
}

/// Read side of a platform.
#[async_trait]
pub trait Inventory: Send + Sync + Debug {
    /// What is there now. A node that cannot be asked is part of the answer, as unreachable with the reason.
    ///
    /// # Errors
    /// When the platform as a whole cannot be asked.
    async fn snapshot(&self) -> Result<Snapshot, PlatformError>;

    /// Nodes by their addresses, for sources that name a node by its address. An address of several nodes is left out.
    fn addresses(&self) -> BTreeMap<String, NodeId> {
        BTreeMap::new()
    }

    /// Puts the names in what a proxy reports into those of the snapshot: its workload, its node and zone, and the service
    /// that inbound routes are about. Says whether anything was changed. Workload and pod must come out the same whenever
    /// the summary is sent again, because it is known by them.
    ///
    /// # Errors
    /// When the names are not known yet; the proxy then keeps the summary and sends it again.
    async fn name(&self, _summary: &mut WindowSummary) -> Result<bool, PlatformError> {
        Ok(false)
    }
}

/// Starts and stops replicas on named nodes.
#[async_trait]
pub trait Relocator: Send + Sync + Debug {
    /// Makes a node ready to take a replica: fetches what it needs, keeps room for it. May do nothing.
    async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError>;

    /// Starts a replica on a node, or finds the one that runs there already, and returns its name. It must get no traffic
    /// before it is given some. `leaving` is the replica whose place it is to take; none when a lost one is replaced.
    async fn place(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        leaving: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError>;

    /// Whether a replica answers its ready check.
    ///
    /// # Errors
    /// When it could not be asked, which is neither yes nor no.
    async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: &ReplicaId,
    ) -> Result<bool, PlatformError>;

    /// Whether somebody else replaces the replicas of what moves, and how that is seen. The move cannot go on then, nor back.
    ///
    /// # Errors
    /// When it could not be asked.
    async fn overtaken(&self, _workload: &WorkloadId) -> Result<Option<String>, PlatformError> {
        Ok(None)
    }

    /// How many answers to what rollouts ask were given so far by what was read before, because nothing new was heard since. A
    /// platform that always asks has none.
    fn remembered(&self) -> u64 {
        0
    }

    /// Forgets them, so that whatever is asked next is answered by what is there then.
    fn forget_answers(&self) {}

    /// Takes away everything that is there for the move of a workload, weights first, and leaves its replicas to whoever
    /// replaces them. Only asked for after [`Self::overtaken`].
    async fn let_go(&self, _workload: &WorkloadId) -> Result<(), PlatformError> {
        Ok(())
    }

    /// Stops a replica, and is content when there is none. The name is missing when the start was interrupted before it
    /// was known; then whatever was started for this workload on this node is meant.
    async fn retire(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: Option<&ReplicaId>,
    ) -> Result<(), PlatformError>;
}

/// Shares out a service's traffic between its replicas: during a move, and for good where the platform can. Whether it can
/// is in the snapshot ([`foremesh_core::topology::Capabilities`]), as is the weight of each replica.
#[async_trait]
pub trait TrafficShifter: Send + Sync + Debug {
    /// The weights in force, as the platform has stored them. A replica that is missing gets no traffic. 100 is the
    /// share of one whole replica.
    async fn weights(&self, service: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError>;

    /// Whether weights stay when a rollout is over. Without that, traffic alone cannot be moved.
    fn keeps_weights(&self) -> bool {
        true
    }

    /// Puts these weights in force, all at once, for good.
    ///
    /// # Errors
    /// Also when no replica would get traffic: a service must never lose its last endpoint by a move.
    async fn set_weights(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError>;

    /// Takes away what was only there for the rollout, when it is over.
    async fn restore(&self, service: &ServiceId) -> Result<(), PlatformError>;
}

/// Tries a move beside production: copies of the workload on both nodes, the same requests to both at the same time.
#[async_trait]
pub trait StagingMesh: Send + Sync + Debug {
    /// How trials are made, and how far they may load production.
    fn limits(&self) -> TrialLimits;

    /// Makes the copies, sends both the same load, and tells what they answered. It begins anew whatever an interrupted
    /// trial of this rollout left. The caller calls [`Self::clear`] afterwards, whatever came of it.
    ///
    /// # Errors
    /// When it cannot be tried, which says nothing of the move.
    async fn try_move(&self, rollout: &RolloutId, order: &TrialOrder) -> Result<TrialSamples, PlatformError>;

    /// Removes everything that the trial of a rollout has made, and waits until it is gone.
    ///
    /// # Errors
    /// When something of it may still be there.
    async fn clear(&self, rollout: &RolloutId) -> Result<(), PlatformError>;

    /// Removes what all trials have left, after a crash; to be called before any trial begins.
    ///
    /// # Errors
    /// When something may still be there.
    async fn sweep(&self) -> Result<(), PlatformError>;
}
