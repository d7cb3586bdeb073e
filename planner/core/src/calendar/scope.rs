//! What an event has an effect on.
use crate::policy::ServiceGlob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an event has an effect on: one match is enough, and everything where no service, node or workload is listed. In every
/// pattern `*` stands for any run of characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Names of services, in a cluster such as `cart.shop.svc.cluster.local`. Example: `["cart*"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceGlob>,
    /// Names of nodes. Example: `["node-1*"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<ServiceGlob>,
    /// Names of workloads, in a cluster such as `shop/cart`. Example: `["shop/*"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<ServiceGlob>,
    /// Names of quantities; all when left out. Examples: `["latency_*"]`, `[throughput_rps, availability]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<ServiceGlob>,
}

/// The series that is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The service that it is about, if it is about one.
    pub service: Option<&'a str>,
    /// The node that it is about, if it is about one.
    pub node: Option<&'a str>,
    /// The workload that it is about, or that answers for the service.
    pub workload: Option<&'a str>,
    /// Name of the quantity, such as `latency_p99_ms`.
    pub metric: &'a str,
}

impl<'a> Subject<'a> {
    /// A quantity of a service.
    pub const fn service(service: &'a str, metric: &'a str) -> Self {
        Self { service: Some(service), node: None, workload: None, metric }
    }

    /// A quantity of a node.
    pub const fn node(node: &'a str, metric: &'a str) -> Self {
        Self { service: None, node: Some(node), workload: None, metric }
    }
}

impl Scope {
    /// Whether the series is concerned: when no service, node or workload is listed, or when one of those that are
    /// listed is the subject's; and in each case only the listed quantities.
    pub fn selects(&self, subject: &Subject<'_>) -> bool {
        let any = |patterns: &[ServiceGlob], name: Option<&str>| {
            name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        let everywhere = self.services.is_empty() && self.nodes.is_empty() && self.workloads.is_empty();
        let here = everywhere
            || any(&self.services, subject.service)
            || any(&self.nodes, subject.node)
            || any(&self.workloads, subject.workload);
        here && (self.metrics.is_empty() || any(&self.metrics, Some(subject.metric)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(patterns: &[&str]) -> Vec<ServiceGlob> {
        patterns.iter().map(|pattern| ServiceGlob::new(*pattern)).collect()
    }

    #[test]
    fn one_match_is_enough_and_no_list_is_all() {
        let carts = Scope { services: globs(&["cart*"]), ..Scope::default() };
        let carts_or_a_node = Scope { nodes: globs(&["node-1"]), ..carts.clone() };
        let latencies = Scope { metrics: globs(&["latency_*"]), ..Scope::default() };
        let cart = Subject::service("cart.shop", "latency_p99_ms");
        let node = Subject::node("node-1", "cpu_used_millicores");
        for (scope, subject, want) in [
            (&Scope::default(), cart, true),
            (&Scope::default(), node, true),
            (&carts, cart, true),
            (&carts, node, false),
            (&carts, Subject { service: Some("db"), ..cart }, false),
            (&carts_or_a_node, cart, true),
            (&carts_or_a_node, node, true),
            (&latencies, cart, true),
            (&latencies, node, false),
        ] {
            assert_eq!(scope.selects(&subject), want, "{scope:?} of {subject:?}");
        }
    }
}
