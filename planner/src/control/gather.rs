//! The first half of a pass: from the store and the platform to the inputs of the decision.
use super::{ControlSettings, Parts, PassError, aftermath, learning::Learning, moves};
use crate::forecasts::{Forecasts, Known, PassForecasts, TrainingSeries};
use crate::observed::Observed;
use crate::store::{Gauge, GaugeMetric, GaugeSource, GaugeSubject};
use foremesh_calendar::freezes;
use foremesh_core::{
    gauge::GaugeHistories, ids::PlanId, inputs::OwnedInputs, time::Timestamp, topology::Snapshot,
    units::Millicores,
};
use std::sync::{Arc, Mutex, PoisonError};

/// With what the net of the LSTM can be trained on, if a `salt` asks for it.
pub(super) async fn gather(
    parts: &Parts,
    settings: &ControlSettings,
    forecasts: &Arc<Mutex<Forecasts>>,
    learning: &mut Learning,
    snapshot: Snapshot,
    newest: Option<(PlanId, u64)>,
    (now, salt): (Timestamp, Option<u64>),
) -> Result<(OwnedInputs, PassForecasts, Vec<TrainingSeries>), PassError> {
    let mut told = gauges(&snapshot, now);
    let snapshot = completed(snapshot, &*parts.observed.read().await);
    told.extend(backgrounds(&snapshot, now));
    parts.store.append_gauges(told).await?;
    parts.observed.write().await.refresh(now).await?;

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
    let nodes = snapshot
        .nodes
        .iter()
        .map(|(node, state)| (GaugeSubject::Node(node.clone()), state.used, state.memory_used_bytes));
    let workloads = snapshot
        .workloads
        .iter()
        .map(|(id, state)| (GaugeSubject::Workload(id.clone()), state.used, state.memory_used_bytes));
    let used = nodes.chain(workloads).flat_map(|(subject, cpu, memory)| {
        let cpu = (subject.clone(), GaugeMetric::CpuUsedMillicores, cpu.map(Millicores::get));
        [cpu, (subject, GaugeMetric::MemoryUsedBytes, memory)]
    });
    used.filter_map(|(subject, metric, value)| Some(gauge(subject, metric, read_at, value?))).collect()
}

/// What is in use on each node beside what may be moved. Of what others measured it is the planner that tells it.
fn backgrounds(snapshot: &Snapshot, read_at: Timestamp) -> impl Iterator<Item = Gauge> {
    snapshot.nodes.keys().filter_map(move |node| {
        let background = snapshot.background_millicores(node)?;
        let subject = GaugeSubject::Node(node.clone());
        Some(gauge(subject, GaugeMetric::CpuBackgroundMillicores, read_at, background))
    })
}

fn gauge(subject: GaugeSubject, metric: GaugeMetric, at: Timestamp, value: f64) -> Gauge {
    Gauge { subject, metric, source: GaugeSource::Platform, at, value }
}

/// Newest steps in which something has to have been measured to count as what is so now.
const NEW_STEPS: usize = 3;

/// With what others measured where the platform tells nothing of it: Swarm never tells what is used, Kubernetes only with a
/// metrics server, and a host without a `usage` command beside a node-exporter is as good a target as one with it.
fn completed(mut snapshot: Snapshot, observed: &Observed) -> Snapshot {
    let newest = |gauges: Option<&GaugeHistories>, metric: GaugeMetric| {
        let values = gauges?.get(&metric)?.series.values();
        values.iter().rev().take(NEW_STEPS).copied().find(|value| value.is_finite())
    };
    let cpu = |gauges| Millicores::new(newest(gauges, GaugeMetric::CpuUsedMillicores)?).ok();
    for (id, node) in &mut snapshot.nodes {
        let gauges = observed.node(id).map(|node| &node.gauges);
        node.used = node.used.or_else(|| cpu(gauges));
        node.memory_used_bytes =
            node.memory_used_bytes.or_else(|| newest(gauges, GaugeMetric::MemoryUsedBytes));
        node.memory_bytes = node.memory_bytes.or_else(|| newest(gauges, GaugeMetric::MemoryCapacityBytes));
    }
    for (id, workload) in &mut snapshot.workloads {
        let gauges = observed.workload(id).map(|found| &found.gauges);
        workload.used = workload.used.or_else(|| cpu(gauges));
        workload.memory_used_bytes =
            workload.memory_used_bytes.or_else(|| newest(gauges, GaugeMetric::MemoryUsedBytes));
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observed::ObservedSettings,
        store::{
            SeriesStore as _,
            tests::{MINUTE, NOON, at, open},
        },
    };
    use foremesh_core::{
        ids::NodeId,
        topology::{Node, Replica, Workload},
    };

    #[test]
    fn use_belongs_to_the_time_at_which_it_was_read() {
        let (taken_at, read_at) = (Timestamp::from_unix_ms(10_000), Timestamp::from_unix_ms(38_000));
        let mut snapshot = Snapshot::empty(taken_at);
        let cores = |millicores| Millicores::new(millicores).unwrap();
        let node = Node { used: Some(cores(250.0)), ..Node::new(cores(1000.0)) };
        snapshot.nodes.insert(NodeId::from("n1"), node);
        let told: Vec<Gauge> =
            gauges(&snapshot, read_at).into_iter().chain(backgrounds(&snapshot, read_at)).collect();
        let seen: Vec<_> = told.iter().map(|gauge| (gauge.metric, gauge.at)).collect();
        let want = [GaugeMetric::CpuUsedMillicores, GaugeMetric::CpuBackgroundMillicores]
            .map(|metric| (metric, read_at));
        assert_eq!(seen, want);
    }

    #[tokio::test]
    async fn what_others_measured_counts_while_it_is_new_and_the_platform_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = std::sync::Arc::new(open(folder.path()));
        let subjects = [GaugeSubject::Node("n1".into()), GaugeSubject::Workload("web".into())];
        for minute in 0..2 {
            let read_at = at(NOON + minute * MINUTE + 30_000);
            for (subject, value) in subjects.iter().zip([300.0, 100.0]) {
                let measured = gauge(subject.clone(), GaugeMetric::CpuUsedMillicores, read_at, value);
                store.append_gauges(vec![Gauge { source: GaugeSource::Otlp, ..measured }]).await.unwrap();
            }
        }
        let cores = |millicores| Millicores::new(millicores).unwrap();
        let mut snapshot = Snapshot::empty(at(NOON));
        snapshot.nodes.insert("n1".into(), Node::new(cores(1000.0)));
        snapshot.nodes.insert("n2".into(), Node { used: Some(cores(7.0)), ..Node::new(cores(1000.0)) });
        let mut web = Workload::new("web".into());
        web.replicas.insert("web.1@n1".into(), Replica::new("n1".into(), true));
        snapshot.workloads.insert("web".into(), web);
        let new_steps = i64::try_from(NEW_STEPS).unwrap();
        // Their last minute is over after two, and has settled five seconds later.
        for (minutes, want) in [(2, Some(300.0)), (1 + new_steps, Some(300.0)), (2 + new_steps, None)] {
            let now = at(NOON + minutes * MINUTE + 5000);
            let observed = Observed::backfill(store.clone(), ObservedSettings::default(), now).await.unwrap();
            let seen = completed(snapshot.clone(), &observed);
            let used = |node: &str| seen.nodes[&NodeId::from(node)].used.map(Millicores::get);
            assert_eq!((used("n1"), used("n2")), (want, Some(7.0)), "after {minutes} minutes");
            let beside: Vec<f64> = backgrounds(&seen, now).map(|gauge| gauge.value).collect();
            assert_eq!(beside, want.map(|all| all - 100.0).into_iter().chain([7.0]).collect::<Vec<_>>());
            assert_eq!(gauges(&snapshot, now).len(), 1, "the platform told of one node only");
        }
    }
}
