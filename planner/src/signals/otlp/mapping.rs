//! Which metrics of the semantic conventions of OpenTelemetry make up which quantity, and of whom.
//!
//! <https://opentelemetry.io/docs/specs/semconv/system/system-metrics/> and the siblings for containers, processes and
//! Kubernetes; older names of attributes are read too, because collectors still send them.
use crate::{
    signals::{
        node_exporter::{is_disk, is_network},
        prometheus::owner_of,
    },
    store::{GaugeMetric, GaugeSubject},
};
use foremesh_core::ids::{NodeId, WorkloadId};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use std::collections::BTreeMap;

/// Attributes as text.
pub(super) type Attributes = BTreeMap<String, String>;

/// Attributes of a resource that tell its instances apart.
const IDENTITY: [&str; 9] = [
    "service.instance.id",
    "service.name",
    "host.name",
    "k8s.node.name",
    "k8s.pod.uid",
    "k8s.pod.name",
    "k8s.container.name",
    "container.id",
    "process.pid",
];

/// Whom a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Node,
    /// A process or a container outside Kubernetes, where the pod's own numbers would count it twice.
    Part,
    Pod,
}

/// What a metric is part of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Meaning {
    about: About,
    pub(super) metric: GaugeMetric,
    /// Factor to the unit of the quantity.
    pub(super) scale: f64,
    /// Whether it is counted; otherwise it is a level.
    pub(super) counted: bool,
}

/// What a metric of this name means; `None` for one that is not needed.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    use GaugeMetric as M;
    let (about, metric, scale, counted) = match name {
        "system.cpu.time" => (About::Node, M::CpuUsedMillicores, 1000.0, true),
        "system.cpu.logical.count" => (About::Node, M::CpuCapacityMillicores, 1000.0, false),
        "system.memory.usage" | "k8s.node.memory.working_set" => {
            (About::Node, M::MemoryUsedBytes, 1.0, false)
        }
        "system.memory.limit" => (About::Node, M::MemoryCapacityBytes, 1.0, false),
        "system.disk.io" => (About::Node, M::DiskIoBytesPerSecond, 1.0, true),
        "system.network.io" | "k8s.node.network.io" => (About::Node, M::NetworkBytesPerSecond, 1.0, true),
        "k8s.node.cpu.usage" => (About::Node, M::CpuUsedMillicores, 1000.0, false),
        "k8s.pod.cpu.usage" => (About::Pod, M::CpuUsedMillicores, 1000.0, false),
        "k8s.pod.memory.working_set" => (About::Pod, M::MemoryUsedBytes, 1.0, false),
        "k8s.pod.network.io" => (About::Pod, M::NetworkBytesPerSecond, 1.0, true),
        "container.cpu.time" | "process.cpu.time" => (About::Part, M::CpuUsedMillicores, 1000.0, true),
        "container.cpu.usage" => (About::Part, M::CpuUsedMillicores, 1000.0, false),
        "container.memory.usage" | "process.memory.usage" => (About::Part, M::MemoryUsedBytes, 1.0, false),
        "container.disk.io" | "process.disk.io" => (About::Part, M::DiskIoBytesPerSecond, 1.0, true),
        "container.network.io" | "process.network.io" => (About::Part, M::NetworkBytesPerSecond, 1.0, true),
        _ => return None,
    };
    Some(Meaning { about, metric, scale, counted })
}

/// Attributes of a resource or a point.
pub(super) fn attributes(pairs: &[KeyValue]) -> Attributes {
    let text = |pair: &KeyValue| {
        let value = match pair.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => text.clone(),
            Value::BoolValue(value) => value.to_string(),
            Value::IntValue(value) => value.to_string(),
            Value::DoubleValue(value) => value.to_string(),
            _ => return None,
        };
        Some((pair.key.clone(), value))
    };
    pairs.iter().filter_map(text).collect()
}

/// What tells one sender's numbers from another's.
pub(super) fn identity(resource: &Attributes) -> String {
    let parts = IDENTITY.iter().map(|key| resource.get(*key).map_or("", String::as_str));
    parts.collect::<Vec<_>>().join("|")
}

impl Meaning {
    /// Whom it is about; `Err` with what is missing in the resource, `Ok(None)` when somebody else tells it better.
    pub(super) fn subject(&self, resource: &Attributes) -> Result<Option<GaugeSubject>, &'static str> {
        let get = |key: &str| resource.get(key).filter(|value| !value.is_empty());
        if self.about == About::Node {
            let node = get("k8s.node.name").or_else(|| get("host.name"));
            let node = node.ok_or("a resource attribute k8s.node.name or host.name")?;
            return Ok(Some(GaugeSubject::Node(NodeId::new(node.clone()))));
        }
        if self.about == About::Part && get("k8s.pod.name").is_some() && get("service.name").is_none() {
            return Ok(None);
        }
        let owner = ["k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name"]
            .iter()
            .find_map(|key| get(key))
            .map(String::as_str)
            .or_else(|| get("k8s.pod.name").map(|pod| owner_of(pod)));
        let name = match (self.about, get("service.name"), owner, get("k8s.namespace.name")) {
            (About::Part, Some(service), ..) => service.clone(),
            (_, _, Some(owner), Some(namespace)) => format!("{namespace}/{owner}"),
            (_, Some(service), ..) => service.clone(),
            (_, None, Some(owner), None) => owner.to_owned(),
            (_, None, None, _) => return Err("a resource attribute service.name or k8s.pod.name"),
        };
        Ok(Some(GaugeSubject::Workload(WorkloadId::new(name))))
    }

    /// Whether a point counts: idle time is no use, and devices that pass on what others do would count it twice.
    pub(super) fn counts(&self, point: &Attributes) -> bool {
        let get = |keys: &[&str]| keys.iter().find_map(|key| point.get(*key)).map(String::as_str);
        if self.about != About::Node {
            return true;
        }
        match self.metric {
            GaugeMetric::CpuUsedMillicores => {
                let state = get(&["cpu.mode", "system.cpu.state", "state"]).unwrap_or_default();
                !matches!(state, "idle" | "iowait" | "wait")
            }
            GaugeMetric::MemoryUsedBytes => {
                get(&["system.memory.state", "state"]).is_none_or(|state| state == "used")
            }
            GaugeMetric::DiskIoBytesPerSecond => get(&["system.device", "device"]).is_none_or(is_disk),
            GaugeMetric::NetworkBytesPerSecond => {
                get(&["network.interface.name", "system.device", "device", "interface"])
                    .is_none_or(is_network)
            }
            _ => true,
        }
    }
}
