//! What a proxy's configuration has to say of a host.
use super::sync::{Proxy, State};
use crate::{
    Host,
    objects::{list, text},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Destinations of one rule that get traffic, by subset, with their weights; without a weight where there is one only.
pub(crate) type Parts = Vec<(String, u64)>;

/// What is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Endpoints in each of these subsets.
    Endpoints(BTreeSet<String>),
    /// Rules by subsets of ours are these and no others.
    Routes {
        /// Their parts.
        parts: BTreeSet<Parts>,
        /// Names that are ours.
        ours: BTreeSet<String>,
    },
}

impl Expected {
    /// Types of configuration to ask for.
    pub(super) const fn types(&self) -> &'static str {
        match self {
            Self::Endpoints(_) => "eds",
            Self::Routes { .. } => "rds",
        }
    }

    /// In words.
    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Endpoints(_) => "endpoints of subsets",
            Self::Routes { .. } => "weights",
        }
    }

    /// Whether a version tells that it is there. Endpoints come without one of their own.
    pub(super) const fn by_version(&self) -> bool {
        matches!(self, Self::Routes { .. })
    }

    /// The state of a proxy that counts.
    pub(super) fn state(&self, proxy: &Proxy) -> State {
        match self {
            Self::Endpoints(_) if !proxy.clusters.acknowledged() => proxy.clusters.clone(),
            Self::Endpoints(_) => proxy.endpoints.clone(),
            Self::Routes { .. } => proxy.routes.clone(),
        }
    }

    /// Whether a dump says so; `None` when the proxy does not know the host.
    pub(super) fn met(&self, dump: &Value, host: &Host) -> Option<bool> {
        match self {
            Self::Endpoints(subsets) => endpoints(subsets, dump, host),
            Self::Routes { parts, ours } => routes(parts, ours, dump, host),
        }
    }
}

/// The subset of a cluster `outbound|PORT|SUBSET|HOST` of the host.
fn subset<'c>(cluster: &'c str, host: &Host) -> Option<&'c str> {
    let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
    let (_port, subset, of) = (parts.next()?, parts.next()?, parts.next()?);
    (of == host.full).then_some(subset)
}

fn endpoints(subsets: &BTreeSet<String>, dump: &Value, host: &Host) -> Option<bool> {
    let (mut known, mut filled) = (false, BTreeSet::new());
    let mut empty = BTreeSet::new();
    for config in list(dump, "/configs") {
        let Some(subset) = subset(text(config, "/clusterName"), host) else { continue };
        known = true;
        let has = list(config, "/endpoints").iter().any(|group| !list(group, "/lbEndpoints").is_empty());
        // A service has a cluster for each of its ports.
        if has {
            filled.insert(subset)
        } else {
            empty.insert(subset)
        };
    }
    let there = |subset: &String| filled.contains(subset.as_str()) && !empty.contains(subset.as_str());
    known.then(|| subsets.iter().all(there))
}

fn routes(parts: &BTreeSet<Parts>, ours: &BTreeSet<String>, dump: &Value, host: &Host) -> Option<bool> {
    let (mut known, mut found) = (false, BTreeSet::new());
    let hosts = list(dump, "/configs").iter().flat_map(|config| list(config, "/virtualHosts"));
    for route in hosts.flat_map(|virtual_host| list(virtual_host, "/routes")) {
        let mut clusters: Parts = list(route, "/route/weightedClusters/clusters")
            .iter()
            .map(|part| (text(part, "/name").to_owned(), part["weight"].as_u64().unwrap_or(0)))
            .collect();
        if let Some(only) = route.pointer("/route/cluster").and_then(Value::as_str) {
            clusters.push((only.to_owned(), 0));
        }
        let of_host: Vec<(&str, u64)> =
            clusters.iter().filter_map(|(cluster, weight)| Some((subset(cluster, host)?, *weight))).collect();
        known |= !of_host.is_empty();
        let mut mine: Parts = of_host
            .into_iter()
            .filter(|(subset, weight)| ours.contains(*subset) && (*weight > 0 || clusters.len() == 1))
            .map(|(subset, weight)| (subset.to_owned(), if clusters.len() == 1 { 0 } else { weight }))
            .collect();
        if !mine.is_empty() {
            mine.sort();
            found.insert(mine);
        }
    }
    known.then(
        || if parts.is_empty() { found.is_empty() } else { !found.is_empty() && found.is_subset(parts) },
    )
}
