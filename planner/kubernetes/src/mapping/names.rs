//! What the cluster calls that which proxies report: a proxy knows its pod and the name of its workload, and neither the
//! service that the workload answers for nor, always, its node.
use super::{
    ZONE_LABEL,
    service::{Answering, service},
    world::World,
};
use crate::{
    objects::{Objects, Pod},
    settings::Conventions,
};
use foremesh_core::ids::{NodeId, ServiceId, WorkloadId, Zone};
use std::collections::HashMap;

/// Services by who answers for them, and zones by node.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By uid of the controller of a pod: a replica set or a stateful set.
    controllers: HashMap<String, ServiceId>,
    /// By namespace and name, for pods that are gone.
    workloads: HashMap<WorkloadId, ServiceId>,
    zones: HashMap<String, Zone>,
    domain: String,
}

/// What a proxy is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyPlace {
    /// Its workload, as it says so itself, in its namespace.
    pub workload: WorkloadId,
    /// What callers of the workload call it.
    pub service: ServiceId,
    /// Where its pod runs.
    pub node: Option<NodeId>,
    /// Zone of that node.
    pub zone: Option<Zone>,
}

impl Names {
    pub(crate) fn of(objects: &Objects, conventions: &Conventions) -> Self {
        let world = World::new(objects, conventions);
        let answering = Answering::new(&world);
        let mut names = Self { domain: conventions.cluster_domain.clone(), ..Self::default() };
        let mut by_uid: HashMap<&str, ServiceId> = HashMap::new();
        for (index, controller) in world.controllers.iter().enumerate() {
            let (service, _) = service(&world, index, &answering);
            by_uid.insert(&controller.meta.uid, service.clone());
            names.workloads.insert(controller.id.clone(), service);
        }
        for set in &objects.replica_sets {
            if let Some(service) = by_uid.get(set.meta.owner.as_str()) {
                names.controllers.insert(set.meta.uid.clone(), service.clone());
            }
        }
        for (uid, service) in by_uid {
            names.controllers.insert(uid.to_owned(), service);
        }
        for node in &objects.nodes {
            if let Some(zone) = node.meta.labels.get(ZONE_LABEL) {
                names.zones.insert(node.meta.name.clone(), Zone::new(zone.clone()));
            }
        }
        names
    }

    /// Whether it is known what makes a pod. It never is where nobody manages workloads, and of pods that no Deployment and
    /// no stateful set makes.
    pub(crate) fn knows(&self, pod: &Pod) -> bool {
        self.controllers.contains_key(&pod.meta.owner)
    }

    /// The service of a managed workload.
    pub(crate) fn workload(&self, workload: &WorkloadId) -> Option<&ServiceId> {
        self.workloads.get(workload)
    }

    /// What a proxy is a part of. Of a pod that is not known, `said` is the node that the proxy itself names.
    pub(crate) fn place(
        &self,
        namespace: &str,
        workload: &str,
        pod: Option<&Pod>,
        said: Option<&str>,
    ) -> ProxyPlace {
        let id = WorkloadId::new(format!("{namespace}/{workload}"));
        let service = pod
            .and_then(|pod| self.controllers.get(&pod.meta.owner))
            .or_else(|| self.workloads.get(&id))
            .cloned()
            .unwrap_or_else(|| ServiceId::new(format!("{workload}.{namespace}.svc.{}", self.domain)));
        let node = pod.map(|pod| pod.node.as_str()).or(said).filter(|node| !node.is_empty());
        let zone = node.and_then(|node| self.zones.get(node)).cloned();
        ProxyPlace { workload: id, service, node: node.map(NodeId::new), zone }
    }
}
