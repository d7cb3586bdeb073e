//! A plan: which replicas go where, in which order, and why. It never changes once made and leaves no choice to
//! whoever carries it out.
mod expected;
mod rejection;
mod traffic;
mod words;

pub use expected::{Cause, Costs, Effect, Unlisted};
pub use rejection::RejectionReason;
pub use traffic::{PairWeights, Traffic, WHOLE};

use crate::{
    ids::{NodeId, PlanId, PolicyId, ReplicaId, ServiceId, WorkloadId},
    inputs::Inputs,
    placement::Placement,
    time::Timestamp,
    topology::Snapshot,
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;

/// An immutable plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Derived from the content: equal inputs give the equal id.
    pub id: PlanId,
    /// The plan that was in force when this one was made.
    pub parent: Option<PlanId>,
    /// Counts plans up; an executor refuses a plan older than the newest that it saw.
    pub generation: u64,
    /// When the inputs were taken.
    pub made_at: Timestamp,
    /// SHA-256 over the canonical JSON of all inputs, in hex: two plans with equal digests must be equal.
    pub input_digest: String,
    /// What to do, one after the other. Those that wait for nothing could begin side by side.
    pub moves: Vec<Move>,
    /// What would follow if nothing changed: moves that belong to those above, but so many at once are not allowed. They
    /// are never carried out from here; a later pass decides anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<Move>,
    /// What all of that is expected to do to the services at risk, and to those that are moved for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// What staying and moving cost; `None` of a plan that was made without asking the twin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    /// What was looked at and not chosen, with the reason: at most 20 nodes for each workload.
    pub rejected: Vec<Rejection>,
    /// The nodes beyond these, counted by reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<Unlisted>,
}

impl Plan {
    /// Makes the plan for a placement; `None` when it moves nothing.
    ///
    /// # Errors
    /// [`DigestError`] when the inputs cannot be written as JSON.
    pub fn build(inputs: &Inputs<'_>, placement: &Placement) -> Result<Option<Self>, DigestError> {
        if placement.moves.is_empty() {
            return Ok(None);
        }
        let mut plan = Self {
            id: PlanId::new(""),
            parent: inputs.parent.cloned(),
            generation: inputs.newest_generation + 1,
            made_at: inputs.now,
            input_digest: digest(inputs)?,
            moves: placement.moves.clone(),
            later: placement.later.clone(),
            effects: placement.effects.clone(),
            costs: placement.costs,
            rejected: placement.rejected.clone(),
            unlisted: placement.unlisted.clone(),
        };
        plan.id = plan.content_id()?;
        Ok(Some(plan))
    }

    /// The one JSON text of the plan: equal plans have equal bytes.
    ///
    /// # Errors
    /// [`DigestError`] when the plan cannot be written as JSON.
    pub fn canonical(&self) -> Result<String, DigestError> {
        serde_json::to_string(self).map_err(DigestError)
    }

    /// The id that follows from the content: `plan-` and 12 hex digits of the SHA-256 over the plan without its id.
    ///
    /// # Errors
    /// [`DigestError`] when the plan cannot be written as JSON.
    pub fn content_id(&self) -> Result<PlanId, DigestError> {
        let nameless = Self { id: PlanId::new(""), ..self.clone() };
        let digest = digest(&nameless)?;
        Ok(PlanId::new(format!("plan-{}", &digest[..12])))
    }
}

/// A value that has no JSON form.
#[derive(Debug, thiserror::Error)]
#[error("failed to write a value as JSON for its digest")]
pub struct DigestError(#[source] serde_json::Error);

/// SHA-256 in hex over the JSON of a value. Fields keep their order and maps of the crate are sorted, so equal values
/// have equal digests.
///
/// # Errors
/// [`DigestError`] when the value has no JSON form.
pub fn digest(value: &impl Serialize) -> Result<String, DigestError> {
    let mut hash = io::BufWriter::with_capacity(PIECE, HashWriter(Sha256::new()));
    serde_json::to_writer(&mut hash, value).map_err(DigestError)?;
    let hash = hash.into_inner().map_err(|error| DigestError(serde_json::Error::io(error.into_error())))?;
    Ok(format!("{:x}", hash.0.finalize()))
}

/// Bytes that go to the hash at once: JSON is written a few at a time.
const PIECE: usize = 16 * 1024;

/// Feeds the hash as the JSON is written: the inputs of a large mesh are tens of megabytes.
struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One replica that goes from one node to another, or a part of its traffic that does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// What moves.
    pub workload: WorkloadId,
    /// The service that it answers for.
    pub service: ServiceId,
    /// The replica that is replaced.
    pub replica: ReplicaId,
    /// Where it runs now.
    pub from: NodeId,
    /// Where its successor will run.
    pub to: NodeId,
    /// Why, with the numbers.
    pub reason: MoveReason,
    /// Parts in percent of the traffic that goes to the target, one ramp step after the other; the last one is 100.
    pub ramp_percent: Vec<u8>,
    /// Weights of the two ends before and after.
    #[serde(default, skip_serializing_if = "Traffic::is_whole")]
    pub traffic: Traffic,
    /// The replica on the target, when only traffic goes: it runs already, and the source goes on running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_to: Option<ReplicaId>,
    /// Workloads of moves before it in the plan that must be over first, because they leave the room that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<WorkloadId>,
    /// Replicas of the same workload without whose moves this one cures nobody: they stand under [`Plan::later`], and the
    /// rest of the workload after this move does not hold them back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<ReplicaId>,
}

impl Move {
    /// The snapshot as it is when the move is over, as far as replicas and weights go.
    pub fn apply(&self, world: &mut Snapshot) {
        let Some(workload) = world.workloads.get_mut(&self.workload) else { return };
        if let Some(target) = &self.shift_to {
            let after = [(&self.replica, self.traffic.after.source), (target, self.traffic.after.target)];
            for (replica, weight) in after {
                if let Some(replica) = workload.replicas.get_mut(replica) {
                    replica.weight = weight;
                }
            }
        } else if let Some(replica) = workload.replicas.get_mut(&self.replica) {
            replica.node = self.to.clone();
            replica.weight = self.traffic.after.target;
        }
    }

    /// Whether only traffic goes, and no replica is started or stopped.
    pub const fn is_shift(&self) -> bool {
        self.shift_to.is_some()
    }
}

/// Why a replica is moved: the numbers that decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveReason {
    /// The policy whose rule fired.
    pub policy: PolicyId,
    /// The rule's name in that policy.
    pub rule: String,
    /// Quantile of latency that the objective is about.
    pub quantile: Quantile,
    /// The objective in milliseconds.
    pub objective_ms: f64,
    /// Start of the first predicted breach; the moment of the plan when none is predicted.
    pub breach_at: Timestamp,
    /// Probability of that breach when nothing is done.
    pub breach_probability: Probability,
    /// Highest predicted latency in milliseconds over the window when nothing is done; 0 when it is not known and the
    /// move is not for latency. Infinite, in JSON `null`, where the node saturates; the same holds for `move_ms`.
    #[serde(with = "crate::latency")]
    pub stay_ms: f64,
    /// Highest predicted latency in milliseconds over the same window on the target.
    #[serde(with = "crate::latency")]
    pub move_ms: f64,
    /// The model that forecast the breach.
    pub model: String,
    /// How long the move is expected to take, in milliseconds.
    pub lead_ms: i64,
    /// The service at risk, when that is not the one that moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<ServiceId>,
    /// Why it is this replica that moves.
    #[serde(default, skip_serializing_if = "Cause::is_own")]
    pub cause: Cause,
}

/// A target that was considered and refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// What would have moved.
    pub workload: WorkloadId,
    /// Where it would have gone.
    pub node: NodeId,
    /// Why not.
    pub why: RejectionReason,
}
