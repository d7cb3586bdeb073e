//! A mesh file as it is written; everything but names may be left out.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) name: Option<String>,
    pub(super) services: Option<Vec<FileService>>,
    pub(super) edges: Option<Vec<FileEdge>>,
    pub(super) operations: Option<Vec<FileOperation>>,
    pub(super) entry_points: Option<Vec<EntryPoint>>,
    pub(super) incidents: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct FileService {
    pub(super) name: String,
    pub(super) role: Option<String>,
    pub(super) stateful: Option<bool>,
    pub(super) replicas: Option<f64>,
    pub(super) cpu_core_ms_per_request: Option<f64>,
    pub(super) self_time_ms_p50: Option<f64>,
    pub(super) memory_mib_mean: Option<f64>,
    pub(super) memory_request_mib: Option<f64>,
    pub(super) memory_limit_mib: Option<f64>,
    pub(super) requests_per_s: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct FileEdge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) calls_per_caller_request: Option<f64>,
    pub(super) mode: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct FileOperation {
    pub(super) name: Option<String>,
    pub(super) entry: Option<String>,
    pub(super) weight: Option<f64>,
    pub(super) calls: Option<Vec<FileCall>>,
}

#[derive(Deserialize)]
pub(super) struct FileCall {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) mean: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum EntryPoint {
    Name(String),
    Share { service: String, share: Option<f64> },
}
