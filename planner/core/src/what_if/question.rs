//! What is asked, and what it means in the mesh.
use crate::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    inputs::OwnedInputs,
    time::Timestamp,
    twin::{KNOTS, MeshModel, NodeIx, ReplicaIx, ServiceIx},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Highest factor of a load: beyond it nothing is known of how a service behaves.
const MOST: f64 = 100.0;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Moves that are made, one after the other.
    pub moves: Vec<AskedMove>,
    /// The moment to look at; the worst one of each service's look-ahead when not given.
    pub at: Option<Timestamp>,
    /// Load of services as factors of their forecasts. Whom they call gets more in proportion.
    pub load: BTreeMap<ServiceId, f64>,
    /// Nodes that fail.
    pub node_down: BTreeSet<NodeId>,
}

/// One move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedMove {
    /// What moves.
    pub workload: WorkloadId,
    /// Which replica; when not given one on a failed node, else the first that is not there yet.
    pub replica: Option<ReplicaId>,
    /// Where it goes.
    pub to: NodeId,
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum QuestionError {
    /// Nothing is asked.
    #[error("nothing is asked; give a move, a load, or a node that fails")]
    Nothing,
    /// No such workload.
    #[error("there is no workload `{workload}`; known are {known}")]
    NoWorkload {
        /// As it was given.
        workload: WorkloadId,
        /// Some that are there.
        known: String,
    },
    /// No such replica.
    #[error("workload `{workload}` has no replica {replica}")]
    NoReplica {
        /// The workload.
        workload: WorkloadId,
        /// As it was given, or which was looked for.
        replica: String,
    },
    /// No such node.
    #[error("there is no node `{node}`; known are {known}")]
    NoNode {
        /// As it was given.
        node: NodeId,
        /// Some that are there.
        known: String,
    },
    /// No such service.
    #[error("there is no service `{service}`; known are {known}")]
    NoService {
        /// As it was given.
        service: ServiceId,
        /// Some that are there.
        known: String,
    },
    /// Not a factor.
    #[error("the load of `{service}` is {factor} times its forecast, but must be from 0 to {MOST}")]
    Factor {
        /// The service.
        service: ServiceId,
        /// As it was given.
        factor: f64,
    },
    /// Too early or too late.
    #[error(
        "the moment is {ahead_ms} ms ahead, but must be from 0 to {most_ms} ms: the longest look-ahead of a rule, or half an hour"
    )]
    Moment {
        /// How far ahead it is, in milliseconds.
        ahead_ms: i64,
        /// The most, in milliseconds.
        most_ms: i64,
    },
}

/// One move, found in the mesh.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) replica: ReplicaIx,
    pub(super) to: NodeIx,
    pub(super) workload: WorkloadId,
    pub(super) replica_id: ReplicaId,
    pub(super) from: NodeId,
    pub(super) to_id: NodeId,
}

/// A question, found in the mesh.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) moves: Vec<Asked>,
    pub(super) load: Vec<(ServiceIx, f64)>,
    pub(super) failed: BTreeSet<NodeIx>,
    /// The part of the look-ahead that is looked at; `None` for the worst one.
    pub(super) knot: Option<usize>,
}

impl Resolved {
    pub(super) fn new(
        inputs: &OwnedInputs,
        mesh: &MeshModel,
        question: &Question,
    ) -> Result<Self, QuestionError> {
        if question.moves.is_empty() && question.load.is_empty() && question.node_down.is_empty() {
            return Err(QuestionError::Nothing);
        }
        let snapshot = &inputs.snapshot;
        let node = |id: &NodeId| {
            let known = || some(snapshot.nodes.keys().map(NodeId::as_str));
            mesh.node_ix(id).ok_or_else(|| QuestionError::NoNode { node: id.clone(), known: known() })
        };
        let failed = question.node_down.iter().map(node).collect::<Result<_, _>>()?;
        let load = question.load.iter().map(|(service, factor)| {
            if !(0.0..=MOST).contains(factor) {
                return Err(QuestionError::Factor { service: service.clone(), factor: *factor });
            }
            let known = || some(inputs.services.keys().map(ServiceId::as_str));
            let found = mesh.service_ix(service);
            let found =
                found.ok_or_else(|| QuestionError::NoService { service: service.clone(), known: known() })?;
            Ok((found, *factor))
        });
        let load = load.collect::<Result<_, _>>()?;
        let mut moves: Vec<Asked> = Vec::new();
        for asked in &question.moves {
            let to = node(&asked.to)?;
            moves.push(found(inputs, mesh, question, asked, to, &moves)?);
        }
        Ok(Self { moves, load, failed, knot: knot(mesh, inputs.now, question.at)? })
    }
}

fn found(
    inputs: &OwnedInputs,
    mesh: &MeshModel,
    question: &Question,
    asked: &AskedMove,
    to: NodeIx,
    before: &[Asked],
) -> Result<Asked, QuestionError> {
    let AskedMove { workload: id, .. } = asked;
    let workloads = &inputs.snapshot.workloads;
    let workload = workloads.get(id).ok_or_else(|| QuestionError::NoWorkload {
        workload: id.clone(),
        known: some(workloads.keys().map(WorkloadId::as_str)),
    })?;
    let free = |replica: &ReplicaId| !before.iter().any(|taken| taken.replica_id == *replica);
    let usual = || {
        let mut all = workload.replicas.iter().filter(|(replica, _)| free(replica));
        let failed = all.clone().find(|(_, placed)| question.node_down.contains(&placed.node));
        failed.or_else(|| all.find(|(_, placed)| placed.node != asked.to))
    };
    let found = match &asked.replica {
        Some(replica) => workload.replicas.get_key_value(replica),
        None => usual(),
    };
    let missing = || QuestionError::NoReplica {
        workload: id.clone(),
        replica: asked.replica.as_ref().map_or_else(
            || format!("that is not on `{}` already", asked.to),
            |replica| format!("`{replica}`"),
        ),
    };
    let (replica_id, placed) = found.ok_or_else(missing)?;
    Ok(Asked {
        replica: mesh.replica_ix(id, replica_id).ok_or_else(missing)?,
        to,
        workload: id.clone(),
        replica_id: replica_id.clone(),
        from: placed.node.clone(),
        to_id: asked.to.clone(),
    })
}

/// The part of the look-ahead that holds a moment.
fn knot(mesh: &MeshModel, now: Timestamp, at: Option<Timestamp>) -> Result<Option<usize>, QuestionError> {
    let Some(at) = at else { return Ok(None) };
    let most_ms = mesh.knot_start(KNOTS).ms_since(now);
    let ahead_ms = at.ms_since(now);
    if !(0..=most_ms).contains(&ahead_ms) {
        return Err(QuestionError::Moment { ahead_ms, most_ms });
    }
    Ok((0..KNOTS).rev().find(|knot| mesh.knot_start(*knot) <= at))
}

/// The first few names, for whoever mistyped one.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<&str> = names.take(SHOWN + 1).collect();
    if shown.len() > SHOWN {
        shown[SHOWN] = "…";
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}
