//! From labels to nodes and workloads.
use crate::{signals::settings::PrometheusSettings, store::GaugeSubject};
use foremesh_core::ids::{NodeId, WorkloadId};
use std::collections::BTreeMap;

/// Letters that Kubernetes makes random names of (`SafeEncodeString` and `rand.String` in apimachinery).
const RANDOM_NAME: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Length of the random end of a pod's name.
const POD_ENDING: usize = 5;

/// Which labels name what.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) node_label: String,
    nodes: BTreeMap<String, String>,
    pub(super) workload_labels: Vec<String>,
    workloads: BTreeMap<String, String>,
}

impl Mapping {
    /// As the settings have it; `addresses` are the platform's names of nodes by their addresses.
    pub(super) fn new(settings: &PrometheusSettings, addresses: &BTreeMap<String, NodeId>) -> Self {
        let mut nodes: BTreeMap<String, String> =
            addresses.iter().map(|(address, node)| (address.clone(), node.to_string())).collect();
        nodes.extend(settings.nodes.clone());
        Self {
            node_label: settings.node_label.clone(),
            nodes,
            workload_labels: settings.workload_labels.clone(),
            workloads: settings.workloads.clone(),
        }
    }

    /// The node of a series: by the whole value of its label, then by the value without a port; else that is its name.
    pub(super) fn node(&self, labels: &BTreeMap<String, String>) -> Option<GaugeSubject> {
        let value = labels.get(&self.node_label).filter(|value| !value.is_empty())?;
        let host = value
            .rsplit_once(':')
            .filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()))
            .map_or(value.as_str(), |(host, _)| host)
            .trim_matches(['[', ']']);
        let name = self.nodes.get(value).or_else(|| self.nodes.get(host)).map_or(host, String::as_str);
        Some(GaugeSubject::Node(NodeId::new(name)))
    }

    /// The workload of a series: the values of its labels joined by `/`, a pod's name without its ending.
    pub(super) fn workload(&self, labels: &BTreeMap<String, String>) -> Option<GaugeSubject> {
        let value = |label: &String| labels.get(label).map(String::as_str).filter(|value| !value.is_empty());
        let whole: Vec<&str> = self.workload_labels.iter().map(value).collect::<Option<_>>()?;
        let short: Vec<&str> = self
            .workload_labels
            .iter()
            .zip(&whole)
            .map(|(label, value)| if label == "pod" { owner_of(value) } else { value })
            .collect();
        let (whole, short) = (whole.join("/"), short.join("/"));
        let name = self.workloads.get(&whole).or_else(|| self.workloads.get(&short)).unwrap_or(&short);
        Some(GaugeSubject::Workload(WorkloadId::new(name.clone())))
    }
}

/// The name of what made a pod: the pods of a `Deployment` end in two random parts, of a `DaemonSet` in one, of a
/// `StatefulSet` in a number.
pub(in crate::signals) fn owner_of(pod: &str) -> &str {
    let random = |part: &str| !part.is_empty() && part.chars().all(|c| RANDOM_NAME.contains(c));
    let Some((rest, ending)) = pod.rsplit_once('-') else { return pod };
    if !ending.is_empty() && ending.chars().all(|c| c.is_ascii_digit()) {
        return rest;
    }
    if ending.len() != POD_ENDING || !random(ending) {
        return pod;
    }
    match rest.rsplit_once('-') {
        // The hash of a ReplicaSet: a number of 32 bits, so up to ten characters.
        Some((owner, hash)) if (6..=10).contains(&hash.len()) && random(hash) => owner,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_belong_to_what_made_them() {
        for (pod, want) in [
            ("cart-7d9f8b6c5d-x2x5z", "cart"),
            ("cart-service-v2-68bdd9b7c-zxv2k", "cart-service-v2"),
            ("db-0", "db"),
            ("node-agent-4kq2x", "node-agent"),
            ("bare", "bare"),
            ("cart-admin", "cart-admin"),
        ] {
            assert_eq!(owner_of(pod), want, "{pod}");
        }
    }

    #[test]
    fn labels_name_nodes_and_workloads() {
        let settings: PrometheusSettings = yaml_serde::from_str(
            "url: http://p\nnodes: {'127.0.0.1:9101': second}\nworkloads: {shop/cart: cart, jobs/night-0: backup}",
        )
        .unwrap();
        let addresses = BTreeMap::from([("10.0.0.7".to_owned(), NodeId::from("first"))]);
        let mapping = Mapping::new(&settings, &addresses);
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
        };
        for (value, want) in [
            ("10.0.0.7:9100", "first"),
            ("127.0.0.1:9101", "second"),
            ("worker-3:9100", "worker-3"),
            ("[fe80::1]:9100", "fe80::1"),
            ("plain", "plain"),
        ] {
            let got = mapping.node(&labels(&[("instance", value)]));
            assert_eq!(got, Some(GaugeSubject::Node(want.into())), "{value}");
        }
        for (namespace, pod, want) in [
            ("shop", "cart-7d9f8b6c5d-x2x5z", "cart"),
            ("shop", "pay-7d9f8b6c5d-x2x5z", "shop/pay"),
            ("jobs", "night-0", "backup"),
        ] {
            let got = mapping.workload(&labels(&[("namespace", namespace), ("pod", pod)]));
            assert_eq!(got, Some(GaugeSubject::Workload(want.into())), "{pod}");
        }
        assert_eq!(mapping.node(&labels(&[("job", "x")])), None);
        assert_eq!(mapping.workload(&labels(&[("namespace", "shop")])), None);
    }
}
