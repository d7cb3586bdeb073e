//! Why something of a move was not done.
use crate::ClusterError;
use foremesh_core::{placement::constraint::Immovable, plan::RejectionReason};

/// Names the object, what is wrong with it, and what a human can do; [`Self::why`] tells kinds of reasons apart.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{object}: {problem}; {remedy}")]
pub struct RelocateError {
    /// Which kind of reason it is.
    pub why: Why,
    /// What it is about.
    pub object: String,
    /// What is wrong.
    pub problem: String,
    /// What a human can do.
    pub remedy: String,
}

/// Kinds of reasons why something of a move was not done.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// There is no such Deployment.
    NotFound,
    /// Something else makes its pods: a stateful set, a daemon set, or nothing at all.
    NotADeployment,
    /// Its namespace is not one in which Foremesh may move workloads.
    NotOptedIn,
    /// Its rollout is paused, or another version of it is being rolled out.
    RollingOut,
    /// It is being scaled, or has no replicas.
    Scaling,
    /// A replica of it is not ready.
    NotReady,
    /// Nobody may move it, or nothing can be added to it, wherever it would go.
    Immovable(Box<Immovable>),
    /// The node does not take it.
    Rejected(Box<RejectionReason>),
    /// There is no such node.
    NoNode,
    /// Its number of replicas is set by something that would undo a change of it.
    ScaledByOthers,
    /// A limit of its namespace does not allow a pod as it is.
    Limited,
    /// It is being moved already, elsewhere; or is not being moved at all.
    OtherMove,
    /// The new replica did not come to run in time; what was done was taken back.
    DidNotStart,
    /// The new replica came to another node; what was done was taken back.
    WrongNode,
    /// Somebody else changed its number of replicas, or rolled out another version; what was done was taken back.
    Interfered,
    /// The replica that was to go is there, and another one went in its place.
    WrongReplica,
    /// The replica that is to stay is not ready, so that none is taken away.
    NothingToStay,
    /// The replica that was to go is still there.
    StillThere,
    /// The API server did not do, or say, what it was asked.
    Cluster,
}

impl RelocateError {
    pub(super) fn new(
        why: Why,
        object: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { why, object: object.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

impl From<ClusterError> for RelocateError {
    fn from(error: ClusterError) -> Self {
        Self { why: Why::Cluster, object: error.object, problem: error.problem, remedy: error.remedy }
    }
}
