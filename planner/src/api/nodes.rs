//! Nodes and the proxies on them.
use super::{ApiState, time_text::rfc3339};
use crate::{forecasts::Exhausted, problem::Problem, silence::SilentProxy, store::ProxyStream};
use axum::{Json, extract::State};
use foremesh_core::topology::NodeState;
use serde::Serialize;
use utoipa::ToSchema;

/// All nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nodes {
    /// When the platform was asked.
    at: String,
    /// Every node, the unreachable ones too.
    nodes: Vec<Node>,
}

/// One node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Node {
    /// Its name.
    id: String,
    /// Failure domain.
    zone: Option<String>,
    /// `ready`, `cordoned` or `unreachable`.
    state: &'static str,
    /// Why it is unreachable.
    because: Option<String>,
    /// CPU that workloads can have, in millicores.
    capacity_millicores: f64,
    /// CPU in use now, in millicores; missing when it could not be read.
    used_millicores: Option<f64>,
    /// Highest CPU use that is forecast within the horizon, in millicores; missing when it cannot be forecast.
    predicted_peak_millicores: Option<f64>,
    /// Resources that may run out within the horizon, by the quantity that is used: the probability, and when.
    exhaustion: Vec<Running>,
    /// Workloads with a replica on it.
    workloads: Vec<String>,
}

/// A resource that may run out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Running {
    /// The quantity that is used, with its unit, such as `memory_used_bytes`.
    metric: String,
    /// What there is of it, in the same unit.
    capacity: f64,
    /// Probability that all of it is in use at some step within the horizon, from 0 to 1.
    probability: f64,
    /// Start of the first step at which one in ten outcomes reaches capacity; missing when no step has so many.
    possible_at: Option<String>,
    /// Start of the first step at which every other outcome does; missing when no step has so many.
    likely_at: Option<String>,
}

impl From<&Exhausted> for Running {
    fn from(exhausted: &Exhausted) -> Self {
        let exhaustion = &exhausted.exhaustion;
        Self {
            metric: exhausted.metric.name().to_owned(),
            capacity: exhausted.capacity,
            probability: exhaustion.probability.get(),
            possible_at: exhaustion.possible_at.map(rfc3339),
            likely_at: exhaustion.likely_at.map(rfc3339),
        }
    }
}

/// Every node with its use now and its predicted peak.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "platform", responses(
    (status = 200, body = Nodes),
    (status = 503, description = "No pass was made yet", body = Problem)
))]
pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<Nodes>, Problem> {
    let view = state.view()?;
    let snapshot = &view.inputs.snapshot;
    let nodes = snapshot.nodes.iter().map(|(id, node)| {
        let (name, because) = match &node.state {
            NodeState::Ready => ("ready", None),
            NodeState::Cordoned => ("cordoned", None),
            NodeState::Unreachable(why) => ("unreachable", Some(why.clone())),
        };
        let forecast = view.inputs.nodes.get(id).and_then(|forecast| forecast.as_ref().ok());
        let on_it =
            snapshot.workloads.iter().filter(|(_, w)| w.replicas.values().any(|replica| replica.node == *id));
        Node {
            id: id.to_string(),
            zone: node.zone.as_ref().map(ToString::to_string),
            state: name,
            because,
            capacity_millicores: node.capacity.get(),
            used_millicores: node.used.map(foremesh_core::units::Millicores::get),
            predicted_peak_millicores: forecast
                .map(|forecast| forecast.steps.iter().map(|step| step.point).fold(0.0, f64::max)),
            exhaustion: view
                .forecasts
                .exhausted
                .iter()
                .filter(|exhausted| exhausted.node == *id)
                .map(Running::from)
                .collect(),
            workloads: on_it.map(|(workload, _)| workload.to_string()).collect(),
        }
    });
    Ok(Json(Nodes { at: rfc3339(snapshot.taken_at), nodes: nodes.collect() }))
}

/// All proxies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Proxies {
    /// Every worker of every proxy that has sent a summary.
    proxies: Vec<Proxy>,
    /// Those that should send and do not.
    silent: Vec<SilentProxy>,
}

/// One worker of one proxy.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Proxy {
    /// Workload whose proxy it is.
    workload: String,
    /// Its replica.
    pod: String,
    /// Its node.
    node: String,
    /// The worker's epoch.
    epoch: u64,
    /// When its last summary arrived.
    last_seen: String,
    /// Summaries received.
    summaries: u64,
    /// Observations received.
    observations: u64,
    /// Observations that the proxy made and that did not arrive.
    lost: u64,
    /// Summaries that arrived more than once; counted once.
    duplicates: u64,
    /// Pushes that were not acknowledged.
    failed_pushes: u64,
    /// Observations over the proxy's limit of keys.
    overflow: u64,
    /// What is wrong with its configuration; empty when nothing is.
    config_error: String,
}

impl From<ProxyStream> for Proxy {
    fn from(stream: ProxyStream) -> Self {
        Self {
            workload: stream.proxy.workload,
            pod: stream.proxy.pod,
            node: stream.proxy.node,
            epoch: stream.epoch,
            last_seen: rfc3339(stream.last_seen),
            summaries: stream.summaries,
            observations: stream.observations,
            lost: stream.lost,
            duplicates: stream.duplicates,
            failed_pushes: stream.failed_pushes,
            overflow: stream.overflow,
            config_error: stream.config_error,
        }
    }
}

/// Every proxy with what it sent and lost, and the silent ones.
#[utoipa::path(get, path = "/api/v1/proxies", tag = "platform", responses((status = 200, body = Proxies)))]
pub(super) async fn proxies(State(state): State<ApiState>) -> Result<Json<Proxies>, Problem> {
    let streams =
        state.store.streams().await.map_err(|error| Problem::internal(crate::causes::chain(&error)))?;
    Ok(Json(Proxies {
        proxies: streams.into_iter().map(Proxy::from).collect(),
        silent: state.published.view().map(|view| view.silent.clone()).unwrap_or_default(),
    }))
}
