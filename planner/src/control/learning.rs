//! What traffic and past moves have taught: CPU per request of each workload, who calls whom, how far nodes are from one
//! another, and how wrong the twin was. It is fitted now and then, not in each pass.
use super::Parts;
use crate::store::{RangeQuery, SeriesStep, StoreError};
use foremesh_core::{
    gauge::GaugeMetric,
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::Measured,
    learned::{
        CallCount, CallGraph, CallTimes, Demand, Learned, Proximity, Served, TwinOutcome, TwinRecord, samples,
    },
    rollout::{RolloutRecord, State},
    time::Timestamp,
    topology::{Snapshot, Workload},
    twin::demand,
};
use foremesh_summary::wire::Direction;
use std::collections::BTreeMap;

/// Time between two fits, in milliseconds: what is fitted to a day changes slowly.
const EVERY_MS: i64 = 5 * 60_000;

/// Steps between two fits as long as nothing is known of who calls whom.
const EVERY_STEPS: usize = 10;

/// How far back calls are counted, in milliseconds: graphs change with each deployment.
const CALLS_MS: i64 = 15 * 60_000;

/// What was learned last, and when.
#[derive(Debug, Default)]
pub(super) struct Learning {
    at: Option<Timestamp>,
    learned: Learned,
}

impl Learning {
    /// What is known at `now`, fitted again when the last fit is old.
    pub(super) async fn at(
        &mut self,
        parts: &Parts,
        snapshot: &Snapshot,
        rollouts: &[RolloutRecord],
        now: Timestamp,
    ) -> Learned {
        let knows = !self.learned.graph.0.is_empty() || !self.learned.proximity.nodes.is_empty();
        let soon_ms = parts.store.levels().base().step.times(EVERY_STEPS);
        let every_ms = if knows { EVERY_MS } else { EVERY_MS.min(soon_ms) };
        if self.at.is_none_or(|last| now.ms_since(last) >= every_ms || now < last) {
            self.at = Some(now);
            self.learned.demand = demands(parts, snapshot).await;
            self.learned.twin = outcomes(parts, snapshot, rollouts).await;
            // A mesh that is too large to be read at once, or a store that does not answer: what was learned last holds.
            match seen(parts, now).await {
                Ok(steps) => {
                    self.learned.graph = calls(parts, snapshot, &steps).await;
                    self.learned.proximity = distances(snapshot, &steps);
                }
                Err(error) => tracing::debug!(%error, "calls between services could not be read"),
            }
        }
        self.learned.clone()
    }
}

/// What came of the moves that are over, the newest first. A service with several replicas is left out: what was predicted is
/// about the one that moved, and what is measured about all of them.
async fn outcomes(parts: &Parts, snapshot: &Snapshot, rollouts: &[RolloutRecord]) -> TwinRecord {
    let observed = parts.observed.read().await;
    let outcome = |record: &RolloutRecord| {
        let (planned, prediction) = (&record.relocation, record.prediction.as_ref()?);
        let alone = snapshot.workloads.get(&planned.workload)?.replicas.len() == 1;
        let over =
            record.history.last().filter(|_| record.state == State::Succeeded && !planned.is_shift())?.at;
        let metric = Metric::latency(planned.reason.quantile.get()).filter(|_| alone)?;
        TwinOutcome::of(prediction, over, &observed.service(&planned.service)?.series(metric))
    };
    TwinRecord { moves: rollouts.iter().rev().filter_map(outcome).collect() }
}

/// How far nodes are from one another, from the calls of the newest minutes.
fn distances(snapshot: &Snapshot, steps: &[SeriesStep]) -> Proximity {
    let times = |step: &SeriesStep| CallTimes {
        start: step.start,
        by_caller: step.key.direction == Direction::Outbound,
        caller: step.key.caller.clone(),
        callee: ServiceId::new(step.key.callee.as_str()),
        node: NodeId::new(step.key.node.as_str()),
        calls: step.counts.finished(),
        sum_ms: step.counts.sum_us as f64 / 1e3,
    };
    let times: Vec<CallTimes> = steps.iter().map(times).collect();
    let zones = snapshot.nodes.iter().filter_map(|(id, node)| Some((id.clone(), node.zone.clone()?)));
    Proximity::fit(&samples(&times), &zones.collect())
}

/// CPU per request of each workload that alone answers for its service: of several, who got which requests is not known.
async fn demands(parts: &Parts, snapshot: &Snapshot) -> BTreeMap<WorkloadId, Demand> {
    let mut answering: BTreeMap<&ServiceId, usize> = BTreeMap::new();
    for workload in snapshot.workloads.values() {
        *answering.entry(&workload.service).or_default() += 1;
    }
    let observed = parts.observed.read().await;
    let fit = |id: &WorkloadId, workload: &Workload| {
        let cpu = &observed.workload(id)?.gauges.get(&GaugeMetric::CpuUsedMillicores)?.series;
        let throughput = observed.service(&workload.service)?.series(Metric::Throughput);
        // Both begin with the oldest step that each has.
        let (step, first) = (cpu.step(), cpu.start().max(throughput.start()));
        if throughput.step() != step {
            return None;
        }
        let skipped = |start| usize::try_from(step.count(start, first)).unwrap_or(usize::MAX);
        let cpu = cpu.values().get(skipped(cpu.start())..)?;
        let rps = throughput.values().get(skipped(throughput.start())..)?;
        let demand = demand::fit(cpu, rps).ok()?;
        let replicas = workload.replicas.len().max(1) as f64;
        Some((id.clone(), Demand { idle_millicores: demand.idle_millicores / replicas, ..demand }))
    };
    let alone = |workload: &Workload| answering.get(&workload.service) == Some(&1);
    snapshot
        .workloads
        .iter()
        .filter(|(_, workload)| alone(workload))
        .filter_map(|(id, w)| fit(id, w))
        .collect()
}

/// What all proxies saw in the newest minutes.
async fn seen(parts: &Parts, now: Timestamp) -> Result<Vec<SeriesStep>, StoreError> {
    let query = RangeQuery { from: now.plus_ms(-CALLS_MS), to: now, ..RangeQuery::default() };
    parts.store.range(query).await
}

/// Who calls whom, as counted by the callers' proxies, else by the callees' that know who calls.
async fn calls(parts: &Parts, snapshot: &Snapshot, steps: &[SeriesStep]) -> CallGraph {
    let mut requests: BTreeMap<ServiceId, [u64; 2]> = BTreeMap::new();
    let mut counts: BTreeMap<(ServiceId, ServiceId), [u64; 2]> = BTreeMap::new();
    for step in steps {
        let side = usize::from(step.key.direction == Direction::Outbound);
        let callee = ServiceId::new(step.key.callee.as_str());
        let finished = step.counts.finished();
        requests.entry(callee.clone()).or_default()[side] += finished;
        let caller = snapshot.workloads.get(&WorkloadId::new(step.key.caller.as_str()));
        if let Some(caller) = caller {
            counts.entry((caller.service.clone(), callee)).or_default()[side] += finished;
        }
    }
    let counts: Vec<CallCount> = counts
        .into_iter()
        .map(|((caller, callee), [inbound, outbound])| CallCount {
            caller,
            callee,
            calls: inbound.max(outbound),
            retries: 0,
        })
        .collect();
    let observed = parts.observed.read().await;
    let served = requests.into_iter().map(|(service, [inbound, outbound])| {
        let measured = observed.service(&service).and_then(Measured::newest);
        let median_ms = measured.and_then(|measured| measured.latency(0.5));
        (service, Served { requests: inbound.max(outbound), median_ms })
    });
    CallGraph::fit(&counts, &served.collect())
}
