//! Storage.
use super::{
    NodeTerm,
    manifest::{Unread, kept, or_default},
};
use serde::Deserialize;

kept!(Claim: "PersistentVolumeClaim", ClaimSpec, Unread, "", "v1", "persistentvolumeclaims");
kept!(PersistentVolume: "PersistentVolume", VolumeSpec, Unread, "", "v1", "persistentvolumes");

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimSpec {
    /// Empty until it is bound.
    pub(crate) volume_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeSpec {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) access_modes: Vec<String>,
    #[serde(default)]
    pub(crate) node_affinity: Option<VolumeAffinity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct VolumeAffinity {
    #[serde(default)]
    pub(crate) required: Option<NodeTerms>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeTerms {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) node_selector_terms: Vec<NodeTerm>,
}
