//! The world: a mesh on nodes, minute by minute.

mod events;
mod minute;
mod moving;
mod observe;
mod placement;
mod quantiles;
mod reference;
mod sampling;
mod setup;
mod shapes;
mod trouble;
mod work;

use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::output::{Inventory, KnownEvent, Minute, MoveState, NodeEntry, ReplicaEntry, WorkloadEntry};
use crate::random::{Draw, Key};
use crate::scenario::ScenarioSpec;
use crate::{Mesh, Scenario};
use events::Due;
use sampling::Tables;
use setup::Setup;

/// Why a scenario cannot be played on a mesh.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The scenario names a service that the mesh does not have.
    #[error(
        "the scenario names service `{name}`, which is none of the mesh's {services}; name one of them, or a rank"
    )]
    UnknownService {
        /// The name.
        name: String,
        /// How many there are.
        services: usize,
    },
    /// The scenario names an operation that the mesh does not have.
    #[error(
        "the scenario names operation `{name}`, which is none of the mesh's {operations}; name one of them, or a rank"
    )]
    UnknownOperation {
        /// The name.
        name: String,
        /// How many there are.
        operations: usize,
    },
    /// The scenario names a node that is not there.
    #[error("the scenario names node `{name}`; nodes are node-1 to node-{nodes}, or ranks")]
    UnknownNode {
        /// The name.
        name: String,
        /// How many there are.
        nodes: usize,
    },
}

/// A replica, or one end of its move.
#[derive(Clone, Debug)]
struct Instance {
    service: usize,
    replica: u32,
    node: usize,
    /// Share of the replica's traffic that it takes.
    share: f64,
    /// First minute in which it took traffic, for caches; none when they are warm.
    cold_since: Option<u32>,
    /// Whether it is starting, and takes CPU for that.
    starting: bool,
    /// The move of which it is the new end.
    incoming: Option<usize>,
    /// Core seconds that a CPU limit made wait.
    throttled: f64,
}

/// A simulated mesh.
///
/// Ticks by minutes. A clone is independent: ticking it tells what will happen to the original if nothing
/// is moved there.
#[derive(Clone, Debug)]
pub struct World {
    setup: Arc<Setup>,
    tables: Arc<Tables>,
    minute: u32,
    instances: Vec<Instance>,
    /// Core seconds waiting, by node.
    backlog: Vec<f64>,
    /// Share of calls tried again, by service.
    retried: Vec<f64>,
    moves: Vec<MoveState>,
    due: BinaryHeap<Due>,
    /// Nodes that have a service's image, as service and node.
    images: Vec<(usize, usize)>,
    scratch: minute::Scratch,
}

impl World {
    /// A world at the first minute of its warm-up.
    ///
    /// # Errors
    /// When the scenario names something that the mesh does not have.
    pub fn new(mesh: &Mesh, scenario: &Scenario, seed: u64) -> Result<Self, WorldError> {
        let (setup, placed) = Setup::new(mesh, scenario, seed)?;
        let images = placed.iter().map(|placed| (placed.service, placed.node)).collect();
        let instances = placed
            .iter()
            .map(|placed| Instance {
                service: placed.service,
                replica: placed.replica,
                node: placed.node,
                share: 1.0,
                cold_since: None,
                starting: false,
                incoming: None,
                throttled: 0.0,
            })
            .collect();
        let mut world = Self {
            tables: Arc::new(Tables::new()),
            minute: 0,
            instances,
            backlog: vec![0.0; setup.nodes.len()],
            retried: vec![0.0; setup.services.len()],
            moves: Vec::new(),
            due: BinaryHeap::new(),
            images,
            scratch: minute::Scratch::new(&setup),
            setup: Arc::new(setup),
        };
        let objectives = world.reference_objectives();
        if let Some(setup) = Arc::get_mut(&mut world.setup) {
            setup.trouble.with_objectives(&objectives);
            setup.objectives = objectives;
        }
        Ok(world)
    }

    /// Lets one minute pass.
    pub fn tick(&mut self) -> Minute {
        self.happen();
        let at_ms = self.now_ms();
        self.run_minute(self.setup.spec.samples_per_minute);
        let truth = self.truth();
        let observed = self.observed();
        let minute = Minute { minute: self.minute, at_ms, truth, observed };
        self.minute += 1;
        minute
    }

    /// The next minute to tick.
    pub fn minute(&self) -> u32 {
        self.minute
    }

    /// Milliseconds since 1970 of the next minute.
    pub fn now_ms(&self) -> i64 {
        self.setup.start_ms + i64::from(self.minute) * 60_000
    }

    /// Minutes in which strategies may learn.
    pub fn warm_up_minutes(&self) -> u32 {
        self.setup.spec.warm_up.0 as u32
    }

    /// Minutes that count, after the warm-up.
    pub fn measured_minutes(&self) -> u32 {
        self.setup.spec.measured.0 as u32
    }

    /// The scenario that is played.
    pub fn spec(&self) -> &ScenarioSpec {
        &self.setup.spec
    }

    /// All events of the run, as a calendar knows them ahead.
    pub fn calendar(&self) -> &[KnownEvent] {
        &self.setup.calendar
    }

    /// Whether a fault of `service`, or of one that it waits for, is active in `minute`; false for names
    /// that are not in the mesh.
    pub fn faulty(&self, service: &str, minute: u32) -> bool {
        let known = self.setup.services.iter().position(|known| *known.id == *service);
        known.is_some_and(|service| self.setup.trouble.explains(service, i64::from(minute)))
    }

    /// Nodes and workloads as they are now.
    pub fn inventory(&self) -> Inventory {
        let setup = &self.setup;
        let nodes = setup
            .nodes
            .iter()
            .map(|node| NodeEntry {
                name: node.id.clone(),
                zone: node.zone.clone(),
                capacity_m: node.cores * 1000.0,
                memory_bytes: node.memory_bytes,
                cost_per_hour: node.cost_per_hour,
            })
            .collect();
        let workloads = setup
            .services
            .iter()
            .enumerate()
            .map(|(number, service)| WorkloadEntry {
                name: service.id.clone(),
                service: service.id.clone(),
                request_m: service.request_m,
                limit_m: service.limit_m,
                memory_bytes: service.memory_bytes,
                stateful: service.stateful,
                objective_ms: setup.objectives[number],
                replicas: self
                    .instances
                    .iter()
                    .filter(|instance| instance.service == number && instance.incoming.is_none())
                    .map(|instance| ReplicaEntry {
                        replica: instance.replica,
                        node: setup.nodes[instance.node].id.clone(),
                        ready: true,
                    })
                    .collect(),
            })
            .collect();
        Inventory { nodes, workloads }
    }

    fn key(&self, draw: Draw) -> Key {
        Key::new(self.setup.seed, draw)
    }
}
