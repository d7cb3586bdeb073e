//! What limits how many replicas there may be, and how many may be away.
use super::world::{Controller, World};
use crate::objects::Quota as WrittenQuota;
use foremesh_core::topology::{Autoscaler, BudgetHealth, DisruptionBudget, Quota, Requests};

/// Disruption budgets of the replicas.
pub(super) fn budgets(controller: &Controller<'_>, world: &World<'_>) -> Vec<DisruptionBudget> {
    let of_namespace = World::within(&world.budgets, &controller.meta.namespace);
    let about = of_namespace.iter().filter(|budget| {
        let selector = budget.spec.selector.as_ref();
        selector.is_some_and(|selector| controller.labels.iter().any(|labels| selector.matches(labels)))
    });
    let budget = |written: &&&crate::objects::Budget| {
        let status = &written.status;
        // What was counted for an older spec says nothing.
        let counted = status.observed_generation >= written.meta.generation;
        DisruptionBudget {
            name: written.meta.name.clone(),
            allowed_now: if counted { status.disruptions_allowed } else { 0 },
            health: counted
                .then_some(BudgetHealth { healthy: status.current_healthy, wanted: status.desired_healthy }),
        }
    };
    about.map(|written| budget(&written)).collect()
}

/// The autoscaler of a workload.
///
/// # Errors
/// When there are several.
pub(super) fn autoscaler(
    controller: &Controller<'_>,
    world: &World<'_>,
) -> Result<Option<Autoscaler>, String> {
    let mut of = World::within(&world.scalers, &controller.meta.namespace).iter().filter(|scaler| {
        let target = &scaler.spec.scale_target_ref;
        target.kind == controller.kind && target.name == controller.meta.name
    });
    let (first, second) = (of.next(), of.next());
    let Some(scaler) = first else { return Ok(None) };
    if let Some(second) = second {
        let (first, second) = (&scaler.meta.name, &second.meta.name);
        return Err(format!("autoscalers `{first}` and `{second}` both set its number of replicas"));
    }
    Ok(Some(Autoscaler {
        name: scaler.meta.name.clone(),
        max_replicas: scaler.spec.max_replicas,
        scaling: scaler.status.desired_replicas != scaler.status.current_replicas,
    }))
}

/// Quotas of a namespace.
pub(super) fn quotas(controller: &Controller<'_>, world: &World<'_>) -> Vec<Quota> {
    let of = World::within(&world.quotas, &controller.meta.namespace).iter();
    of.filter(|quota| applies(quota)).map(|quota| free(quota)).collect()
}

/// A quota of limits, which the model has none for, that leaves too little for one replica more.
pub(super) fn limits_spent(controller: &Controller<'_>, world: &World<'_>) -> Option<String> {
    let of = World::within(&world.quotas, &controller.meta.namespace).iter().filter(|quota| applies(quota));
    for quota in of {
        for pod in &controller.replicas {
            let cores = pod.requested.cpu_limit.map(|limit| limit / 1e3);
            for (name, limit) in [("limits.cpu", cores), ("limits.memory", pod.requested.memory_limit)] {
                let free = left(quota, &[name]);
                if free.zip(limit).is_some_and(|(free, limit)| limit > free) {
                    let quota = &quota.meta.name;
                    return Some(format!("quota `{quota}` leaves too little {name} for one replica more"));
                }
            }
        }
    }
    None
}

/// Pods that run for ever are never in the scope `Terminating`. Any other scope is taken to hold: the safe side.
fn applies(quota: &WrittenQuota) -> bool {
    !quota.spec.scopes.iter().any(|scope| scope == "Terminating")
}

fn free(quota: &WrittenQuota) -> Quota {
    Quota {
        name: quota.meta.name.clone(),
        free: Requests {
            cpu_millicores: left(quota, &["cpu", "requests.cpu"]).map(|cores| cores * 1e3),
            memory_bytes: left(quota, &["memory", "requests.memory"]),
        },
        free_replicas: left(quota, &["pods", "count/pods"]).map(|pods| pods as u32),
    }
}

/// The least that is left of what has one of these names.
fn left(quota: &WrittenQuota, names: &[&str]) -> Option<f64> {
    let left = names.iter().filter_map(|name| {
        let hard = quota.spec.hard.get(*name)?.get();
        // What has not been counted yet is taken to be used up.
        let used = quota.status.used.get(*name).map_or(hard, |used| used.get());
        Some((hard - used).max(0.0))
    });
    left.reduce(f64::min)
}
