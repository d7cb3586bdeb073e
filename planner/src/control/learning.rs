//! What traffic has taught: CPU per request of each workload, and who calls whom. Fitted now and then, not in each pass.
//!
//! Distances between nodes stay unknown: the caller's proxy does not say which node answered, and the callee's not which
//! node asked. A zone is known of the measuring proxy only, for the same reason.
use super::Parts;
use crate::store::RangeQuery;
use foremesh_core::{
    gauge::GaugeMetric,
    history::Metric,
    ids::{ServiceId, WorkloadId},
    inputs::Measured,
    learned::{CallCount, CallGraph, Demand, Learned, Served},
    time::Timestamp,
    topology::{Snapshot, Workload},
    twin::demand,
};
use foremesh_summary::wire::Direction;
use std::collections::BTreeMap;

/// Time between two fits, in milliseconds: what is fitted to a day changes slowly.
const EVERY_MS: i64 = 5 * 60_000;

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
    pub(super) async fn at(&mut self, parts: &Parts, snapshot: &Snapshot, now: Timestamp) -> Learned {
        if self.at.is_none_or(|last| now.ms_since(last) >= EVERY_MS || now < last) {
            self.at = Some(now);
            self.learned.demand = demands(parts, snapshot).await;
            // A mesh that is too large to be read at once, or a store that does not answer: the last graph holds.
            match calls(parts, snapshot, now).await {
                Ok(graph) => self.learned.graph = graph,
                Err(error) => tracing::debug!(%error, "calls between services could not be counted"),
            }
        }
        self.learned.clone()
    }
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

/// Calls of the newest minutes, as counted by the callers' proxies, else by the callees' that know who calls.
async fn calls(
    parts: &Parts,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<CallGraph, crate::store::StoreError> {
    let query = RangeQuery { from: now.plus_ms(-CALLS_MS), to: now, ..RangeQuery::default() };
    let steps = parts.store.range(query).await?;
    let mut requests: BTreeMap<ServiceId, [u64; 2]> = BTreeMap::new();
    let mut counts: BTreeMap<(ServiceId, ServiceId), [u64; 2]> = BTreeMap::new();
    for step in &steps {
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
    Ok(CallGraph::fit(&counts, &served.collect()))
}
