//! Changes that are under way: nothing moves meanwhile.
use super::world::Controller;
use crate::objects::{Deployment, StatefulSet};

/// What a Deployment's spec and status say.
pub(super) fn of_deployment(deployment: &Deployment) -> Option<String> {
    let (meta, status) = (&deployment.meta, &deployment.status);
    let wanted = deployment.spec.replicas.unwrap_or(1);
    if meta.terminating {
        return Some("it is being deleted".to_owned());
    }
    if deployment.spec.paused {
        return Some("its rollout is paused".to_owned());
    }
    if status.observed_generation < meta.generation {
        return Some("its controller has not taken up its newest spec".to_owned());
    }
    if status.updated_replicas < wanted {
        return Some(format!("{} of {wanted} replicas are of its newest version", status.updated_replicas));
    }
    if status.replicas > status.updated_replicas {
        let old = status.replicas - status.updated_replicas;
        return Some(format!("{old} replicas of an older version are still there"));
    }
    None
}

/// What a stateful set's spec and status say.
pub(super) fn of_stateful_set(set: &StatefulSet) -> Option<String> {
    let status = &set.status;
    if set.meta.terminating {
        return Some("it is being deleted".to_owned());
    }
    if status.observed_generation < set.meta.generation {
        return Some("its controller has not taken up its newest spec".to_owned());
    }
    (status.current_revision != status.update_revision)
        .then(|| "not all replicas are of its newest version".to_owned())
}

/// What is under way with a workload, its pods considered.
pub(super) fn of(controller: &Controller<'_>) -> Option<String> {
    if let Some(change) = &controller.change {
        return Some(change.clone());
    }
    if controller.waiting > 0 {
        return Some(format!("{} of its pods are on no node that is known", controller.waiting));
    }
    let (there, wanted) = (controller.replicas.len(), controller.wanted);
    (there != wanted as usize).then(|| format!("it has {there} replicas and is to have {wanted}"))
}
