//! Proxies that should report and do not.
//!
//! A filter sends nothing while its proxy has no traffic, so silence alone is no fault. It is one when somebody else
//! saw traffic that the silent proxy must have seen too: a filter that trapped is switched off by its proxy without a
//! failed request, and this is how anybody learns of it.
use crate::store::{ProxyStream, SeriesKey, streams::identity};
use foremesh_core::{
    duration::in_words,
    ids::{ReplicaId, WorkloadId},
    time::Timestamp,
    topology::{Replica, Snapshot},
};
use foremesh_summary::wire::{Direction, Proxy};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A proxy, or one worker of it, that is silent although it must have traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SilentProxy {
    /// Workload whose proxy it is.
    pub workload: String,
    /// Its replica.
    pub pod: String,
    /// Node that it runs on.
    pub node: String,
    /// One worker of it, by its epoch; all workers when not given.
    pub worker: Option<u64>,
    /// How long it has been silent, in milliseconds.
    pub silent_ms: i64,
    /// How that is known, and what to do.
    pub detail: String,
}

/// What is known when silence is judged.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Every worker that ever sent.
    pub streams: &'a [ProxyStream],
    /// Every series that was ever observed.
    pub known: &'a [SeriesKey],
    /// Series with observations in the last `limit_ms`.
    pub recent: &'a BTreeSet<SeriesKey>,
    /// What runs where now.
    pub snapshot: &'a Snapshot,
    /// The moment of judgement.
    pub now: Timestamp,
    /// Longest silence in milliseconds that is no fault.
    pub limit_ms: i64,
}

impl Evidence<'_> {
    /// What callers of a proxy's workload call it.
    fn service<'p>(&'p self, proxy: &'p Proxy) -> &'p str {
        let workload = self.snapshot.workloads.get(&WorkloadId::new(proxy.workload.as_str()));
        workload.map_or(proxy.workload.as_str(), |workload| workload.service.as_str())
    }

    /// Whether the replica of a proxy is not there any more, as after a move: nothing can be heard of it.
    fn is_gone(&self, proxy: &Proxy) -> bool {
        let id = WorkloadId::new(proxy.workload.as_str());
        self.snapshot.workloads.get(&id).is_some_and(|workload| {
            // In Kubernetes a replica is its pod. A proxy of a plain host is told by its host only.
            if workload.namespace.is_some() {
                !workload.replicas.contains_key(&ReplicaId::new(proxy.pod.as_str()))
            } else {
                let here = |placed: &Replica| placed.node.as_str() == proxy.node;
                !proxy.node.is_empty() && !workload.replicas.values().any(here)
            }
        })
    }
}

/// Every proxy or worker that is silent against the evidence, in a stable order.
pub fn silent_proxies(evidence: &Evidence<'_>) -> Vec<SilentProxy> {
    let mut by_proxy: BTreeMap<[&str; 5], Vec<&ProxyStream>> = BTreeMap::new();
    for stream in evidence.streams {
        by_proxy.entry(identity(&stream.proxy)).or_default().push(stream);
    }
    by_proxy.values().flat_map(|workers| silent_workers(evidence, workers)).collect()
}

fn silent_workers(evidence: &Evidence<'_>, workers: &[&ProxyStream]) -> Vec<SilentProxy> {
    let is_silent = |stream: &ProxyStream| evidence.now.ms_since(stream.last_seen) > evidence.limit_ms;
    let Some(newest) = workers.iter().max_by_key(|stream| stream.last_seen) else { return Vec::new() };
    if evidence.is_gone(&newest.proxy) {
        return Vec::new();
    }
    if is_silent(newest) {
        return witness(evidence, &newest.proxy)
            .map(|who| report(evidence, newest, None, &format!("but {who}")))
            .into_iter()
            .collect();
    }
    // A worker that ended before a sibling began was replaced, by a restart or a new configuration. Workers that begin
    // together may send for the first time in the same millisecond, which does not make one the other's successor.
    let replaced = |silent: &ProxyStream| workers.iter().any(|other| other.first_seen > silent.last_seen);
    workers
        .iter()
        .filter(|stream| is_silent(stream) && !replaced(stream))
        .map(|stream| {
            report(evidence, stream, Some(stream.epoch), "while another worker of the same proxy reports")
        })
        .collect()
}

/// Who saw traffic that this proxy must have seen.
fn witness(evidence: &Evidence<'_>, proxy: &Proxy) -> Option<String> {
    let called: BTreeSet<&str> = evidence
        .known
        .iter()
        .filter(|key| key.direction == Direction::Outbound && key.caller == proxy.workload)
        .map(|key| key.callee.as_str())
        .collect();
    let service = evidence.service(proxy);
    evidence.recent.iter().find_map(|key| match key.direction {
        Direction::Outbound if key.callee == service && key.caller != proxy.workload => {
            Some(format!("`{}` reports calls to it", key.caller))
        }
        Direction::Inbound if key.caller == proxy.workload || called.contains(key.callee.as_str()) => {
            Some(format!("`{}` reports calls that it makes", key.callee))
        }
        _ => None,
    })
}

fn report(evidence: &Evidence<'_>, stream: &ProxyStream, worker: Option<u64>, how: &str) -> SilentProxy {
    let silent_ms = evidence.now.ms_since(stream.last_seen);
    SilentProxy {
        workload: stream.proxy.workload.clone(),
        pod: stream.proxy.pod.clone(),
        node: stream.proxy.node.clone(),
        worker,
        silent_ms,
        detail: format!(
            "nothing was received for {} {how}; its filter may have been switched off after a fault: see the proxy's \
             log and its `wasm` statistics, and change its configuration to start the filter again",
            in_words(silent_ms)
        ),
    }
}

#[cfg(test)]
mod tests;
