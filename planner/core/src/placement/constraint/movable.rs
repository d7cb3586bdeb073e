//! Whether a workload can be moved at all, wherever it would go.
use crate::{
    ids::ReplicaId,
    placement::layout::{Added, Layout, WorkloadIndex},
    topology::Workload,
};
use serde::{Deserialize, Serialize};

/// Why a workload cannot be moved, whatever the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Immovable {
    /// Nobody may move it.
    #[error("it is pinned: {reason}")]
    Pinned {
        /// Why.
        reason: String,
    },
    /// Nothing of it runs.
    #[error("it has no replicas")]
    NoReplicas,
    /// A replica is not ready, so something else is going on.
    #[error("replica `{replica}` is not ready")]
    NotReady {
        /// The replica.
        replica: ReplicaId,
    },
    /// A change of it is under way.
    #[error("it is being changed: {change}")]
    Changing {
        /// What.
        change: String,
    },
    /// Its number of replicas is being changed.
    #[error("autoscaler `{autoscaler}` is changing its number of replicas")]
    Scaling {
        /// The autoscaler.
        autoscaler: String,
    },
    /// A successor would be one replica more than its autoscaler lets it have.
    #[error(
        "it has {replicas} replicas, and autoscaler `{autoscaler}` allows at most {limit}, so none can be added"
    )]
    AutoscalerAtLimit {
        /// The autoscaler.
        autoscaler: String,
        /// Replicas now.
        replicas: usize,
        /// The highest number.
        limit: u32,
    },
    /// A volume can be held by one node only, so that a successor cannot start beside the old replica.
    #[error("volume `{volume}` can be held by one node at a time")]
    ExclusiveVolume {
        /// The volume.
        volume: String,
    },
    /// Its replicas have no successors beside them.
    #[error("no successor can run beside a replica: {reason}")]
    NoSurge {
        /// Why.
        reason: String,
    },
    /// Fewer replicas than its disruption budget wants are well already.
    #[error("disruption budget `{budget}` wants {wanted} replicas that are well, and there are {healthy}")]
    BudgetSpent {
        /// The budget.
        budget: String,
        /// Replicas that are well.
        healthy: u32,
        /// Replicas that must be well.
        wanted: u32,
    },
    /// A successor would be more than the quota of the namespace allows.
    #[error("a successor needs {needed} {what}, but quota `{quota}` leaves {free}")]
    QuotaSpent {
        /// The quota.
        quota: String,
        /// What it limits, with its unit.
        what: String,
        /// What a successor needs.
        needed: f64,
        /// What is left, other moves considered.
        free: f64,
    },
}

/// Whether a workload can be moved at all.
///
/// A move puts the successor beside the old replica, waits until it is ready and has the traffic, and then retires the
/// old one by lowering the number of replicas back. Three things follow. What has no room for one replica more cannot
/// be moved: exclusive volumes, autoscalers at their limit, full quotas. A disruption budget that allows no disruption
/// *now* is no obstacle by itself: at every moment of the move at least as many replicas are well as before, and a
/// budget with as many wanted as there are (`minAvailable: 1` with one replica) allows none for ever. An obstacle is a
/// budget that is broken already: something of it is unwell, and nothing is moved on top of that. And where a platform
/// does not say how a budget's replicas are, those of the workload itself being ready has to do.
///
/// # Errors
/// The first reason why not.
pub fn movable(layout: &Layout<'_>, index: WorkloadIndex) -> Result<(), Immovable> {
    let (_, workload) = layout.workload(index);
    if let Some(reason) = &workload.pinned {
        return Err(Immovable::Pinned { reason: reason.clone() });
    }
    settled(workload)?;
    surges(workload)?;
    for budget in &workload.scheduling.budgets {
        if let Some(health) = budget.health.filter(|health| health.healthy < health.wanted) {
            let (healthy, wanted) = (health.healthy, health.wanted);
            return Err(Immovable::BudgetSpent { budget: budget.name.clone(), healthy, wanted });
        }
    }
    within_quotas(workload, layout.added_to(index))
}

/// Nothing else is going on with it.
fn settled(workload: &Workload) -> Result<(), Immovable> {
    if workload.replicas.is_empty() {
        return Err(Immovable::NoReplicas);
    }
    if let Some(change) = &workload.scheduling.changing {
        return Err(Immovable::Changing { change: change.clone() });
    }
    if let Some(autoscaler) = workload.scheduling.autoscaler.as_ref().filter(|autoscaler| autoscaler.scaling)
    {
        return Err(Immovable::Scaling { autoscaler: autoscaler.name.clone() });
    }
    match workload.replicas.iter().find(|(_, replica)| !replica.ready) {
        Some((replica, _)) => Err(Immovable::NotReady { replica: replica.clone() }),
        None => Ok(()),
    }
}

/// There can be one replica more for a while.
fn surges(workload: &Workload) -> Result<(), Immovable> {
    let scheduling = &workload.scheduling;
    if let Some(reason) = &scheduling.no_surge {
        return Err(Immovable::NoSurge { reason: reason.clone() });
    }
    if let Some(volume) = scheduling.volumes.iter().find(|volume| volume.exclusive) {
        return Err(Immovable::ExclusiveVolume { volume: volume.name.clone() });
    }
    let replicas = workload.replicas.len();
    match &scheduling.autoscaler {
        Some(autoscaler) if replicas >= autoscaler.max_replicas as usize => {
            Err(Immovable::AutoscalerAtLimit {
                autoscaler: autoscaler.name.clone(),
                replicas,
                limit: autoscaler.max_replicas,
            })
        }
        _ => Ok(()),
    }
}

fn within_quotas(workload: &Workload, added: Added) -> Result<(), Immovable> {
    for quota in &workload.scheduling.quotas {
        let limits = [
            ("millicores", workload.requests.cpu_millicores, quota.free.cpu_millicores, added.cpu),
            ("bytes of memory", workload.requests.memory_bytes, quota.free.memory_bytes, added.memory),
            ("replicas", Some(1.0), quota.free_replicas.map(f64::from), f64::from(added.replicas)),
        ];
        for (what, needed, free, added) in limits {
            let Some((needed, free)) = needed.zip(free) else { continue };
            let free = free - added;
            if needed > free {
                let (quota, what) = (quota.name.clone(), what.to_owned());
                return Err(Immovable::QuotaSpent { quota, what, needed, free: free.max(0.0) });
            }
        }
    }
    Ok(())
}
