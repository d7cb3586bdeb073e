//! One workload: its replicas, what they ask for, and what binds them.
use super::{
    bound, changing, limits, neighbours, opt_out,
    service::{Answering, service},
    volumes::volumes,
    world::{Controller, World},
};
use crate::{
    objects::{Pod, Rules},
    usage::Usage,
};
use foremesh_core::{
    ids::{NodeId, ReplicaId},
    topology::{Replica, Requests, Workload},
    units::Millicores,
};
use std::collections::BTreeSet;

/// A member of a stateful set has a name, and often storage, of its own.
const ONLY_ONE: &str = "it is a member of a stateful set, whose name no second one can have";

/// The workload that a controller makes.
pub(super) fn workload(
    world: &World<'_>,
    index: usize,
    answering: &Answering<'_>,
    usage: &Usage,
) -> Workload {
    let controller = &world.controllers[index];
    let (service, unclear) = service(world, index, answering);
    let mut workload = Workload::new(service);
    let mut pinned: Vec<String> = opted_out(controller, world);
    match opt_out::tier(controller.meta) {
        Ok(tier) => workload.tier = tier,
        Err(reason) => pinned.push(reason),
    }
    workload.namespace = Some(controller.meta.namespace.clone());
    workload.replicas = controller.replicas.iter().map(|pod| replica(pod)).collect();
    workload.used = used(&controller.replicas, usage);
    ask(&mut workload, &controller.replicas);
    workload.scheduling.changing = changing::of(controller);
    workload.scheduling.no_surge = (controller.kind == "StatefulSet").then(|| ONLY_ONE.to_owned());
    workload.scheduling.host_ports =
        controller.replicas.iter().flat_map(|pod| &pod.host_ports).copied().collect();
    workload.scheduling.budgets = limits::budgets(controller, world);
    workload.scheduling.quotas = limits::quotas(controller, world);
    match limits::autoscaler(controller, world) {
        Ok(autoscaler) => workload.scheduling.autoscaler = autoscaler,
        Err(reason) => pinned.push(reason),
    }
    pinned.extend(limits::limits_spent(controller, world));
    // Of what is not running there is nothing measured, and nothing to move.
    if !controller.replicas.is_empty() {
        pinned.extend(unclear);
    }
    pinned.extend(rules(&mut workload, world, index));
    workload.pinned = (!pinned.is_empty()).then(|| pinned.join("; "));
    workload
}

fn replica(pod: &Pod) -> (ReplicaId, Replica) {
    (ReplicaId::new(pod.meta.name.clone()), Replica::new(NodeId::new(pod.node.clone()), pod.ready))
}

/// Why somebody does not want it moved.
fn opted_out(controller: &Controller<'_>, world: &World<'_>) -> Vec<String> {
    let namespace = world.namespaces.get(controller.meta.namespace.as_str());
    let pods = controller.replicas.iter().map(|pod| ("pods", &pod.meta));
    let of = namespace.map(|meta| ("namespace", *meta)).into_iter();
    let of = of.chain([(controller.kind, controller.meta)]).chain(pods);
    of.filter_map(|(what, meta)| opt_out::opted_out(what, meta)).take(1).collect()
}

/// CPU of all replicas together; not known when it is not known of one.
fn used(replicas: &[&Pod], usage: &Usage) -> Option<Millicores> {
    if replicas.is_empty() {
        return None;
    }
    let of = |pod: &&Pod| usage.pod(&pod.meta.namespace, &pod.meta.name);
    let sum: Option<f64> = replicas.iter().map(of).sum();
    sum.and_then(|sum| Millicores::new(sum).ok())
}

/// The most that one of the replicas asks for: what admission adds, such as a proxy, is in the pods and not in the
/// template.
fn ask(workload: &mut Workload, replicas: &[&Pod]) {
    let most = |of: fn(&Pod) -> Option<f64>| replicas.iter().filter_map(|pod| of(pod)).reduce(f64::max);
    workload.requests = Requests {
        cpu_millicores: most(|pod| pod.requested.cpu),
        memory_bytes: most(|pod| pod.requested.memory),
    };
    let limited = replicas.iter().all(|pod| pod.requested.cpu_limit.is_some());
    let limit = limited.then(|| most(|pod| pod.requested.cpu_limit)).flatten();
    workload.cpu_limit = limit.and_then(|limit| Millicores::new(limit).ok());
}

/// Takes over the rules of its pods, and says what the model cannot.
fn rules(workload: &mut Workload, world: &World<'_>, index: usize) -> BTreeSet<String> {
    let replicas = &world.controllers[index].replicas;
    let Some(first) = replicas.first() else { return BTreeSet::new() };
    let mut unknown: BTreeSet<String> =
        replicas.iter().flat_map(|pod| pod.rules.unknown.iter().cloned()).collect();
    for name in replicas.iter().flat_map(|pod| &pod.requested.others).collect::<BTreeSet<_>>() {
        unknown.insert(format!("it asks for {name}, of which it is not known how much nodes have"));
    }
    if replicas.iter().any(|pod| !alike(&pod.rules, &first.rules)) {
        unknown.insert("its replicas are bound by different rules; restart its rollout".to_owned());
    }
    unknown.extend(bound::bind(workload, &first.rules, world).err());
    unknown.extend(neighbours::bind(&mut workload.scheduling, &first.rules, world, index));
    let (volumes, unplaced) = volumes(replicas, world);
    workload.scheduling.volumes = volumes;
    unknown.extend(unplaced);
    unknown
}

/// Storage apart, which may be each replica's own.
fn alike(one: &Rules, other: &Rules) -> bool {
    one.node_selector == other.node_selector
        && one.node_terms == other.node_terms
        && one.tolerations == other.tolerations
        && one.with == other.with
        && one.without == other.without
        && one.spread == other.spread
}
