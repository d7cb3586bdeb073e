//! Who answers for a service, and where: its tasks that run, and the one that stands in for a replica while that moves.
use foremesh_core::ids::{NodeId, ReplicaId, ServiceId, Zone};
use foremesh_swarm::{
    Described, Surge,
    mapping::{self, Names, Objects, replica_id, replica_parts},
    objects::{Node, Service, Task},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// One task that can be sent requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) replica: ReplicaId,
    pub(super) slot: u64,
    pub(super) address: SocketAddr,
    pub(super) node: NodeId,
    pub(super) zone: Option<Zone>,
    /// It is the one of the surge service.
    pub(super) stands_in: bool,
}

/// All that answers for one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answering {
    name: String,
    pub(super) places: Vec<Place>,
    /// Slots that are to run, also those that do not at the moment.
    pub(super) slots: BTreeSet<u64>,
    /// The slot that is being moved: who of it gets traffic is for the move alone to say.
    pub(super) moving: Option<u64>,
}

impl Answering {
    /// The slot in the name of a replica; none of an address that somebody has written by hand.
    pub(super) fn slot_of(&self, replica: &ReplicaId) -> Option<u64> {
        replica_parts(&self.name, replica).map(|(slot, _)| slot)
    }

    /// Where a replica answers; the slot's own task after the one that stands in for it.
    pub(super) fn of<'a>(&'a self, replica: &'a ReplicaId) -> impl Iterator<Item = &'a Place> {
        self.places.iter().filter(move |place| place.replica == *replica)
    }

    /// Where a replica answers by itself.
    pub(super) fn own<'a>(&'a self, replica: &'a ReplicaId) -> Option<&'a Place> {
        self.of(replica).find(|place| !place.stands_in)
    }
}

/// All services whose tasks can be reached: those that say at which port, and in which network.
pub(super) fn answering(objects: &Objects) -> BTreeMap<ServiceId, Answering> {
    let names = Names::of(&objects.nodes);
    let nodes: BTreeMap<&str, &Node> = objects.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let surges: Vec<Surge> = objects.services.iter().filter_map(Surge::read).collect();
    let mut found = BTreeMap::new();
    for service in &objects.services {
        let Ok(described) = Described::read(service) else { continue };
        if described.is_surge() || described.replicas().is_none() {
            continue;
        }
        let (Ok(port), Ok(network)) = (described.port(), described.network(&objects.networks)) else {
            continue;
        };
        let wanted = |of: &Service| -> Vec<&Task> {
            objects.tasks.iter().filter(|task| task.service_id == of.id && task.wanted()).collect()
        };
        let place = |task: &Task, slot: u64, stands_in: bool| {
            let node = nodes.get(task.node_id.as_str()).filter(|node| node.answers() && task.runs())?;
            let name = names.name(&task.node_id);
            Some(Place {
                replica: replica_id(&described.name, slot, &name),
                slot,
                address: mapping::address(task, &network.id, port)?,
                node: name,
                zone: mapping::zone(node),
                stands_in,
            })
        };
        let surge = surges.iter().find(|surge| surge.of == service.id);
        let standing = surge.iter().flat_map(|surge| {
            let tasks = wanted(&surge.service).into_iter();
            tasks.filter_map(|task| place(task, surge.slot, true)).collect::<Vec<_>>()
        });
        let own = wanted(service);
        let slots = own.iter().map(|task| task.slot).collect();
        let places = standing.chain(own.iter().filter_map(|task| place(task, task.slot, false))).collect();
        let answering =
            Answering { name: described.name.clone(), places, slots, moving: surge.map(|surge| surge.slot) };
        found.insert(ServiceId::from(described.name.as_str()), answering);
    }
    found
}
