//! The inputs of one pass, owned: they outlive the pass, are kept with what was decided, and are read back to decide
//! again.
use super::{Freeze, InFlight, Inputs, MaybeForecast, Resources, ServiceInputs, Settings};
use crate::{
    ids::{NodeId, PlanId, ServiceId, WorkloadId},
    learned::Learned,
    policy::{PastMove, RelocationPolicy},
    time::Timestamp,
    topology::Snapshot,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that [`Inputs`] borrows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnedInputs {
    /// The moment of the pass.
    pub now: Timestamp,
    /// What the platform reported.
    pub snapshot: Snapshot,
    /// What is known of each service.
    pub services: BTreeMap<ServiceId, ServiceInputs>,
    /// CPU in use, forecast for each node.
    pub nodes: BTreeMap<NodeId, MaybeForecast>,
    /// CPU in use by all but the managed replicas, forecast for each node where it is known.
    #[serde(default)]
    pub background: BTreeMap<NodeId, MaybeForecast>,
    /// Other quantities of nodes and workloads.
    #[serde(default)]
    pub resources: Resources,
    /// What traffic and past moves have taught.
    #[serde(default)]
    pub learned: Learned,
    /// The policies in force.
    pub policies: Vec<RelocationPolicy>,
    /// Times at which policies do not move anything.
    #[serde(default)]
    pub freezes: Vec<Freeze>,
    /// Moves that are over.
    pub past_moves: Vec<PastMove>,
    /// Moves that are not over.
    pub in_flight: Vec<InFlight>,
    /// How long moves take, as measured.
    pub move_duration_ms: BTreeMap<WorkloadId, i64>,
    /// How carefully to plan.
    pub settings: Settings,
    /// The newest plan with its generation.
    pub newest: Option<(PlanId, u64)>,
}

impl OwnedInputs {
    /// A snapshot of which nothing else is known, decided on when it was taken.
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            now: snapshot.taken_at,
            snapshot,
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
            background: BTreeMap::new(),
            resources: Resources::default(),
            learned: Learned::default(),
            policies: Vec::new(),
            freezes: Vec::new(),
            past_moves: Vec::new(),
            in_flight: Vec::new(),
            move_duration_ms: BTreeMap::new(),
            settings: Settings::default(),
            newest: None,
        }
    }

    /// Rounds every forecast as [`crate::forecast::Forecast::round`] does, before anything is decided on them.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        let of_services = self.services.values_mut().flat_map(|known| known.forecasts.values_mut());
        let of_resources = self.resources.nodes.values_mut().flat_map(BTreeMap::values_mut);
        let of_workloads = self.resources.workloads.values_mut().flat_map(BTreeMap::values_mut);
        let of_nodes = self.nodes.values_mut().chain(self.background.values_mut());
        for made in of_services.chain(of_resources).chain(of_workloads).chain(of_nodes).flatten() {
            made.round();
        }
        self
    }

    /// The same, to be looked at.
    pub fn borrow(&self) -> Inputs<'_> {
        Inputs {
            now: self.now,
            snapshot: &self.snapshot,
            services: &self.services,
            nodes: &self.nodes,
            background: &self.background,
            resources: &self.resources,
            learned: &self.learned,
            policies: &self.policies,
            freezes: &self.freezes,
            past_moves: &self.past_moves,
            in_flight: &self.in_flight,
            move_duration_ms: &self.move_duration_ms,
            settings: &self.settings,
            newest_generation: self.newest.as_ref().map_or(0, |(_, generation)| *generation),
            parent: self.newest.as_ref().map(|(plan, _)| plan),
        }
    }
}
