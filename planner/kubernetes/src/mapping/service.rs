//! What callers call a workload.
use super::world::{Controller, World};
use crate::objects::Service;
use foremesh_core::ids::ServiceId;
use std::collections::{BTreeMap, HashMap};

/// Services, and the workloads that answer for them.
#[derive(Debug)]
pub(super) struct Answering<'o> {
    /// Services of each workload, ordered by name.
    services: Vec<Vec<&'o Service>>,
    /// Workloads of each service, by its namespace and name.
    workloads: HashMap<(&'o str, &'o str), Vec<usize>>,
}

impl<'o> Answering<'o> {
    pub(super) fn new(world: &World<'o>) -> Self {
        let services: Vec<Vec<&Service>> =
            world.controllers.iter().map(|controller| selecting(world, controller)).collect();
        let mut workloads: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
        for (index, services) in services.iter().enumerate() {
            for service in services {
                workloads.entry((&service.meta.namespace, &service.meta.name)).or_default().push(index);
            }
        }
        Self { services, workloads }
    }
}

fn selecting<'o>(world: &World<'o>, controller: &Controller<'o>) -> Vec<&'o Service> {
    let services = World::within(&world.services, &controller.meta.namespace).iter().copied();
    let selects = |service: &&Service| {
        let selector = &service.spec.selector;
        let all_of = |labels: &&&BTreeMap<String, String>| {
            selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        // A service without a selector has its endpoints from somewhere else.
        !selector.is_empty() && controller.labels.iter().any(|labels| all_of(&labels))
    };
    let mut found: Vec<&Service> = services.filter(selects).collect();
    found.sort_unstable_by(|a, b| a.meta.name.cmp(&b.meta.name));
    found
}

/// The service that a workload answers for, as the proxies of its callers name it, and why it cannot be told apart.
pub(super) fn service(
    world: &World<'_>,
    index: usize,
    answering: &Answering<'_>,
) -> (ServiceId, Option<String>) {
    let controller = &world.controllers[index];
    let all = &answering.services[index];
    let id = |name: &str| {
        let (namespace, domain) = (&controller.meta.namespace, &world.conventions.cluster_domain);
        ServiceId::new(format!("{name}.{namespace}.svc.{domain}"))
    };
    let Some(chosen) = choose(all, &controller.meta.name) else {
        let names: Vec<&str> = all.iter().map(|service| service.meta.name.as_str()).collect();
        let why = if names.is_empty() {
            "no service selects its pods, so that nothing is measured of it".to_owned()
        } else {
            format!("callers reach it by several services: {}", names.join(", "))
        };
        let name = names.first().copied().unwrap_or(&controller.meta.name);
        return (id(name), Some(why));
    };
    let beside = answering.workloads.get(&(chosen.meta.namespace.as_str(), chosen.meta.name.as_str()));
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
