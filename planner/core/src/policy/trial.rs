//! How the moves of a policy are tried, as it was checked.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the moves of a policy are tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialTerms {
    /// Requests that are sent to the copies. Never empty.
    pub requests: Vec<TrialRequest>,
    /// Port of the pods that takes them; that of the service when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether the copies may call what the workload calls.
    #[serde(default)]
    pub callees: Callees,
    /// Whether secrets that the pods need may be copied into the staging mesh.
    #[serde(default)]
    pub copy_secrets: bool,
    /// Longest load in milliseconds; that of the settings when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialRequest {
    /// Path with its query.
    pub path: String,
    /// Method, in capitals.
    pub method: String,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How often it comes, against the others; above 0.
    pub weight: u32,
}

/// What the copies may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callees {
    /// Nothing outside of their own namespace.
    #[default]
    None,
    /// What the workload calls in production.
    Production,
}
