//! Objects by what they belong to: looked up once, so that each workload is mapped without looking at all the others.
use super::changing;
use crate::{
    objects::{Budget, Claim, Meta, Node, Objects, PersistentVolume, Pod, Quota, Scaler, Selector, Service},
    settings::Conventions,
};
use foremesh_core::ids::WorkloadId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What makes the replicas of a managed workload.
#[derive(Debug)]
pub(super) struct Controller<'o> {
    pub(super) id: WorkloadId,
    /// As an autoscaler names its target.
    pub(super) kind: &'static str,
    pub(super) meta: &'o Meta,
    /// Replicas that it is told to have.
    pub(super) wanted: u32,
    /// What its own status says is under way.
    pub(super) change: Option<String>,
    /// Its pods that are on a node and stay there, ordered by name.
    pub(super) replicas: Vec<&'o Pod>,
    /// Its pods that are on no node that is known.
    pub(super) waiting: u32,
    /// The labels that its replicas have; mostly all have the same.
    pub(super) labels: Vec<&'o BTreeMap<String, String>>,
}

/// Pods of one owner with the same labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alike<'o> {
    /// Index of the controller; `None` for a pod of no managed workload.
    pub(super) owner: Option<usize>,
    pub(super) pod: &'o Pod,
}

/// Objects by namespace.
type By<'o, T> = HashMap<&'o str, Vec<&'o T>>;

/// All objects, found by what they belong to.
#[derive(Debug)]
pub(super) struct World<'o> {
    pub(super) conventions: &'o Conventions,
    pub(super) nodes: BTreeMap<&'o str, &'o Node>,
    pub(super) controllers: Vec<Controller<'o>>,
    /// Pods that take up room and are no replica, by node: those of nobody, and replicas that are ending.
    pub(super) besides: HashMap<&'o str, Vec<&'o Pod>>,
    /// Pods that other pods may be kept near to or away from, by namespace.
    pub(super) alike: Neighbourhoods<'o>,
    /// Who must stay away from pods of no managed workload, by namespace, and those pods.
    pub(super) kept_away: HashMap<&'o str, Vec<(&'o Selector, &'o Pod)>>,
    pub(super) services: By<'o, Service>,
    pub(super) budgets: By<'o, Budget>,
    pub(super) quotas: By<'o, Quota>,
    pub(super) scalers: By<'o, Scaler>,
    pub(super) claims: HashMap<(&'o str, &'o str), &'o Claim>,
    pub(super) volumes: HashMap<&'o str, &'o PersistentVolume>,
    pub(super) namespaces: BTreeMap<&'o str, &'o Meta>,
}

type Neighbourhoods<'o> = HashMap<&'o str, Vec<Alike<'o>>>;

impl<'o> World<'o> {
    pub(super) fn new(objects: &'o Objects, conventions: &'o Conventions) -> Self {
        let namespaces: BTreeMap<&str, &Meta> = objects
            .namespaces
            .iter()
            .map(|namespace| (namespace.meta.name.as_str(), &namespace.meta))
            .collect();
        let mut world = Self {
            conventions,
            nodes: objects.nodes.iter().map(|node| (node.meta.name.as_str(), &**node)).collect(),
            controllers: controllers(objects, conventions, &namespaces),
            besides: HashMap::new(),
            alike: HashMap::new(),
            kept_away: HashMap::new(),
            services: by_namespace(&objects.services, |service| &service.meta),
            budgets: by_namespace(&objects.budgets, |budget| &budget.meta),
            quotas: by_namespace(&objects.quotas, |quota| &quota.meta),
            scalers: by_namespace(&objects.scalers, |scaler| &scaler.meta),
            claims: objects
                .claims
                .iter()
                .map(|claim| ((claim.meta.namespace.as_str(), claim.meta.name.as_str()), &**claim))
                .collect(),
            volumes: objects.volumes.iter().map(|volume| (volume.meta.name.as_str(), &**volume)).collect(),
            namespaces,
        };
        world.take_pods(objects);
        world
    }

    fn take_pods(&mut self, objects: &'o Objects) {
        let mut owners: HashMap<&str, usize> = HashMap::new();
        for (index, controller) in self.controllers.iter().enumerate() {
            owners.insert(&controller.meta.uid, index);
        }
        // A Deployment owns its pods through its replica sets.
        for set in &objects.replica_sets {
            if let Some(index) = owners.get(set.meta.owner.as_str()).copied() {
                owners.insert(&set.meta.uid, index);
            }
        }
        let mut keepers: Vec<&Pod> = Vec::new();
        for pod in objects.pods.iter().filter(|pod| !pod.ended) {
            let owner = owners.get(pod.meta.owner.as_str()).copied().filter(|_| !pod.meta.terminating);
            match owner {
                Some(index) if self.nodes.contains_key(pod.node.as_str()) => {
                    self.controllers[index].replicas.push(pod);
                }
                Some(index) => self.controllers[index].waiting += 1,
                None if pod.node.is_empty() => {}
                None => {
                    self.besides.entry(&pod.node).or_default().push(pod);
                    // One that is ending keeps nobody away for long.
                    if !pod.meta.terminating {
                        self.take_besides(pod, &mut keepers);
                    }
                }
            }
        }
        for keeper in keepers {
            for term in &keeper.rules.without {
                let Some(selector) = &term.label_selector else { continue };
                let own = &keeper.meta.namespace;
                for namespace in self.namespaces_of(own, &term.namespaces, term.namespace_selector.as_ref()) {
                    self.kept_away.entry(namespace).or_default().push((selector, keeper));
                }
            }
        }
        self.compare_labels();
    }

    fn compare_labels(&mut self) {
        for (index, controller) in self.controllers.iter_mut().enumerate() {
            controller.replicas.sort_unstable_by(|a, b| a.meta.name.cmp(&b.meta.name));
            for pod in &controller.replicas {
                if !controller.labels.contains(&&pod.meta.labels) {
                    controller.labels.push(&pod.meta.labels);
                    let alike = Alike { owner: Some(index), pod };
                    self.alike.entry(&controller.meta.namespace).or_default().push(alike);
                }
            }
        }
    }

    fn take_besides(&mut self, pod: &'o Pod, keepers: &mut Vec<&'o Pod>) {
        let alike = self.alike.entry(&pod.meta.namespace).or_default();
        if alike.last().is_none_or(|last| last.pod.meta.labels != pod.meta.labels) {
            alike.push(Alike { owner: None, pod });
        }
        let same = |last: &&Pod| {
            last.meta.namespace == pod.meta.namespace && last.rules.without == pod.rules.without
        };
        if !pod.rules.without.is_empty() && !keepers.last().is_some_and(same) {
            keepers.push(pod);
        }
    }

    /// Namespaces by name, or by label.
    pub(super) fn namespaces_of<'s>(
        &self,
        own: &'s str,
        named: &'s BTreeSet<String>,
        selector: Option<&Selector>,
    ) -> BTreeSet<&'s str>
    where
        'o: 's,
    {
        let mut found: BTreeSet<&str> = named.iter().map(String::as_str).collect();
        match selector {
            Some(selector) => {
                let selected = self.namespaces.iter().filter(|(_, meta)| selector.matches(&meta.labels));
                found.extend(selected.map(|(name, _)| *name));
            }
            None if found.is_empty() => {
                found.insert(own);
            }
            None => {}
        }
        found
    }

    /// What is in a namespace.
    pub(super) fn within<'s, T>(by: &'s By<'o, T>, namespace: &str) -> &'s [&'o T] {
        by.get(namespace).map_or(&[], Vec::as_slice)
    }
}

fn by_namespace<T>(objects: &[Arc<T>], meta: impl Fn(&T) -> &Meta) -> By<'_, T> {
    let mut by: By<'_, T> = HashMap::new();
    for object in objects {
        by.entry(meta(object).namespace.as_str()).or_default().push(object);
    }
    by
}

/// Deployments and stateful sets of the namespaces that have opted in, ordered by their names.
fn controllers<'o>(
    objects: &'o Objects,
    conventions: &Conventions,
    namespaces: &BTreeMap<&str, &Meta>,
) -> Vec<Controller<'o>> {
    let managed = |meta: &Meta| {
        let labels = namespaces.get(meta.namespace.as_str()).map(|namespace| &namespace.labels);
        labels.and_then(|labels| labels.get(&conventions.opt_in_label)).is_some_and(|value| value == "true")
    };
    let controller = |id: String, kind, meta, wanted: Option<u32>, change| Controller {
        id: WorkloadId::new(id),
        kind,
        meta,
        wanted: wanted.unwrap_or(1),
        change,
        replicas: Vec::new(),
        waiting: 0,
        labels: Vec::new(),
    };
    let deployments = objects.deployments.iter().filter(|deployment| managed(&deployment.meta));
    let mut all: Vec<Controller<'o>> = deployments
        .map(|of| {
            let id = format!("{}/{}", of.meta.namespace, of.meta.name);
            controller(id, "Deployment", &of.meta, of.spec.replicas, changing::of_deployment(of))
        })
        .collect();
    let sets = objects.stateful_sets.iter().filter(|set| managed(&set.meta));
    all.extend(sets.map(|of| {
        // A stateful set may have the name of a Deployment.
        let id = format!("{}/statefulset/{}", of.meta.namespace, of.meta.name);
        controller(id, "StatefulSet", &of.meta, of.spec.replicas, changing::of_stateful_set(of))
    }));
    all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    all
}
