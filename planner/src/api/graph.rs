//! What traffic and past moves have taught of the mesh: who calls whom, how far nodes are, how wrong the twin was.
use super::{ApiState, time_text::rfc3339};
use crate::problem::Problem;
use axum::{Json, extract::State};
use foremesh_core::learned;
use serde::Serialize;
use utoipa::ToSchema;

/// The mesh as it was learned.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Graph {
    /// The pass that it was looked at in.
    at: String,
    /// Who calls whom.
    calls: Vec<Call>,
    /// Time that a call spends on the way between two nodes, there and back, where the two ends of calls could be put
    /// together.
    nodes: Vec<Distance>,
    /// The same between zones, also those between which no call was seen: then what is usual.
    zones: Vec<Distance>,
    /// How the twin's predictions compared with what came.
    twin: Twin,
}

/// Calls from one service to another.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Call {
    /// Who calls.
    caller: String,
    /// Who is called.
    callee: String,
    /// Calls for one request of the caller, on average.
    per_request: f64,
    /// Share of the calls that were made again after a failure, above 0.
    retries: f64,
    /// Whether the caller waits for the answer.
    waits: bool,
}

/// A distance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Distance {
    /// One end.
    from: String,
    /// The other one; the way back is as long.
    to: String,
    /// Mean in milliseconds.
    mean_ms: f64,
    /// Standard error of that mean in milliseconds.
    error_ms: f64,
    /// Calls behind it.
    calls: u64,
}

/// How wrong the twin was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Twin {
    /// Standard deviation of the logarithm of measured over predicted latency; the usual one before eight moves.
    spread: f64,
    /// Middle of that logarithm; 0 before eight moves.
    middle: f64,
    /// Moves that were compared, the newest first.
    moves: Vec<Outcome>,
}

/// A move that was compared.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    /// What moved.
    workload: String,
    /// Predicted latency on the target in milliseconds, over the steps that were measured.
    predicted_ms: f64,
    /// Measured latency over the same steps.
    measured_ms: f64,
}

impl Distance {
    fn new(from: &impl ToString, to: &impl ToString, distance: &learned::Distance) -> Self {
        let learned::Distance { mean_ms, error_ms, calls } = *distance;
        Self { from: from.to_string(), to: to.to_string(), mean_ms, error_ms, calls }
    }
}

/// Who calls whom, how far nodes are from one another, and how wrong the twin was, as the newest pass knows it.
#[utoipa::path(get, path = "/api/v1/graph", tag = "platform", responses(
    (status = 200, body = Graph),
    (status = 503, description = "No pass was made yet", body = Problem)
))]
pub(super) async fn graph(State(state): State<ApiState>) -> Result<Json<Graph>, Problem> {
    let view = state.view()?;
    let learned = &view.inputs.learned;
    let calls = learned.graph.0.iter().flat_map(|(caller, calls)| {
        calls.iter().map(|call| Call {
            caller: caller.to_string(),
            callee: call.callee.to_string(),
            per_request: call.per_request,
            retries: call.retries,
            waits: call.waits,
        })
    });
    let (middle, spread) = learned.twin.spread();
    let outcomes = learned.twin.moves.iter().map(|outcome| Outcome {
        workload: outcome.workload.to_string(),
        predicted_ms: outcome.predicted_ms,
        measured_ms: outcome.measured_ms,
    });
    Ok(Json(Graph {
        at: rfc3339(view.at),
        calls: calls.collect(),
        nodes: learned.proximity.nodes.iter().map(|(a, b, distance)| Distance::new(a, b, distance)).collect(),
        zones: learned.proximity.zones.iter().map(|(a, b, distance)| Distance::new(a, b, distance)).collect(),
        twin: Twin { spread: spread.into(), middle: middle.into(), moves: outcomes.collect() },
    }))
}
