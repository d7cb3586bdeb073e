//! Which of the new pods of a moving workload is the one that goes to the new node: pure.
use super::{LOCATION_LABEL, patch::patch};
use crate::moving::{Moved, MovedPhase};
use serde_json::Value;
use std::collections::BTreeMap;

/// A pod that is there already: of the same revision, not ended and not ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: String,
    /// Its label [`LOCATION_LABEL`].
    pub(super) location: Option<String>,
}

/// What is to be done to a new pod of a workload that moves, as a JSON Patch; nothing when it has a location already.
///
/// `peers` are the pods beside it, `None` when they are not known. The new pod is the extra replica, and goes to the new
/// node, when all replicas of before are there and no pod has the new node yet: then it can only be one too many. Replicas
/// are alike, so it does not matter which one makes up for one that was lost; but at most one is sent, and none once the
/// new one is promoted: what is new then replaces something, or was scaled up.
pub(super) fn decide(pod: &Value, moved: &Moved, peers: Option<&[Peer]>) -> Vec<Value> {
    if pod["metadata"]["labels"][LOCATION_LABEL].is_string() {
        return Vec::new();
    }
    if moved.phase == MovedPhase::Surging && peers.is_some_and(|peers| is_extra(moved, peers)) {
        patch(pod, "target", Some(&moved.to))
    } else {
        patch(pod, "stay", None)
    }
}

fn is_extra(moved: &Moved, peers: &[Peer]) -> bool {
    // One of before may still have the label of an earlier move.
    let known = |peer: &Peer| moved.known.iter().any(|known| known.as_str() == peer.name);
    let sent = |peer: &&Peer| peer.location.as_deref() == Some("target") && !known(peer);
    let sent = peers.iter().filter(sent).count();
    sent == 0 && peers.len() >= moved.replicas_before as usize
}

/// The replica set that a pod is made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maker {
    pub(super) name: String,
    pub(super) uid: String,
    /// Hash of the pod template that is in it.
    pub(super) revision: String,
}

/// Who makes this pod, when it can be one of a Deployment: its controller is a replica set, and it has the label that
/// Deployments give to pods.
pub(super) fn maker(pod: &Value) -> Option<Maker> {
    let metadata = &pod["metadata"];
    let owner = controller(metadata["ownerReferences"].as_array()?, "ReplicaSet")?;
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some(Maker {
        name: text(&owner["name"])?,
        uid: text(&owner["uid"])?,
        revision: text(&metadata["labels"]["pod-template-hash"])?,
    })
}

/// The owner that controls something, when it is of this kind of `apps`.
pub(super) fn controller<'o>(owners: &'o [Value], kind: &str) -> Option<&'o Value> {
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let of_apps = owner["apiVersion"].as_str().is_some_and(|version| version.starts_with("apps/"));
    (of_apps && owner["kind"] == kind).then_some(owner)
}

/// What of a namespace moves, by the name of the workload.
pub(super) fn of_namespace(
    moving: impl IntoIterator<Item = Moved>,
    namespace: &str,
) -> BTreeMap<String, Moved> {
    let name = |moved: &Moved| {
        let (of, name) = moved.workload.as_str().split_once('/')?;
        (of == namespace).then(|| name.to_owned())
    };
    moving.into_iter().filter_map(|moved| Some((name(&moved)?, moved))).collect()
}
