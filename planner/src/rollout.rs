//! Carries out tested plans, one move after the other, and survives being killed at any point.
//!
//! The decisions are [`foremesh_core::rollout`]'s. Here is what it must not have: a journal on disk, a clock, and the
//! ports to the platform. Every change of state is durable before anything is done because of it; on start every rollout
//! that is not over is taken up again where its record says.
use crate::platform::{Relocator, StagingMesh, TrafficShifter};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, PlanId, RolloutId, ServiceId, WorkloadId},
    rollout::{RolloutRecord, State, Validity, gate::GateSample},
    time::Timestamp,
    units::Quantile,
};
use std::{fmt::Debug, path::PathBuf, sync::Arc};

mod drive;
mod executor;
mod journal;
mod leading;
mod observe;
mod settings;
#[cfg(test)]
mod tests;
mod trial;

pub use executor::Rollouts;
pub use journal::RolloutQuery;
pub use settings::{RolloutSettings, SettingsError};

/// What the proxies in front of the replicas of one service saw, for the gate.
#[async_trait]
pub trait GateSource: Send + Sync + Debug {
    /// What the replica on `node` did for `service` in the windows between two times: requests, failures, and latency at
    /// the quantile.
    ///
    /// `None` when it is not known, which is not the same as no requests: a drained replica is one that was watched and
    /// had none. A node counts as watched while summaries of some proxy that could have seen it arrive.
    async fn sample(
        &self,
        service: &ServiceId,
        node: &NodeId,
        quantile: Quantile,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<GateSample>;
}

/// Judges a plan once more, just before anything is done.
#[async_trait]
pub trait Validator: Send + Sync + Debug {
    /// Whether the move would still be decided now; `None` when it cannot be told, such as when the inventory cannot be
    /// read. Then nothing is done.
    async fn validate(&self, record: &RolloutRecord) -> Option<Validity>;
}

/// Takes note of every change of state, for the audit.
#[async_trait]
pub trait Reporter: Send + Sync + Debug {
    /// Change of state number `transition` (from 0) in the record's history. It is reported until it is taken, also over
    /// restarts, so it can come twice: rollout and number tell.
    ///
    /// # Errors
    /// When it could not be noted; it is reported again later. The rollout does not wait for it.
    async fn report(&self, record: &RolloutRecord, transition: usize) -> Result<(), ReportError>;
}

/// A change of state could not be noted.
#[derive(Debug, thiserror::Error)]
#[error("the change of state was not noted")]
pub struct ReportError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Everything that a rollout acts on and asks.
#[derive(Clone, Debug)]
pub struct RolloutPorts {
    /// Starts and stops replicas.
    pub relocator: Arc<dyn Relocator>,
    /// Shares out traffic.
    pub traffic: Arc<dyn TrafficShifter>,
    /// Tries moves; none where there is no staging mesh.
    pub staging: Option<Arc<dyn StagingMesh>>,
    /// Numbers for the gate.
    pub gate: Arc<dyn GateSource>,
    /// Judges a plan once more.
    pub validator: Arc<dyn Validator>,
    /// Takes note.
    pub reporter: Arc<dyn Reporter>,
}

/// Why a rollout is not started, found or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// A plan of this generation or a newer one was accepted before.
    #[error(
        "plan `{plan}` has generation {generation}, but generation {newest} was accepted already; make a new plan from the \
         present state"
    )]
    Stale {
        /// The refused plan.
        plan: PlanId,
        /// Its generation.
        generation: u64,
        /// The newest that was accepted.
        newest: u64,
    },
    /// Another planner is the one that acts.
    #[error("{0}")]
    NotLeading(String),
    /// The workload is being moved.
    #[error(
        "workload `{workload}` is being moved by rollout `{rollout}` ({state}); wait for its end or abort it"
    )]
    Busy {
        /// The workload.
        workload: WorkloadId,
        /// What moves it.
        rollout: RolloutId,
        /// Where that stands.
        state: State,
    },
    /// So many moves are going on that no more are allowed.
    #[error("{active} moves are going on and {limit} are allowed (`maxConcurrent`); wait for one to end")]
    TooMany {
        /// Plans in progress.
        active: usize,
        /// The limit.
        limit: usize,
    },
    /// There is nothing in the plan.
    #[error("plan `{0}` has no moves; there is nothing to roll out")]
    Empty(PlanId),
    /// Nothing says how a move of it was tried.
    #[error("plan `{0}` does not say how each of its moves is tried; make a new plan")]
    Untried(PlanId),
    /// There is no such rollout.
    #[error("there is no rollout `{0}`; list the rollouts to see their names")]
    Unknown(RolloutId),
    /// It is too late to stop it.
    #[error("rollout `{rollout}` is {state} and cannot be aborted any more; plan a move back instead")]
    TooLate {
        /// The rollout.
        rollout: RolloutId,
        /// Where it stands.
        state: State,
    },
    /// It is turning back already.
    #[error("rollout `{0}` is turning back already; nothing more is needed")]
    TurningBack(RolloutId),
    /// The journal cannot be read or written.
    #[error("failed to {action} the rollout journal {path}; check its rights and the space left", path = .path.display())]
    Journal {
        /// Open, read, write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The journal was written by a newer planner.
    #[error(
        "the rollout journal {path} has schema version {found}, this planner knows up to {known}; run the newer planner",
        path = .path.display()
    )]
    NewerJournal {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// What this planner writes.
        known: i64,
    },
}
