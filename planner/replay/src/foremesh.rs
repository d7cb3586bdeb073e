//! The production decision code in simulated time.
use crate::{
    foresight::Foresight,
    inventory,
    learning::Learning,
    memory::Memory,
    run::{Order, Settings, Strategy},
    watch::{Around, Outlooks, Watch},
};
use foremesh_core::{
    calendar::Occurrence,
    decide::decide,
    forecast::{Excluded, ForecastSettings},
    ids::{PlanId, ServiceId},
    inputs::OwnedInputs,
    plan::{DigestError, Plan},
    policy::{Condition, PolicyDocument, RelocationPolicy, validate},
    report::checked,
    time::Timestamp,
};
use foremesh_world::{Minute, World, WorldError};
use std::collections::BTreeMap;

/// Steps that are forecast: an hour, as by default.
const HORIZON: usize = 60;

/// Steps of a season: a day of minutes.
const SEASON: usize = 1_440;

/// Oldest that data may be, as by default.
const STALE_MS: i64 = 300_000;

/// Why a replay ended.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The world could not be made.
    #[error("the world could not be made")]
    World(#[from] WorldError),
    /// The inputs of a decision have no canonical form.
    #[error("the inputs of a decision could not be digested")]
    Digest(#[from] DigestError),
    /// A policy that was made for an objective of the scenario is not valid.
    #[error("the policy for service `{service}` is not valid: {why}")]
    Policy {
        /// The service.
        service: String,
        /// Why.
        why: String,
    },
}

/// The production code and what it knows.
#[derive(Debug)]
pub struct Foremesh {
    memory: Memory,
    watch: Watch,
    around: Around,
    learning: Learning,
    settings: Settings,
    policies: Vec<RelocationPolicy>,
    start: Timestamp,
    newest: Option<(PlanId, u64)>,
    followers: inventory::Followers,
    foresight: Option<Foresight>,
}

impl Foremesh {
    /// After the warm-up. With `foresight` forecasts are what will be.
    ///
    /// # Errors
    /// When a policy cannot be made for an objective of the world.
    pub(crate) fn new(
        world: &World,
        memory: Memory,
        settings: &Settings,
        foresight: bool,
    ) -> Result<Self, ReplayError> {
        let policies =
            if settings.policies.is_empty() { usual_policies(world)? } else { settings.policies.clone() };
        let events = world.calendar().iter().map(|event| Occurrence {
            event: event.tag.clone(),
            tags: vec![event.tag.clone()],
            start: inventory::time(event.start_ms),
            end: inventory::time(event.end_ms),
            expected: None,
        });
        Ok(Self {
            start: memory.start(),
            memory,
            watch: Watch::new(ForecastSettings::new(HORIZON, Some(SEASON), STALE_MS)),
            around: Around { occurrences: events.collect(), ..Around::default() },
            learning: Learning::default(),
            settings: settings.clone(),
            policies,
            newest: None,
            followers: inventory::Followers::new(),
            foresight: foresight.then(Foresight::none),
        })
    }

    fn outlooks(&mut self, world: &World, now: Timestamp) -> Outlooks {
        let Some(foresight) = &mut self.foresight else {
            self.watch.advance(&self.memory, &self.around);
            return self.watch.outlooks(&self.memory, &self.around, now);
        };
        foresight.look(world, HORIZON);
        let (nodes, background) = foresight.nodes(world, now, HORIZON);
        Outlooks {
            services: foresight.services(&self.memory, now, HORIZON),
            nodes: nodes.into_iter().map(|(node, forecast)| (node, Ok(forecast))).collect(),
            background: background.into_iter().map(|(node, forecast)| (node, Ok(forecast))).collect(),
        }
    }

    fn inputs(&mut self, world: &World, minute: &Minute) -> OwnedInputs {
        let now = self.memory.now();
        self.note_moves(world);
        let outlooks = self.outlooks(world, now);
        OwnedInputs {
            now,
            snapshot: inventory::snapshot(&world.inventory(), &minute.observed, now),
            services: outlooks.services,
            nodes: outlooks.nodes,
            background: outlooks.background,
            resources: foremesh_core::inputs::Resources::default(),
            learned: self.learning.learned(&self.memory, world).clone(),
            policies: self.policies.clone(),
            freezes: Vec::new(),
            past_moves: inventory::past_moves(world, self.start, &self.followers),
            in_flight: inventory::in_flight(world),
            move_duration_ms: inventory::durations(world),
            settings: self.settings.caution,
            newest: self.newest.clone(),
        }
    }

    /// Who follows each of the newest moves, as the rollouts of the planner remember it.
    fn note_followers(&mut self, plan: &Plan) {
        for planned in &plan.moves {
            let workload = planned.workload.to_string();
            if let Some(number) = inventory::replica_number(&workload, planned.replica.as_str()) {
                self.followers.insert((workload, number), planned.then.clone());
            }
        }
    }

    /// A move is no training data for latency, and what was before it is of another place.
    fn note_moves(&mut self, world: &World) {
        let mut moves: BTreeMap<ServiceId, Vec<Excluded>> = BTreeMap::new();
        for moved in inventory::shifts(world, self.start) {
            moves.entry(moved.0).or_default().push(moved.1);
        }
        self.around.moves = moves;
    }
}

impl Strategy for Foremesh {
    fn decide(&mut self, world: &World, minute: &Minute) -> Result<Vec<Order>, ReplayError> {
        inventory::take_in(&mut self.memory, world, minute);
        let inputs = self.inputs(world, minute);
        let decision = decide(&inputs.borrow())?;
        let Some(plan) = decision.plan else { return Ok(Vec::new()) };
        self.newest = Some((plan.id.clone(), plan.generation));
        self.note_followers(&plan);
        Ok(orders(plan, &inputs))
    }
}

/// Verify and simulate as the loop does; what is refused is not done.
fn orders(plan: Plan, inputs: &OwnedInputs) -> Vec<Order> {
    let Ok(simulated) = checked(plan, &inputs.borrow()) else { return Vec::new() };
    let moves = simulated.plan().moves.iter();
    moves
        .filter_map(|planned| {
            Some(Order {
                replica: inventory::replica_number(planned.workload.as_str(), planned.replica.as_str())?,
                workload: planned.workload.to_string(),
                to: planned.to.to_string(),
                service: planned.service.to_string(),
                why: format!("{:?}", planned.reason),
                ramp_percent: planned.ramp_percent.clone(),
            })
        })
        .collect()
}

/// For each objective of the scenario, a policy as a new user would write it.
fn usual_policies(world: &World) -> Result<Vec<RelocationPolicy>, ReplayError> {
    let mut policies = Vec::new();
    for workload in world.inventory().workloads {
        let Some(objective_ms) = workload.objective_ms else { continue };
        let service = workload.service.to_string();
        let document = serde_json::json!({
            "apiVersion": "foremesh.dev/v1alpha1",
            "kind": "RelocationPolicy",
            "metadata": {"name": service},
            "spec": {
                "selector": {"services": [service]},
                "mode": "auto",
                "rules": [{
                    "name": "objective",
                    "predictedLatency": {"quantile": 0.99, "above": format!("{}ms", objective_ms.ceil())}
                }],
                "trial": {"waivedBy": "replay", "reason": "a simulated mesh has no staging mesh"}
            }
        });
        let refused = |why: String| ReplayError::Policy { service: service.clone(), why };
        let document: PolicyDocument =
            serde_json::from_value(document).map_err(|error| refused(error.to_string()))?;
        let mut policy = validate(&document).map_err(|problems| {
            refused(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        // Text has whole milliseconds, and some objectives are a few.
        for rule in &mut policy.rules {
            if let Condition::PredictedLatency(latency) = &mut rule.when {
                latency.above_ms = objective_ms;
            }
        }
        policies.push(policy);
    }
    Ok(policies)
}
