//! Whether a policy's guard rails let a move through: asked when moves are chosen, and again of every plan.
use super::{Cooldown, Mode, RelocationPolicy, cooldown};
use crate::{
    duration::in_words,
    ids::{NodeId, PolicyId, ReplicaId, ServiceId, WorkloadId},
    inputs::Inputs,
    plan::Move,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::fmt;

const DAY_MS: i64 = 24 * 3_600_000;

/// Why a move is not permitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum NotPermitted {
    /// The policy only looks.
    #[error("policy `{policy}` is in mode {}, but a move needs recommend, approve or auto; change its `mode`", mode.name())]
    Mode {
        /// The policy.
        policy: PolicyId,
        /// Its mode.
        mode: Mode,
    },
    /// Now, or before the move would be over, is a time at which the policy moves nothing.
    #[error(
        "policy `{policy}` moves nothing in its freeze `{window}`, which {} and ends in {}; wait, or shorten the window",
        begins(*begins_in_ms),
        in_words(*ends_in_ms)
    )]
    Frozen {
        /// The policy.
        policy: PolicyId,
        /// The window in it.
        window: String,
        /// Time until it begins, in milliseconds; 0 or less when it has begun.
        begins_in_ms: i64,
        /// Time until it ends, in milliseconds.
        ends_in_ms: i64,
        /// When it ends.
        until: Timestamp,
    },
    /// The workload moved a short while ago.
    #[error("workload `{workload}` {rest}; wait, or shorten `cooldown` of policy `{policy}`")]
    Cooldown {
        /// The policy.
        policy: PolicyId,
        /// The workload.
        workload: WorkloadId,
        /// How long it still rests.
        rest: Cooldown,
    },
    /// The budget of the day is used up.
    #[error(
        "policy `{policy}` allows {limit} moves in 24 h, and {moves} were made, run or are chosen; wait, or raise \
         `limits.perDay`"
    )]
    Budget {
        /// The policy.
        policy: PolicyId,
        /// Its limit.
        limit: usize,
        /// Moves that count.
        moves: usize,
    },
    /// As many moves as allowed run or are chosen.
    #[error("{scope} has {moves} moves that run or are chosen, of {limit} that are allowed at a time; {}", scope.remedy())]
    Concurrent {
        /// Where they are counted.
        scope: Scope,
        /// The limit.
        limit: usize,
        /// Moves that run or are chosen there.
        moves: usize,
    },
}

impl NotPermitted {
    /// Whether it is about one node, so that a move from or to another might be permitted.
    pub const fn is_of_node(&self) -> bool {
        matches!(self, Self::Concurrent { scope: Scope::Node(_), .. })
    }
}

fn begins(in_ms: i64) -> String {
    if in_ms > 0 {
        format!("begins in {}, before the move would be over,", in_words(in_ms))
    } else {
        "has begun".to_owned()
    }
}

/// Where moves that run at the same time are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// At one node, as source or target.
    Node(NodeId),
    /// Of one workload.
    Workload(WorkloadId),
    /// In one namespace.
    Namespace(String),
    /// In the mesh.
    All,
}

impl Scope {
    const fn remedy(&self) -> &'static str {
        match self {
            Self::Node(_) => "wait, or raise `limits.concurrent.perNode`",
            Self::Workload(_) => "wait until it is over",
            Self::Namespace(_) => "wait, or raise `limits.concurrent.perNamespace`",
            Self::All => "wait, or raise `limits.concurrent.all`",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "node `{node}`"),
            Self::Workload(workload) => write!(f, "workload `{workload}`"),
            Self::Namespace(namespace) => write!(f, "namespace `{namespace}`"),
            Self::All => f.write_str("the mesh"),
        }
    }
}

/// A move that counts: in flight, or chosen before.
#[derive(Clone, Copy)]
struct Counted<'a> {
    workload: &'a WorkloadId,
    service: &'a ServiceId,
    from: &'a NodeId,
    to: &'a NodeId,
}

/// Whether `policy` lets a `replica` of `workload` go from one node to another now, after the moves in flight and those
/// `chosen` before it. It says nothing about nodes, load or latency, and nothing about the planner's own limit of moves.
///
/// # Errors
/// The first guard rail that stands in the way, in the order mode, freeze, cooldown, moves at once, moves of the day.
pub fn permits(
    inputs: &Inputs<'_>,
    policy: &RelocationPolicy,
    (workload, replica): (&WorkloadId, &ReplicaId),
    from: &NodeId,
    to: &NodeId,
    chosen: &[Move],
) -> Result<(), NotPermitted> {
    if policy.mode == Mode::Observe {
        return Err(NotPermitted::Mode { policy: policy.id.clone(), mode: policy.mode });
    }
    not_frozen(inputs, policy, workload)?;
    cooldown(workload, replica, inputs.past_moves, policy.cooldown_ms, inputs.now).map_err(|rest| {
        NotPermitted::Cooldown { policy: policy.id.clone(), workload: workload.clone(), rest }
    })?;
    let running = running(inputs, chosen);
    not_crowded(inputs, policy, workload, [from, to], &running)?;
    within_budget(inputs, policy, &running)
}

/// Whether the budget of the day has room for one move more than those that were made, run or are `chosen`. Those that wait
/// for one another do not run at once, so this is asked of them all apart from the other guard rails.
///
/// # Errors
/// [`NotPermitted::Budget`].
pub(crate) fn budget_left(
    inputs: &Inputs<'_>,
    policy: &RelocationPolicy,
    chosen: &[Move],
) -> Result<(), NotPermitted> {
    within_budget(inputs, policy, &running(inputs, chosen))
}

/// The policies whose guard rails hold for a move: the one that asks, where it is about what moves; else any that goes as far
/// and is about it lets it move.
pub(crate) fn who_lets<'a>(
    policies: &'a [RelocationPolicy],
    asks: &'a RelocationPolicy,
    moved: &ServiceId,
) -> Vec<&'a RelocationPolicy> {
    if asks.selects(moved) {
        return vec![asks];
    }
    policies.iter().filter(|policy| policy.mode >= asks.mode && policy.selects(moved)).collect()
}

fn running<'a>(inputs: &Inputs<'a>, chosen: &'a [Move]) -> Vec<Counted<'a>> {
    let flying = inputs.in_flight.iter();
    let flying =
        flying.map(|m| Counted { workload: &m.workload, service: &m.service, from: &m.from, to: &m.to });
    let planned = chosen.iter();
    let planned =
        planned.map(|m| Counted { workload: &m.workload, service: &m.service, from: &m.from, to: &m.to });
    flying.chain(planned).collect()
}

/// A freeze counts when it touches the time that the move takes: a move that would be half done is not begun.
fn not_frozen(
    inputs: &Inputs<'_>,
    policy: &RelocationPolicy,
    workload: &WorkloadId,
) -> Result<(), NotPermitted> {
    let over = inputs.now.plus_ms(inputs.duration_of(workload).max(1));
    let touching = inputs
        .freezes
        .iter()
        .filter(|freeze| freeze.policy == policy.id && freeze.from < over && freeze.to > inputs.now);
    let Some(freeze) = touching.min_by_key(|freeze| (freeze.from, freeze.to)) else { return Ok(()) };
    Err(NotPermitted::Frozen {
        policy: policy.id.clone(),
        window: freeze.window.clone(),
        begins_in_ms: freeze.from.ms_since(inputs.now),
        ends_in_ms: freeze.to.ms_since(inputs.now),
        until: freeze.to,
    })
}

fn not_crowded(
    inputs: &Inputs<'_>,
    policy: &RelocationPolicy,
    workload: &WorkloadId,
    ends: [&NodeId; 2],
    running: &[Counted<'_>],
) -> Result<(), NotPermitted> {
    let namespace_of = |workload: &WorkloadId| inputs.snapshot.workloads.get(workload)?.namespace.as_ref();
    let limits = policy.limits;
    let namespace = namespace_of(workload);
    let at = |node: &NodeId| running.iter().filter(|m| m.from == node || m.to == node).count();
    let of_workload = running.iter().filter(|m| m.workload == workload).count();
    let in_namespace = running.iter().filter(|m| namespace_of(m.workload) == namespace).count();
    let counts = [
        (Scope::Workload(workload.clone()), Some(limits.per_workload), of_workload),
        (Scope::Node(ends[0].clone()), limits.per_node, at(ends[0])),
        (Scope::Node(ends[1].clone()), limits.per_node, at(ends[1])),
        (
            Scope::Namespace(namespace.cloned().unwrap_or_default()),
            limits.per_namespace.filter(|_| namespace.is_some()),
            in_namespace,
        ),
        (Scope::All, limits.all, running.len()),
    ];
    for (scope, limit, moves) in counts {
        if let Some(limit) = limit.filter(|limit| moves >= *limit) {
            return Err(NotPermitted::Concurrent { scope, limit, moves });
        }
    }
    Ok(())
}

fn within_budget(
    inputs: &Inputs<'_>,
    policy: &RelocationPolicy,
    running: &[Counted<'_>],
) -> Result<(), NotPermitted> {
    let Some(limit) = policy.limits.per_day else { return Ok(()) };
    let lately = |started: Timestamp| inputs.now.ms_since(started) < DAY_MS;
    let past = inputs.past_moves.iter().filter(|m| lately(m.started_at) && policy.selects(&m.service));
    let moves = past.count() + running.iter().filter(|m| policy.selects(m.service)).count();
    if moves >= limit {
        return Err(NotPermitted::Budget { policy: policy.id.clone(), limit, moves });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
