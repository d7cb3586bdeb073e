//! What callers call a workload.
use super::world::{Controller, World};
use crate::objects::{Selector, Service};
use foremesh_core::ids::ServiceId;
use std::collections::HashMap;

/// Which workloads answer for each service.
pub(super) type Answered<'o> = HashMap<(&'o str, &'o str), Vec<usize>>;

/// Workloads by the services that select them.
pub(super) fn answered<'o>(world: &World<'o>) -> Answered<'o> {
    let mut answered: Answered<'o> = HashMap::new();
    for (index, controller) in world.controllers.iter().enumerate() {
        for service in selecting(world, controller) {
            answered.entry((&service.meta.namespace, &service.meta.name)).or_default().push(index);
        }
    }
    answered
}

fn selecting<'s, 'o>(
    world: &'s World<'o>,
    controller: &'s Controller<'o>,
) -> impl Iterator<Item = &'o Service> + 's {
    let services = World::within(&world.services, &controller.meta.namespace).iter().copied();
    // A service without a selector has its endpoints from somewhere else.
    services.filter(|service| !service.spec.selector.is_empty()).filter(|service| {
        let selector = Selector::of_labels(&service.spec.selector);
        controller.replicas.iter().any(|pod| selector.matches(&pod.meta.labels))
    })
}

/// The service that a workload answers for, as the proxies of its callers name it, and why it cannot be told apart.
pub(super) fn service(
    world: &World<'_>,
    index: usize,
    answered: &Answered<'_>,
) -> (ServiceId, Option<String>) {
    let controller = &world.controllers[index];
    let mut all: Vec<&Service> = selecting(world, controller).collect();
    all.sort_unstable_by(|a, b| a.meta.name.cmp(&b.meta.name));
    let id = |name: &str| {
        let (namespace, domain) = (&controller.meta.namespace, &world.conventions.cluster_domain);
        ServiceId::new(format!("{name}.{namespace}.svc.{domain}"))
    };
    let Some(chosen) = choose(&all, &controller.meta.name) else {
        let why = match all.first() {
            None => "no service selects its pods, so that nothing is measured of it".to_owned(),
            Some(_) => {
                let names: Vec<&str> = all.iter().map(|service| service.meta.name.as_str()).collect();
                format!("callers reach it by several services: {}", names.join(", "))
            }
        };
        let name = all.first().map_or(controller.meta.name.as_str(), |service| service.meta.name.as_str());
        return (id(name), Some(why));
    };
    let beside = answered.get(&(chosen.meta.namespace.as_str(), chosen.meta.name.as_str()));
    let other = beside.into_iter().flatten().find(|other| **other != index);
    let why = other.map(|other| {
        let (service, other) = (&chosen.meta.name, &world.controllers[*other].id);
        format!("workload `{other}` answers for service `{service}` as well")
    });
    (id(&chosen.meta.name), why)
}

/// The only one, or the one of the workload's name, or the only one that is not headless.
fn choose<'s>(all: &[&'s Service], workload: &str) -> Option<&'s Service> {
    if let [only] = all {
        return Some(only);
    }
    if let Some(named) = all.iter().find(|service| service.meta.name == workload) {
        return Some(named);
    }
    let mut shared = all.iter().filter(|service| service.spec.cluster_ip != "None");
    let (first, second) = (shared.next(), shared.next());
    first.filter(|_| second.is_none()).copied()
}
