//! Pods.
use super::{
    Keep, Kind, Manifest, Meta, Quantity, Requested, Rules,
    manifest::or_default,
    node::Condition,
    requested::{Container, Resources},
    rules::{Affinity, Placement, SpreadRule, WrittenToleration, WrittenVolume},
};
use serde::{Deserialize, de::IgnoredAny};
use std::collections::{BTreeMap, BTreeSet};

/// What is kept of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pod {
    pub(crate) meta: Meta,
    /// Empty until it is bound to one.
    pub(crate) node: String,
    /// It ended and will not run again.
    pub(crate) ended: bool,
    pub(crate) ready: bool,
    pub(crate) requested: Requested,
    pub(crate) host_ports: BTreeSet<u16>,
    pub(crate) rules: Rules,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec {
    #[serde(default)]
    node_name: String,
    #[serde(default)]
    scheduler_name: String,
    #[serde(default)]
    node_selector: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    affinity: Affinity,
    #[serde(default, deserialize_with = "or_default")]
    tolerations: Vec<WrittenToleration>,
    #[serde(default, deserialize_with = "or_default")]
    topology_spread_constraints: Vec<SpreadRule>,
    #[serde(default, deserialize_with = "or_default")]
    volumes: Vec<WrittenVolume>,
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    #[serde(default, deserialize_with = "or_default")]
    resources: Resources,
    #[serde(default)]
    overhead: BTreeMap<String, Quantity>,
    #[serde(default)]
    resource_claims: Vec<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

impl Keep for Pod {
    type Spec = PodSpec;
    type Status = PodStatus;
    const KIND: Kind = Kind { group: "", version: "v1", kind: "Pod", plural: "pods" };

    fn keep(mut manifest: Manifest<PodSpec, PodStatus>) -> Self {
        let meta = manifest.meta();
        let (spec, status) = (manifest.spec, manifest.status);
        let ports =
            spec.containers.iter().chain(&spec.init_containers).flat_map(|container| &container.ports);
        let host_ports = ports.map(|port| port.host_port).filter(|port| *port > 0).collect();
        let requested =
            Requested::of(&spec.containers, &spec.init_containers, &spec.resources, &spec.overhead);
        let rules = Rules::of(
            Placement {
                scheduler: &spec.scheduler_name,
                claims_devices: !spec.resource_claims.is_empty(),
                pod: &meta.name,
            },
            spec.node_selector,
            spec.affinity,
            spec.tolerations,
            spec.topology_spread_constraints,
            spec.volumes,
        );
        Self {
            node: spec.node_name,
            ended: matches!(status.phase.as_str(), "Succeeded" | "Failed"),
            ready: status.conditions.iter().any(|about| about.of == "Ready" && about.status == "True"),
            requested,
            host_ports,
            rules,
            meta,
        }
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
