//! The first half of a pass: from the store and the platform to the inputs of the decision.
use super::{ControlSettings, Parts, PassError, aftermath, learning::Learning, moves};
use crate::forecasts::{Forecasts, Known, PassForecasts, TrainingSeries};
use crate::observed::Observed;
use crate::store::{Gauge, GaugeMetric, GaugeSource, GaugeSubject};
use foremesh_calendar::freezes;
use foremesh_core::{
    ids::PlanId, inputs::OwnedInputs, time::Timestamp, topology::Snapshot, units::Millicores,
};
use std::sync::{Arc, Mutex, PoisonError};

/// With what the net of the LSTM can be trained on, if a `salt` asks for it.
pub(super) async fn gather(
    parts: &Parts,
    settings: &ControlSettings,
    forecasts: &Arc<Mutex<Forecasts>>,
    learning: &mut Learning,
    mut snapshot: Snapshot,
    newest: Option<(PlanId, u64)>,
    (now, salt): (Timestamp, Option<u64>),
) -> Result<(OwnedInputs, PassForecasts, Vec<TrainingSeries>), PassError> {
    parts.store.append_gauges(gauges(&snapshot, now)).await?;
    {
        let mut observed = parts.observed.write().await;
        observed.refresh(now).await?;
        fill_in(&mut snapshot, &observed, now.plus_ms(-settings.stale_after_ms));
    }

    let rollouts = parts.rollouts.recent(now.plus_ms(-moves::REMEMBERED_MS)).await?;
    let learned = learning.at(parts, &snapshot, &rollouts, now).await;
    // What is settled does not change any more.
    let complete = now.plus_ms(-settings.step.times(settings.settling_steps));
    let rollouts = aftermath::look(parts, &snapshot, rollouts, &learned, (now, complete)).await;
    let past_moves = moves::past_moves(&rollouts);
    let in_flight = moves::in_flight(&rollouts);
    let move_duration_ms = moves::durations(&rollouts, settings.pending_ms);
    let policies = Arc::new(parts.policies.now());
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
    let (made, decided_on, corpus) = tokio::task::spawn_blocking(move || {
        let observed = observed.blocking_read();
        let mut forecasts = forecasts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = forecasts.pass(&observed, &known);
        let inputs = made.inputs(&observed);
        let corpus = salt.map(|salt| forecasts.corpus(&observed, &known, salt)).unwrap_or_default();
        (made, inputs, corpus)
    })
    .await?;
    parts.calendars.set_learned(made.effects.clone());

    let look_ahead_ms = settings.step.times(settings.horizon_steps);
    let inputs = OwnedInputs {
        now,
        snapshot,
        services: decided_on.services,
        nodes: decided_on.nodes,
        background: decided_on.background,
        resources: decided_on.resources,
        learned,
        freezes: freezes(&policies, now, now.plus_ms(look_ahead_ms)),
        past_moves,
        in_flight,
        move_duration_ms,
        settings: settings.caution_of(&policies),
        newest,
        policies: Arc::unwrap_or_clone(policies),
    };
    let inputs = inputs.rounded();
    Ok((inputs, made, corpus))
}

/// What the platform says of CPU in use in this pass. The snapshot may say an older time, because the rest of it is only as new
/// as the watch that was heard of longest ago: half a minute in a quiet cluster. Between two readings of `metrics.k8s.io`, 15 s
/// apart, the last one is said again.
fn gauges(snapshot: &Snapshot, read_at: Timestamp) -> Vec<Gauge> {
    let gauge = |subject, metric, value: f64| Gauge {
        subject,
        metric,
        source: GaugeSource::Platform,
        at: read_at,
        value,
    };
    let mut gauges = Vec::new();
    for (node, state) in &snapshot.nodes {
        let subject = GaugeSubject::Node(node.clone());
        if let Some(used) = state.used {
            gauges.push(gauge(subject.clone(), GaugeMetric::CpuUsedMillicores, used.get()));
        }
        if let Some(used) = state.memory_used_bytes {
            gauges.push(gauge(subject.clone(), GaugeMetric::MemoryUsedBytes, used));
        }
        if let Some(background) = snapshot.background_millicores(node) {
            gauges.push(gauge(subject, GaugeMetric::CpuBackgroundMillicores, background));
        }
    }
    for (workload, state) in &snapshot.workloads {
        let subject = || GaugeSubject::Workload(workload.clone());
        let cpu = state.used.map(|used| gauge(subject(), GaugeMetric::CpuUsedMillicores, used.get()));
        let memory = state.memory_used_bytes.map(|used| gauge(subject(), GaugeMetric::MemoryUsedBytes, used));
        gauges.extend(cpu.into_iter().chain(memory));
    }
    gauges
}

/// Takes what others measure of a node for what the platform does not tell of it: a host without a `usage` command beside a
/// node-exporter is as good a target as one with it.
fn fill_in(snapshot: &mut Snapshot, observed: &Observed, fresh_from: Timestamp) {
    for (id, node) in &mut snapshot.nodes {
        let newest = |metric: GaugeMetric| {
            let history = observed.node(id)?.gauges.get(&metric)?;
            let known = history.series.values().iter().rev().copied().find(|value| value.is_finite());
            known.filter(|_| history.newest >= fresh_from)
        };
        node.used = node.used.or_else(|| Millicores::new(newest(GaugeMetric::CpuUsedMillicores)?).ok());
        node.memory_used_bytes = node.memory_used_bytes.or_else(|| newest(GaugeMetric::MemoryUsedBytes));
        node.memory_bytes = node.memory_bytes.or_else(|| newest(GaugeMetric::MemoryCapacityBytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_core::{ids::NodeId, topology::Node, units::Millicores};

    #[test]
    fn use_belongs_to_the_time_at_which_it_was_read() {
        let (taken_at, read_at) = (Timestamp::from_unix_ms(10_000), Timestamp::from_unix_ms(38_000));
        let mut snapshot = Snapshot::empty(taken_at);
        let cores = |millicores| Millicores::new(millicores).unwrap();
        let node = Node { used: Some(cores(250.0)), ..Node::new(cores(1000.0)) };
        snapshot.nodes.insert(NodeId::from("n1"), node);
        let gauges = gauges(&snapshot, read_at);
        let seen: Vec<_> = gauges.iter().map(|gauge| (gauge.metric, gauge.at)).collect();
        let want = [GaugeMetric::CpuUsedMillicores, GaugeMetric::CpuBackgroundMillicores]
            .map(|metric| (metric, read_at));
        assert_eq!(seen, want);
    }
}
