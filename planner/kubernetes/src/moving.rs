//! What is moving, durably: one `ConfigMap` of the planner's namespace, one key for each workload.
//!
//! The relocator writes it, each state before the action that it stands for; the placement webhook reads it to know
//! which pods to place. Whoever starts after a crash finds in it what was begun, and what there was before.
mod list;
#[cfg(test)]
pub(crate) mod played;
#[cfg(test)]
mod tests;

pub use list::MovingList;

use crate::ClusterError;
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the `ConfigMap`.
pub const MOVING_NAME: &str = "foremesh-moving";

/// One replica of a workload is on its way from a node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// What is moved.
    pub workload: WorkloadId,
    /// Kind of the object that makes its replicas.
    pub kind: MovedKind,
    /// Node that is left.
    pub from: NodeId,
    /// Node that is gone to.
    pub to: NodeId,
    /// Replicas that there were before.
    pub known: BTreeSet<ReplicaId>,
    /// How many replicas it was told to have.
    pub replicas_before: u32,
    /// What says how many replicas there are.
    pub scaler: Scaled,
    /// The new replica, as soon as it is known which one it is.
    #[serde(default)]
    pub target: Option<ReplicaId>,
    /// How far it is.
    pub phase: MovedPhase,
}

/// Kind of object that makes the replicas of what is moved, as its `kind` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MovedKind {
    /// `apps/v1` Deployment.
    Deployment,
}

/// Where the number of replicas is raised and lowered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Scaled {
    /// At the scale of the Deployment itself.
    Deployment,
    /// At the least number of a horizontal autoscaler, which would undo any other change.
    Hpa {
        /// Its name, in the namespace of the workload.
        name: String,
        /// Its `minReplicas` before.
        min_before: u32,
    },
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MovedPhase {
    /// The new replica is asked for, and perhaps there; until it is promoted it is the one to go.
    Surging,
    /// The new replica is ready and gets traffic, more and more.
    Ramping,
    /// The new replica stays; the old one is the one to go.
    Retiring,
}

/// The key of a workload: its namespace and its name, joined by the first dot, which no namespace can have.
///
/// # Errors
/// When it is not `NAMESPACE/NAME`, or too long for a key.
fn key(workload: &WorkloadId) -> Result<String, ClusterError> {
    let unusable = |problem: &str, remedy: &str| {
        ClusterError::new(format!("workload `{workload}`"), problem.to_owned(), remedy.to_owned())
    };
    let (namespace, name) = workload
        .as_str()
        .split_once('/')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| {
            unusable("it is not `NAMESPACE/NAME`, as Deployments are called", "move Deployments only")
        })?;
    let key = format!("{namespace}.{name}");
    if key.len() > 253 {
        return Err(unusable(
            "namespace and name have more than 252 characters together, and a key of a ConfigMap at most 253",
            "give it a shorter name to have it moved",
        ));
    }
    Ok(key)
}

/// Reads one value.
///
/// # Errors
/// When it is not what [`MovingList`] writes for this key.
fn read(key: &str, value: &str) -> Result<Moved, String> {
    let moved: Moved = serde_json::from_str(value).map_err(|error| error.to_string())?;
    match self::key(&moved.workload) {
        Ok(of) if of == key => Ok(moved),
        _ => Err(format!("it is of workload `{}`", moved.workload)),
    }
}

/// Values by key, those that can be read and, in words, why others cannot.
type Read = BTreeMap<String, Result<Moved, String>>;

/// Reads all values of the `ConfigMap`.
fn read_all(data: &BTreeMap<String, String>) -> Read {
    data.iter().map(|(key, value)| (key.clone(), read(key, value))).collect()
}
