//! What binds a pod to places and to other pods. Preferences are left out: the scheduler may ignore them, and so does a
//! move.
use super::{NodeTerm, Selector, manifest::or_default, storage::NodeTerms};
use foremesh_core::topology::{Effect, Toleration};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The rules of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rules {
    pub(crate) node_selector: BTreeMap<String, String>,
    /// Ways to be the right node, any of which is enough; `None` for any node.
    pub(crate) node_terms: Option<Vec<NodeTerm>>,
    pub(crate) tolerations: Vec<Toleration>,
    /// Pods of which one must be in the same domain.
    pub(crate) with: Vec<PodTerm>,
    /// Pods of which none may be in the same domain.
    pub(crate) without: Vec<PodTerm>,
    pub(crate) spread: Vec<SpreadRule>,
    pub(crate) mounts: BTreeSet<Mount>,
    /// What no rule of the model says, each in words.
    pub(crate) unknown: BTreeSet<String>,
}

/// Pods, and the domain in which they are looked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodTerm {
    /// Without one no pods are meant.
    #[serde(default)]
    pub(crate) label_selector: Option<Selector>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) namespaces: BTreeSet<String>,
    #[serde(default)]
    pub(crate) namespace_selector: Option<Selector>,
    pub(crate) topology_key: String,
}

/// How pods are to be spread.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpreadRule {
    pub(crate) max_skew: usize,
    pub(crate) topology_key: String,
    when_unsatisfiable: String,
    #[serde(default)]
    pub(crate) label_selector: Option<Selector>,
    #[serde(default)]
    pub(crate) min_domains: Option<u32>,
    #[serde(default)]
    pub(crate) node_affinity_policy: Option<String>,
    #[serde(default)]
    pub(crate) node_taints_policy: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) match_label_keys: Vec<String>,
}

/// Storage that a pod is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mount {
    /// A claim of its namespace.
    Claim(String),
    /// A path of the node that it is on.
    HostPath(String),
}

/// What is said of a pod's place outside of its rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement<'a> {
    pub(super) scheduler: &'a str,
    pub(super) claims_devices: bool,
    pub(super) pod: &'a str,
}

impl Rules {
    pub(super) fn of(
        placement: Placement<'_>,
        node_selector: BTreeMap<String, String>,
        affinity: Affinity,
        tolerations: Vec<WrittenToleration>,
        mut spread: Vec<SpreadRule>,
        volumes: Vec<WrittenVolume>,
    ) -> Self {
        let mut unknown = BTreeSet::new();
        if !matches!(placement.scheduler, "" | "default-scheduler") {
            unknown
                .insert(format!("scheduler `{}` places it, whose rules are not known", placement.scheduler));
        }
        if placement.claims_devices {
            unknown.insert("it claims devices, which are not known".to_owned());
        }
        let mut mounts = BTreeSet::new();
        for volume in volumes {
            match volume.kind() {
                VolumeKind::Anywhere => {}
                VolumeKind::HostPath => {
                    mounts.insert(Mount::HostPath(volume.name));
                }
                VolumeKind::Claim(claim) => {
                    mounts.insert(Mount::Claim(claim));
                }
                // The claim of such a volume is named after the pod and the volume.
                VolumeKind::OwnClaim => {
                    mounts.insert(Mount::Claim(format!("{}-{}", placement.pod, volume.name)));
                }
                VolumeKind::Unknown(kind) => {
                    unknown.insert(format!(
                        "volume `{}` is of kind {kind}, whose places are not known",
                        volume.name
                    ));
                }
            }
        }
        spread.retain(|rule| rule.when_unsatisfiable == "DoNotSchedule");
        Self {
            node_selector,
            node_terms: affinity.node_affinity.required.map(|terms| terms.node_selector_terms),
            tolerations: tolerations.into_iter().filter_map(WrittenToleration::known).collect(),
            with: affinity.pod_affinity.required,
            without: affinity.pod_anti_affinity.required,
            spread,
            mounts,
            unknown,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Affinity {
    #[serde(default, deserialize_with = "or_default")]
    node_affinity: NodeAffinity,
    #[serde(default, deserialize_with = "or_default")]
    pod_affinity: PodAffinity,
    #[serde(default, deserialize_with = "or_default")]
    pod_anti_affinity: PodAffinity,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct NodeAffinity {
    #[serde(default, rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<NodeTerms>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct PodAffinity {
    #[serde(
        default,
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "or_default"
    )]
    required: Vec<PodTerm>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WrittenToleration {
    #[serde(default)]
    key: String,
    #[serde(default)]
    operator: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    effect: String,
}

impl WrittenToleration {
    /// `None` for one that cannot be judged: then the taint counts, which is the safe side.
    fn known(self) -> Option<Toleration> {
        let value = match self.operator.as_str() {
            "" | "Equal" => Some(self.value),
            "Exists" => None,
            _ => return None,
        };
        let effect = match self.effect.as_str() {
            "" => None,
            written => Some(effect(written)?),
        };
        Some(Toleration { key: self.key, value, effect })
    }
}

/// The effect of a taint by its name.
pub(crate) fn effect(written: &str) -> Option<Effect> {
    match written {
        "NoSchedule" => Some(Effect::NoSchedule),
        "PreferNoSchedule" => Some(Effect::PreferNoSchedule),
        "NoExecute" => Some(Effect::NoExecute),
        _ => None,
    }
}

/// A volume of a pod: a name, and one more field that says its kind.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct WrittenVolume {
    name: String,
    #[serde(flatten)]
    source: BTreeMap<String, serde_json::Value>,
}

enum VolumeKind {
    Anywhere,
    HostPath,
    Claim(String),
    OwnClaim,
    Unknown(String),
}

impl WrittenVolume {
    fn kind(&self) -> VolumeKind {
        let Some((kind, source)) = self.source.iter().next() else { return VolumeKind::Anywhere };
        match kind.as_str() {
            // Made anew for each pod, or served over the network to every node.
            "emptyDir" | "configMap" | "secret" | "projected" | "downwardAPI" | "csi" | "image"
            | "gitRepo" | "nfs" | "cephfs" | "glusterfs" => VolumeKind::Anywhere,
            "hostPath" => VolumeKind::HostPath,
            "ephemeral" => VolumeKind::OwnClaim,
            "persistentVolumeClaim" => {
                let claim = source.get("claimName").and_then(serde_json::Value::as_str);
                VolumeKind::Claim(claim.unwrap_or_default().to_owned())
            }
            other => VolumeKind::Unknown(other.to_owned()),
        }
    }
}
