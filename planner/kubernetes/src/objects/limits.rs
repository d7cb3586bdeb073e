//! What limits changes: budgets, quotas, autoscalers, namespaces; and the services that callers know.
use super::{
    Quantity, Selector,
    manifest::{Unread, kept, or_default},
};
use serde::Deserialize;
use std::collections::BTreeMap;

kept!(Budget: "PodDisruptionBudget", BudgetSpec, BudgetStatus, "policy", "v1", "poddisruptionbudgets");
kept!(Scaler: "HorizontalPodAutoscaler", ScalerSpec, ScalerStatus, "autoscaling", "v2", "horizontalpodautoscalers");
kept!(Quota: "ResourceQuota", QuotaSpec, QuotaStatus, "", "v1", "resourcequotas");
kept!(Namespace: "Namespace", NamespaceSpec, Unread, "", "v1", "namespaces");
kept!(Service: "Service", ServiceSpec, Unread, "", "v1", "services");

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct BudgetSpec {
    /// Without one it is about no pods at all.
    #[serde(default)]
    pub(crate) selector: Option<Selector>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BudgetStatus {
    pub(crate) observed_generation: i64,
    pub(crate) disruptions_allowed: u32,
    pub(crate) current_healthy: u32,
    pub(crate) desired_healthy: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScalerSpec {
    pub(crate) scale_target_ref: ScaleTarget,
    pub(crate) max_replicas: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ScaleTarget {
    pub(crate) kind: String,
    pub(crate) name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScalerStatus {
    pub(crate) current_replicas: u32,
    pub(crate) desired_replicas: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct QuotaSpec {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) hard: BTreeMap<String, Quantity>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) scopes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct QuotaStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) used: BTreeMap<String, Quantity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct ServiceSpec {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) selector: BTreeMap<String, String>,
    /// `None` for the few that are written so: a headless service, whose callers choose a pod themselves.
    #[serde(default, rename = "clusterIP")]
    pub(crate) cluster_ip: String,
}

/// Only its labels are of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct NamespaceSpec {}
