//! Which replica is where, moves that are under way or chosen before included: what the next move is judged against.
//!
//! A move takes up room at both of its ends until it is over: the successor on the target, and the replica that it
//! replaces on the source. So a layout never frees anything, and ten moves that are judged one after the other against
//! one free place find that place taken after the first. Where the platform shows a successor already, it counts twice
//! until the move is over, which errs on the safe side.
//!
//! Nodes and workloads are numbered in the order of their names. A layout is made once for a pass; a move is added to
//! it and taken back in place.
use crate::{
    forecast::Forecast,
    gauge::GaugeMetric,
    ids::{NodeId, ReplicaId, WorkloadId, Zone},
    inputs::Inputs,
    plan::Move,
    topology::{Node, TopologyKey, Workload},
    twin::UPPER,
};

/// Number of a node in a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub(super) usize);

/// Number of a workload in a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadIndex(pub(super) usize);

/// A replica's way from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What moves.
    pub workload: WorkloadIndex,
    /// Where it comes from; `None` when nothing is left there.
    pub from: Option<NodeIndex>,
    /// Where it goes.
    pub to: NodeIndex,
}

/// Replicas of one workload in one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Those that run there.
    pub(super) running: u32,
    /// Of these, those that will be retired.
    pub(super) leaving: u32,
    /// Successors on their way.
    pub(super) arriving: u32,
}

impl Count {
    /// Everything that takes up room there now.
    pub(super) const fn present(self) -> u32 {
        self.running + self.arriving
    }

    /// What is there now and stays.
    pub(super) const fn staying(self) -> u32 {
        self.running.saturating_sub(self.leaving)
    }

    /// What is there when all moves are over.
    pub(super) const fn after(self) -> u32 {
        self.staying() + self.arriving
    }
}

/// A node with what has been asked of it.
#[derive(Clone, Debug)]
pub(super) struct NodeSlot<'a> {
    pub(super) id: &'a NodeId,
    pub(super) node: &'a Node,
    pub(super) zone: Option<usize>,
    /// CPU asked for by everything on it, in millicores.
    pub(super) cpu: f64,
    /// Memory asked for by everything on it, in bytes.
    pub(super) memory: f64,
    /// Replicas on it.
    pub(super) replicas: u32,
    /// Ports held by workloads.
    pub(super) ports: Vec<(u16, WorkloadIndex)>,
    /// Memory that successors on their way need at their fullest moment, in bytes.
    pub(super) arriving_memory: f64,
}

/// A workload with where its replicas are, in the order of nodes and zones.
#[derive(Clone, Debug)]
pub(super) struct WorkloadSlot<'a> {
    pub(super) id: &'a WorkloadId,
    pub(super) workload: &'a Workload,
    pub(super) on_nodes: Vec<(usize, Count)>,
    pub(super) in_zones: Vec<(usize, Count)>,
    /// Workloads that may not be where it is, whichever of the two says so.
    pub(super) apart_from: Vec<(WorkloadIndex, TopologyKey)>,
    /// Workloads that must have a replica of it in the same domain.
    pub(super) needed_by: Vec<(WorkloadIndex, TopologyKey)>,
    pub(super) namespace: Option<usize>,
}

/// What moves have added to a namespace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    pub(super) cpu: f64,
    pub(super) memory: f64,
    pub(super) replicas: u32,
}

/// Which replica is where.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    pub(crate) inputs: Inputs<'a>,
    pub(super) nodes: Vec<NodeSlot<'a>>,
    pub(super) workloads: Vec<WorkloadSlot<'a>>,
    pub(super) zones: Vec<&'a Zone>,
    added: Vec<Added>,
}

impl<'a> Layout<'a> {
    /// The layout of a snapshot with the moves in flight.
    pub fn new(inputs: &Inputs<'a>) -> Self {
        let snapshot = inputs.snapshot;
        let zones = sorted(snapshot.nodes.values().filter_map(|node| node.zone.as_ref()));
        let namespaces = sorted(snapshot.workloads.values().filter_map(|w| w.namespace.as_deref()));
        let node_slot = |(id, node): (&'a NodeId, &'a Node)| NodeSlot {
            id,
            node,
            zone: node.zone.as_ref().and_then(|zone| zones.binary_search(&zone).ok()),
            cpu: node.besides.requests.cpu_millicores.unwrap_or(0.0),
            memory: node.besides.requests.memory_bytes.unwrap_or(0.0),
            replicas: node.besides.replicas,
            ports: Vec::new(),
            arriving_memory: 0.0,
        };
        let workload_slot = |(id, workload): (&'a WorkloadId, &'a Workload)| WorkloadSlot {
            id,
            workload,
            on_nodes: Vec::new(),
            in_zones: Vec::new(),
            apart_from: Vec::new(),
            needed_by: Vec::new(),
            namespace: workload.namespace.as_deref().and_then(|name| namespaces.binary_search(&name).ok()),
        };
        let mut layout = Self {
            inputs: *inputs,
            nodes: snapshot.nodes.iter().map(node_slot).collect(),
            workloads: snapshot.workloads.iter().map(workload_slot).collect(),
            added: vec![Added::default(); namespaces.len()],
            zones,
        };
        layout.relate();
        layout.settle();
        for moving in inputs.in_flight.iter().filter(|moving| moving.shift_to.is_none()) {
            if let Some(step) = layout.step(&moving.workload, &moving.replica, &moving.from, &moving.to) {
                layout.begin(step);
            }
        }
        layout
    }

    /// Number of a node.
    pub fn node_index(&self, id: &NodeId) -> Option<NodeIndex> {
        self.nodes.binary_search_by(|slot| slot.id.cmp(id)).ok().map(NodeIndex)
    }

    /// Number of a workload.
    pub fn workload_index(&self, id: &WorkloadId) -> Option<WorkloadIndex> {
        self.named(id.as_str())
    }

    /// Every node's number, in the order of names.
    pub fn node_indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len()).map(NodeIndex)
    }

    /// A node by its number.
    pub fn node(&self, index: NodeIndex) -> (&'a NodeId, &'a Node) {
        let slot = &self.nodes[index.0];
        (slot.id, slot.node)
    }

    /// A workload by its number.
    pub fn workload(&self, index: WorkloadIndex) -> (&'a WorkloadId, &'a Workload) {
        let slot = &self.workloads[index.0];
        (slot.id, slot.workload)
    }

    /// The step of a plan's move; `None` when its workload or target is not in the snapshot, or only traffic goes.
    pub fn step_of(&self, planned: &Move) -> Option<Step> {
        if planned.is_shift() {
            return None;
        }
        self.step(&planned.workload, &planned.replica, &planned.from, &planned.to)
    }

    /// Counts a move: its successor on the target, its replica still on the source, and as leaving there.
    pub fn begin(&mut self, step: Step) {
        self.change(step, |count| *count += 1, 1.0);
    }

    /// Forgets a move that was counted.
    pub fn take_back(&mut self, step: Step) {
        self.change(step, |count| *count = count.saturating_sub(1), -1.0);
    }

    pub(super) fn named(&self, workload: &str) -> Option<WorkloadIndex> {
        self.workloads.binary_search_by(|slot| slot.id.as_str().cmp(workload)).ok().map(WorkloadIndex)
    }

    pub(super) fn added_to(&self, workload: WorkloadIndex) -> Added {
        self.workloads[workload.0].namespace.map(|at| self.added[at]).unwrap_or_default()
    }

    /// Replicas of a workload in the domain that a node belongs to.
    pub(super) fn count(&self, workload: WorkloadIndex, over: TopologyKey, node: NodeIndex) -> Count {
        let slot = &self.workloads[workload.0];
        match over {
            TopologyKey::Node => find(&slot.on_nodes, node.0),
            TopologyKey::Zone => {
                self.nodes[node.0].zone.map(|at| find(&slot.in_zones, at)).unwrap_or_default()
            }
        }
    }

    /// Name of the domain that a node belongs to; `None` without a zone.
    pub(super) fn domain(&self, over: TopologyKey, node: NodeIndex) -> Option<&'a str> {
        match over {
            TopologyKey::Node => Some(self.nodes[node.0].id.as_str()),
            TopologyKey::Zone => self.nodes[node.0].zone.map(|at| self.zones[at].as_str()),
        }
    }

    /// Memory in bytes that one replica needs at its fullest moment: as forecast, else as asked for.
    pub(super) fn memory_of_replica(&self, workload: WorkloadIndex) -> Option<f64> {
        let slot = &self.workloads[workload.0];
        let forecasts = self.inputs.resources.workloads.get(slot.id);
        let forecast = forecasts.and_then(|of| of.get(&GaugeMetric::MemoryUsedBytes)?.as_ref().ok());
        let replicas = slot.workload.replicas.len().max(1) as f64;
        let peak = forecast.and_then(|forecast| peak(forecast, |_| true));
        peak.map(|peak| peak / replicas).or(slot.workload.requests.memory_bytes)
    }

    fn step(
        &self,
        workload_id: &WorkloadId,
        replica: &ReplicaId,
        from: &NodeId,
        to: &NodeId,
    ) -> Option<Step> {
        let workload = self.workload_index(workload_id)?;
        let placed = self.workloads[workload.0].workload.replicas.get(replica);
        let from = placed.filter(|placed| placed.node == *from).and_then(|_| self.node_index(from));
        Some(Step { workload, from, to: self.node_index(to)? })
    }

    fn change(&mut self, step: Step, turn: fn(&mut u32), sign: f64) {
        self.tally(step.workload, step.to, |count| turn(&mut count.arriving));
        if let Some(from) = step.from {
            self.tally(step.workload, from, |count| turn(&mut count.leaving));
        }
        let memory = self.memory_of_replica(step.workload).unwrap_or(0.0);
        self.nodes[step.to.0].arriving_memory += sign * memory;
        self.occupy(step.workload, step.to, sign);
        let slot = &self.workloads[step.workload.0];
        if let Some(at) = slot.namespace {
            let (requests, added) = (&slot.workload.requests, &mut self.added[at]);
            added.cpu += sign * requests.cpu_millicores.unwrap_or(0.0);
            added.memory += sign * requests.memory_bytes.unwrap_or(0.0);
            turn(&mut added.replicas);
        }
    }

    /// One replica more on a node, or with a negative sign one less.
    fn occupy(&mut self, workload: WorkloadIndex, node: NodeIndex, sign: f64) {
        let wanted = self.workloads[workload.0].workload;
        let slot = &mut self.nodes[node.0];
        slot.cpu += sign * wanted.requests.cpu_millicores.unwrap_or(0.0);
        slot.memory += sign * wanted.requests.memory_bytes.unwrap_or(0.0);
        if sign > 0.0 {
            slot.replicas += 1;
            slot.ports.extend(wanted.scheduling.host_ports.iter().map(|port| (*port, workload)));
        } else {
            slot.replicas = slot.replicas.saturating_sub(1);
            for port in &wanted.scheduling.host_ports {
                if let Some(at) = slot.ports.iter().rposition(|held| *held == (*port, workload)) {
                    slot.ports.remove(at);
                }
            }
        }
    }

    fn tally(&mut self, workload: WorkloadIndex, node: NodeIndex, turn: impl Fn(&mut Count)) {
        let zone = self.nodes[node.0].zone;
        let slot = &mut self.workloads[workload.0];
        turn(entry(&mut slot.on_nodes, node.0));
        if let Some(zone) = zone {
            turn(entry(&mut slot.in_zones, zone));
        }
    }

    /// Puts the replicas of the snapshot where they run.
    fn settle(&mut self) {
        for at in 0..self.workloads.len() {
            let workload = WorkloadIndex(at);
            for replica in self.workloads[at].workload.replicas.values() {
                if let Some(node) = self.node_index(&replica.node) {
                    self.tally(workload, node, |count| count.running += 1);
                    self.occupy(workload, node, 1.0);
                }
            }
        }
    }

    /// Notes for each workload which others may not be where it is, and which must be with it; the conditions bind both,
    /// whoever states them.
    fn relate(&mut self) {
        for at in 0..self.workloads.len() {
            for (other, over) in &self.workloads[at].workload.scheduling.only_with {
                if let Some(other) = self.named(other).filter(|other| other.0 != at) {
                    self.workloads[other.0].needed_by.push((WorkloadIndex(at), *over));
                }
            }
            for (other, over) in &self.workloads[at].workload.scheduling.not_with {
                if let Some(other) = self.named(other).filter(|other| other.0 != at) {
                    self.workloads[at].apart_from.push((other, *over));
                    self.workloads[other.0].apart_from.push((WorkloadIndex(at), *over));
                }
            }
        }
        for slot in &mut self.workloads {
            slot.apart_from.sort_unstable();
            slot.apart_from.dedup();
        }
    }
}

/// Highest value of a forecast at the level that capacity is planned for, over the steps that `within` takes.
pub(super) fn peak(forecast: &Forecast, within: impl Fn(crate::time::Timestamp) -> bool) -> Option<f64> {
    let steps = forecast.steps.iter().filter(|step| within(step.at));
    steps.map(|step| step.quantiles[UPPER]).reduce(f64::max)
}

fn sorted<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn find(counts: &[(usize, Count)], at: usize) -> Count {
    let found = counts.binary_search_by_key(&at, |(index, _)| *index);
    found.map(|place| counts[place].1).unwrap_or_default()
}

fn entry(counts: &mut Vec<(usize, Count)>, at: usize) -> &mut Count {
    let place = counts.binary_search_by_key(&at, |(index, _)| *index).unwrap_or_else(|place| {
        counts.insert(place, (at, Count::default()));
        place
    });
    &mut counts[place].1
}
