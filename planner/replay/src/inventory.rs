//! What the world shows, in the words of the planner.
use crate::memory::{Memory, Subject};
use foremesh_core::{
    forecast::Excluded,
    history::{KEPT_QUANTILES, ServiceStep},
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId, Zone},
    inputs::InFlight,
    policy::PastMove,
    time::Timestamp,
    topology::{Node, Replica, Requests, Snapshot, Workload},
    units::Millicores,
};
use foremesh_world::{Inventory, Minute, MoveState, Observed, ReplicaObserved, World};
use std::collections::{BTreeMap, BTreeSet};

const HOUR_MINUTES: f64 = 60.0;
const MINUTE_MS: i64 = 60_000;

pub(crate) const fn time(at_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(at_ms)
}

/// The name of a replica in plans.
pub(crate) fn replica_id(workload: &str, number: u32) -> ReplicaId {
    ReplicaId::new(format!("{workload}-{number}"))
}

/// The number of a replica that [`replica_id`] named.
pub(crate) fn replica_number(workload: &str, replica: &str) -> Option<u32> {
    replica.strip_prefix(workload)?.strip_prefix('-')?.parse().ok()
}

/// A node as it was in one minute.
#[derive(Clone, Debug)]
pub(crate) struct NodeNow {
    pub(crate) name: String,
    pub(crate) capacity_millicores: f64,
    /// Share of its CPU in use, when it reported.
    pub(crate) used_share: Option<f64>,
}

/// A replica as it was in one minute.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaNow {
    pub(crate) workload: String,
    pub(crate) number: u32,
    pub(crate) node: String,
    pub(crate) used_millicores: f64,
    pub(crate) movable: bool,
}

pub(crate) fn nodes_now(world: &World, minute: &Minute) -> Vec<NodeNow> {
    let used: BTreeMap<&str, f64> =
        minute.observed.nodes.iter().map(|node| (&*node.node, node.cpu_m)).collect();
    let nodes = world.inventory().nodes.into_iter();
    nodes
        .map(|node| NodeNow {
            used_share: used.get(&*node.name).map(|used| used / node.capacity_m),
            capacity_millicores: node.capacity_m,
            name: node.name.to_string(),
        })
        .collect()
}

pub(crate) fn replicas_now(world: &World, minute: &Minute) -> Vec<ReplicaNow> {
    let moving: BTreeSet<(&str, u32)> =
        running(world).map(|state| (&*state.workload, state.replica)).collect();
    let reported = minute.observed.replicas.iter();
    reported
        .map(|replica| ReplicaNow {
            workload: replica.workload.to_string(),
            number: replica.replica,
            node: replica.node.to_string(),
            used_millicores: replica.cpu_m,
            movable: !moving.contains(&(&*replica.workload, replica.replica)),
        })
        .collect()
}

fn running(world: &World) -> impl Iterator<Item = &MoveState> {
    world.moves().iter().filter(|state| state.ended_minute.is_none())
}

/// Price of one minute of the nodes that hold a replica.
pub(crate) fn cost_per_minute(world: &World) -> f64 {
    let inventory = world.inventory();
    let mut held: BTreeSet<String> = inventory
        .workloads
        .iter()
        .flat_map(|w| &w.replicas)
        .map(|replica| replica.node.to_string())
        .collect();
    held.extend(running(world).map(|state| state.to.to_string()));
    let price = |node: &foremesh_world::NodeEntry| held.contains(&*node.name).then_some(node.cost_per_hour);
    inventory.nodes.iter().filter_map(price).sum::<f64>() / HOUR_MINUTES
}

/// Remembers one minute.
pub(crate) fn take_in(memory: &mut Memory, world: &World, minute: &Minute) {
    let observed = &minute.observed;
    for service in &observed.services {
        let Some(latency_ms) = service.latency_ms else { continue };
        debug_assert_eq!(latency_ms.len(), KEPT_QUANTILES.len());
        let requests = u32::try_from(service.requests).unwrap_or(u32::MAX);
        let errors = u32::try_from(service.errors).unwrap_or(u32::MAX);
        let step = ServiceStep::new(requests, errors, latency_ms.map(|ms| ms as f32));
        memory.observe_service(&ServiceId::new(&*service.service), Some(step));
    }
    let managed = used_by(observed, |replica| &replica.node);
    for node in &observed.nodes {
        let id = NodeId::new(&*node.node);
        memory.observe(Subject::NodeUse(id.clone()), node.cpu_m);
        let background = node.cpu_m - managed.get(&*node.node).copied().unwrap_or(0.0);
        memory.observe(Subject::NodeBackground(id), background.max(0.0));
    }
    for (workload, used) in used_by(observed, |replica| &replica.workload) {
        memory.observe(Subject::WorkloadUse(WorkloadId::new(workload)), used);
    }
    memory.observe_edges(&observed.edges);
    memory.end_minute(time(minute.at_ms + MINUTE_MS));
    debug_assert_eq!(memory.now().unix_ms(), world.now_ms());
}

/// CPU of all replicas, summed by what `key` gives.
fn used_by(observed: &Observed, key: fn(&ReplicaObserved) -> &str) -> BTreeMap<&str, f64> {
    let mut sums = BTreeMap::new();
    for replica in &observed.replicas {
        *sums.entry(key(replica)).or_insert(0.0) += replica.cpu_m;
    }
    sums
}

/// The snapshot that a platform would give.
pub(crate) fn snapshot(inventory: &Inventory, observed: &Observed, now: Timestamp) -> Snapshot {
    let node_used: BTreeMap<&str, f64> =
        observed.nodes.iter().map(|node| (&*node.node, node.cpu_m)).collect();
    let workload_used = used_by(observed, |replica| &replica.workload);
    let millicores = |value: f64| Millicores::new(value).ok();
    let mut snapshot = Snapshot::empty(now);
    for node in &inventory.nodes {
        let Some(capacity) = millicores(node.capacity_m) else { continue };
        let node_now = Node {
            used: node_used.get(&*node.name).and_then(|used| millicores(*used)),
            zone: Some(Zone::new(&*node.zone)),
            cost_per_hour: node.cost_per_hour,
            memory_bytes: Some(node.memory_bytes),
            ..Node::new(capacity)
        };
        snapshot.nodes.insert(NodeId::new(&*node.name), node_now);
    }
    for workload in &inventory.workloads {
        let replicas = workload.replicas.iter().map(|replica| {
            let placed = Replica::new(NodeId::new(&*replica.node), replica.ready);
            (replica_id(&workload.name, replica.replica), placed)
        });
        let workload_now = Workload {
            replicas: replicas.collect(),
            used: workload_used.get(&*workload.name).and_then(|used| millicores(*used)),
            requests: Requests {
                cpu_millicores: Some(workload.request_m),
                memory_bytes: Some(workload.memory_bytes),
            },
            cpu_limit: workload.limit_m.and_then(millicores),
            ..Workload::new(ServiceId::new(&*workload.service))
        };
        snapshot.workloads.insert(WorkloadId::new(&*workload.name), workload_now);
    }
    snapshot
}

/// The zone of each node.
pub(crate) fn zones(inventory: &Inventory) -> BTreeMap<NodeId, Zone> {
    let of_node = |node: &foremesh_world::NodeEntry| (NodeId::new(&*node.name), Zone::new(&*node.zone));
    inventory.nodes.iter().map(of_node).collect()
}

/// Moves that are not over.
pub(crate) fn in_flight(world: &World) -> Vec<InFlight> {
    running(world)
        .map(|state| InFlight {
            workload: WorkloadId::new(&*state.workload),
            service: ServiceId::new(&*state.workload),
            replica: replica_id(&state.workload, state.replica),
            from: NodeId::new(&*state.from),
            to: NodeId::new(&*state.to),
            traffic: foremesh_core::plan::Traffic::WHOLE,
            shift_to: None,
        })
        .collect()
}

/// Replicas that are to follow the last move of a replica, by the workload and its number.
pub(crate) type Followers = BTreeMap<(String, u32), Vec<ReplicaId>>;

/// Moves that are over.
pub(crate) fn past_moves(world: &World, start: Timestamp, followers: &Followers) -> Vec<PastMove> {
    let at = |minute: u32| start.plus_ms(i64::from(minute) * MINUTE_MS);
    let then = |state: &MoveState| {
        followers.get(&(state.workload.to_string(), state.replica)).cloned().unwrap_or_default()
    };
    world
        .moves()
        .iter()
        .filter_map(|state| {
            Some(PastMove {
                workload: WorkloadId::new(&*state.workload),
                service: ServiceId::new(&*state.workload),
                from: NodeId::new(&*state.from),
                to: NodeId::new(&*state.to),
                started_at: at(state.begun_minute),
                ended_at: at(state.ended_minute?),
                failed: !state.succeeded,
                then: if state.succeeded { then(state) } else { Vec::new() },
            })
        })
        .collect()
}

/// When each service was brought elsewhere: from the first traffic there to the end.
pub(crate) fn shifts(world: &World, start: Timestamp) -> Vec<(ServiceId, Excluded)> {
    let at = |minute: u32| start.plus_ms(i64::from(minute) * MINUTE_MS);
    let moves = world.moves().iter();
    moves
        .filter_map(|state| {
            let to = state.ended_minute.map_or(Timestamp::from_unix_ms(i64::MAX), at);
            Some((ServiceId::new(&*state.workload), Excluded { from: at(state.ready_minute?), to }))
        })
        .collect()
}

/// How long the last move of each workload took, in milliseconds.
pub(crate) fn durations(world: &World) -> BTreeMap<WorkloadId, i64> {
    let done = world.moves().iter().filter(|state| state.succeeded);
    done.filter_map(|state| {
        let took = state.ended_minute?.saturating_sub(state.begun_minute);
        Some((WorkloadId::new(&*state.workload), i64::from(took) * MINUTE_MS))
    })
    .collect()
}
