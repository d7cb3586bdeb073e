//! What makes pods.
use super::manifest::{Unread, kept};
use serde::Deserialize;

kept!(Deployment: "Deployment", DeploymentSpec, DeploymentStatus, "apps", "v1", "deployments");
kept!(ReplicaSet: "ReplicaSet", ReplicaSetSpec, Unread, "apps", "v1", "replicasets");
kept!(StatefulSet: "StatefulSet", StatefulSetSpec, StatefulSetStatus, "apps", "v1", "statefulsets");

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct DeploymentSpec {
    #[serde(default)]
    pub(crate) replicas: Option<u32>,
    #[serde(default)]
    pub(crate) paused: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeploymentStatus {
    pub(crate) observed_generation: i64,
    pub(crate) replicas: u32,
    pub(crate) updated_replicas: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct StatefulSetSpec {
    #[serde(default)]
    pub(crate) replicas: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StatefulSetStatus {
    pub(crate) observed_generation: i64,
    pub(crate) current_revision: String,
    pub(crate) update_revision: String,
}

/// Only whom it belongs to is of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct ReplicaSetSpec {}
