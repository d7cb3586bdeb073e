//! The first half of a pass: from the store and the platform to the inputs of the decision.
use super::{ControlSettings, Parts, PassError, moves};
use crate::forecasts::{Forecasts, Known, PassForecasts, TrainingSeries};
use crate::store::{Gauge, GaugeMetric, GaugeSource, GaugeSubject};
use foremesh_core::{
    ids::{NodeId, PlanId, ServiceId, WorkloadId},
    inputs::{InFlight, Inputs, MaybeForecast, ServiceInputs, Settings},
    plan::Plan,
    policy::{PastMove, RelocationPolicy, Waiver},
    time::Timestamp,
    topology::Snapshot,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The inputs of one pass, owned, so that they outlive it: rollouts validate against them and the API shows them.
#[derive(Clone, Debug)]
pub struct PassInputs {
    /// The moment of the pass.
    pub now: Timestamp,
    /// What the platform reported.
    pub snapshot: Snapshot,
    /// What is known of each service.
    pub services: BTreeMap<ServiceId, ServiceInputs>,
    /// CPU in use, forecast for each node.
    pub nodes: BTreeMap<NodeId, MaybeForecast>,
    /// The policies in force.
    pub policies: Arc<Vec<RelocationPolicy>>,
    /// Moves that are over.
    pub past_moves: Vec<PastMove>,
    /// Moves that are not over.
    pub in_flight: Vec<InFlight>,
    /// How long moves take, as measured.
    pub move_duration_ms: BTreeMap<WorkloadId, i64>,
    /// How carefully to plan.
    pub settings: Settings,
    /// The newest plan.
    pub newest: Option<(PlanId, u64)>,
}

impl PassInputs {
    /// The same for the pure core.
    pub fn borrow(&self) -> Inputs<'_> {
        Inputs {
            now: self.now,
            snapshot: &self.snapshot,
            services: &self.services,
            nodes: &self.nodes,
            policies: &self.policies,
            past_moves: &self.past_moves,
            in_flight: &self.in_flight,
            move_duration_ms: &self.move_duration_ms,
            settings: &self.settings,
            newest_generation: self.newest.as_ref().map_or(0, |(_, generation)| *generation),
            parent: self.newest.as_ref().map(|(plan, _)| plan),
        }
    }

    /// The waiver that lets a plan through without a trial: that of the policy of its first move. A plan is made of
    /// moves that policies in mode `auto` asked for, and each of those has one.
    pub fn waiver_of(&self, plan: &Plan) -> Option<&Waiver> {
        let policy = &plan.moves.first()?.reason.policy;
        self.policies.iter().find(|candidate| candidate.id == *policy)?.waiver.as_ref()
    }
}

/// With what the net of the LSTM can be trained on, if a `salt` asks for it.
pub(super) async fn gather(
    parts: &Parts,
    settings: &ControlSettings,
    forecasts: &Arc<Mutex<Forecasts>>,
    snapshot: Snapshot,
    newest: Option<(PlanId, u64)>,
    (now, salt): (Timestamp, Option<u64>),
) -> Result<(PassInputs, PassForecasts, Vec<TrainingSeries>), PassError> {
    parts.store.append_gauges(gauges(&snapshot)).await?;
    parts.observed.write().await.refresh(now).await?;

    let rollouts = parts.rollouts.recent(now.plus_ms(-moves::REMEMBERED_MS)).await?;
    let past_moves = moves::past_moves(&rollouts);
    let in_flight = moves::in_flight(&rollouts);
    let move_duration_ms = moves::durations(&rollouts, settings.pending_ms);
    let policies = Arc::new(settings.policies.clone());
    let known = Known {
        policies: Arc::clone(&policies),
        rollouts,
        calendars: parts.calendars.current(),
        regressors: parts.regressors.current(),
        now,
        step: settings.step,
        keep_ms: settings.keep_ms,
        cpu_millicores: snapshot.nodes.iter().map(|(id, node)| (id.clone(), node.capacity.get())).collect(),
    };
    let (forecasts, observed) = (Arc::clone(forecasts), Arc::clone(&parts.observed));
    let (made, (services, nodes), corpus) = tokio::task::spawn_blocking(move || {
        let observed = observed.blocking_read();
        let mut forecasts = forecasts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = forecasts.pass(&observed, &known);
        let inputs = made.inputs(&observed);
        let corpus = salt.map(|salt| forecasts.corpus(&observed, &known, salt)).unwrap_or_default();
        (made, inputs, corpus)
    })
    .await?;
    parts.calendars.set_learned(made.effects.clone());

    let inputs = PassInputs {
        now,
        snapshot,
        services,
        nodes,
        policies,
        past_moves,
        in_flight,
        move_duration_ms,
        settings: settings.caution,
        newest,
    };
    Ok((inputs, made, corpus))
}

fn gauges(snapshot: &Snapshot) -> Vec<Gauge> {
    let gauge = |subject, used: f64| Gauge {
        subject,
        metric: GaugeMetric::CpuUsedMillicores,
        source: GaugeSource::Platform,
        at: snapshot.taken_at,
        value: used,
    };
    let nodes = snapshot
        .nodes
        .iter()
        .filter_map(|(node, state)| Some(gauge(GaugeSubject::Node(node.clone()), state.used?.get())));
    let workloads = snapshot.workloads.iter().filter_map(|(workload, state)| {
        Some(gauge(GaugeSubject::Workload(workload.clone()), state.used?.get()))
    });
    nodes.chain(workloads).collect()
}
