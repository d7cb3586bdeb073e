//! What a proxy's configuration has to say of a host.
use super::sync::{Proxy, State};
use crate::{
    Host,
    objects::{list, text},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Destinations of one rule that get traffic, by subset, with their weights; without a weight where there is one only.
pub(crate) type Parts = Vec<(String, u64)>;

/// What is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Endpoints in each of these subsets, and none of these addresses among those that come first in it.
    Endpoints(BTreeMap<String, BTreeSet<String>>),
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

fn endpoints(subsets: &BTreeMap<String, BTreeSet<String>>, dump: &Value, host: &Host) -> Option<bool> {
    let (mut known, mut filled, mut wrong) = (false, BTreeSet::new(), false);
    for config in list(dump, "/configs") {
        let Some(name) = subset(text(config, "/clusterName"), host) else { continue };
        known = true;
        let Some(others) = subsets.get(name) else { continue };
        filled.insert(name);
        // A service has a cluster for each of its ports.
        let mut first = list(config, "/endpoints")
            .iter()
            .filter(|group| group["priority"].as_u64().unwrap_or(0) == 0)
            .flat_map(|group| list(group, "/lbEndpoints"))
            .peekable();
        wrong |= first.peek().is_none() || first.any(|endpoint| others.contains(address(endpoint)));
    }
    known.then_some(!wrong && filled.len() == subsets.len())
}

/// The IP address of an endpoint, empty where it has none of its own, such as behind a gateway between networks.
fn address(endpoint: &Value) -> &str {
    let inner = || {
        let name = text(endpoint, "/endpoint/address/envoyInternalAddress/endpointId");
        name.rsplit_once(':').map_or(name, |(address, _port)| address.trim_matches(['[', ']']))
    };
    endpoint.pointer("/endpoint/address/socketAddress/address").and_then(Value::as_str).unwrap_or_else(inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{HOST, host};
    use serde_json::json;

    fn cluster(subset: &str) -> String {
        format!("outbound|8080|{subset}|{HOST}")
    }

    fn routes_dump(routes: &[Value]) -> Value {
        json!({"configs": [
            {"name": "8080", "virtualHosts": [{"name": "web", "routes": routes}]},
            {"name": "80", "virtualHosts": [{"routes": [{"route": {"cluster": "outbound|80||other"}}]}]},
        ]})
    }

    fn weighted(parts: &[(&str, u64)]) -> Value {
        let parts: Vec<Value> =
            parts.iter().map(|(subset, weight)| json!({"name": cluster(subset), "weight": weight})).collect();
        json!({"route": {"weightedClusters": {"clusters": parts}}})
    }

    fn only(subset: &str) -> Value {
        json!({"route": {"cluster": cluster(subset)}})
    }

    #[test]
    fn a_proxy_has_the_weights_or_not_or_does_not_know_the_host() {
        let parts = |all: &[(&str, u64)]| {
            let all = all.iter().map(|(subset, weight)| ((*subset).to_owned(), *weight)).collect::<Parts>();
            BTreeSet::from([all])
        };
        let (half, all) = (parts(&[("s", 50), ("t", 50)]), parts(&[("t", 0)]));
        let cases = [
            ("half", &half, vec![weighted(&[("t", 50), ("s", 50)])], Some(true)),
            (
                "half beside the user's",
                &half,
                vec![weighted(&[("s", 50), ("t", 50)]), only("v1")],
                Some(true),
            ),
            ("weights of before", &half, vec![weighted(&[("s", 90), ("t", 10)])], Some(false)),
            ("one rule of before", &half, vec![weighted(&[("s", 50), ("t", 50)]), only("s")], Some(false)),
            ("not split yet", &half, vec![only("")], Some(false)),
            ("all at the target", &all, vec![only("t")], Some(true)),
            ("all at the source", &all, vec![only("s")], Some(false)),
            ("out", &BTreeSet::new(), vec![only("")], Some(true)),
            ("not out yet", &BTreeSet::new(), vec![only("t")], Some(false)),
            ("another host", &half, vec![], None),
        ];
        for (case, parts, found, expected) in cases {
            let ours = BTreeSet::from(["s".to_owned(), "t".to_owned()]);
            let wanted = Expected::Routes { parts: parts.clone(), ours };
            assert_eq!(wanted.met(&routes_dump(&found), &host()), expected, "{case}");
        }
    }

    #[test]
    fn a_subset_has_endpoints_at_each_port_or_not() {
        let at = |address: &str, priority: u64| {
            let endpoint =
                json!({"endpoint": {"address": {"socketAddress": {"address": address, "portValue": 8080}}}});
            // As it is written in JSON, 0 is left out.
            if priority == 0 {
                json!({"lbEndpoints": [endpoint]})
            } else {
                json!({"lbEndpoints": [endpoint], "priority": priority})
            }
        };
        let inner = |address: &str| {
            let id = json!({"envoyInternalAddress": {"endpointId": format!("{address}:8080")}});
            json!({"lbEndpoints": [{"endpoint": {"address": id}}]})
        };
        let of =
            |subset: &str, groups: &[Value]| json!({"clusterName": cluster(subset), "endpoints": groups});
        let (s, t) = ("10.0.0.1", "10.0.0.2");
        let both = || of("s", &[at(s, 0), at(t, 1)]);
        let cases = [
            ("there", vec![of("s", &[at(s, 0)]), of("t", &[at(t, 0)]), of("v1", &[])], Some(true)),
            ("with the other end behind", vec![both(), of("t", &[at(s, 1), at(t, 0)])], Some(true)),
            ("behind a gateway", vec![both(), of("t", &[at("192.0.2.1", 0)])], Some(true)),
            ("with the other end first", vec![both(), of("t", &[at(s, 0)])], Some(false)),
            ("the order is not known to it", vec![both(), of("t", &[at(s, 0), at(t, 0)])], Some(false)),
            ("in a tunnel", vec![both(), of("t", &[inner(t)])], Some(true)),
            ("in a tunnel, the other end first", vec![both(), of("t", &[inner(s)])], Some(false)),
            ("one is empty", vec![both(), of("t", &[])], Some(false)),
            ("one is not there", vec![both()], Some(false)),
            ("one port is empty", vec![both(), of("t", &[at(t, 0)]), of("t", &[])], Some(false)),
            ("another host", vec![json!({"clusterName": "outbound|80||other"})], None),
        ];
        for (case, configs, expected) in cases {
            let others =
                [("s", t), ("t", s)].map(|(name, other)| (name.to_owned(), [other.to_owned()].into()));
            let wanted = Expected::Endpoints(BTreeMap::from(others));
            assert_eq!(wanted.met(&json!({"configs": configs}), &host()), expected, "{case}");
        }
    }
}
