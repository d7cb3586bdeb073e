//! For probes and scrapers.
use super::ApiState;
use crate::{causes::chain, problem::Problem, store::Health};
use axum::{extract::State, http::header, response::IntoResponse};

/// Says that the process runs.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "The process runs")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Says whether the planner can take summaries and decide: the store commits, and a pass was made lately.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "It takes summaries and decides; and which planner acts, when it is another one"),
    (status = 503, description = "It does not, and why", body = Problem)
))]
pub(super) async fn readyz(State(state): State<ApiState>) -> Result<String, Problem> {
    if let Health::Failing(why) = state.store.health() {
        return Err(Problem::unavailable(format!("summaries cannot be made durable: {why}")));
    }
    let view = state.view()?;
    let age_ms = state.clock.now().ms_since(view.at);
    if age_ms > state.pass_limit_ms {
        let why =
            state.published.failure().map_or_else(|| "no pass has ended since".to_owned(), |(_, why)| why);
        return Err(Problem::unavailable(format!(
            "the newest decision is {age_ms} ms old, but at most {} ms are allowed: {why}",
            state.pass_limit_ms
        )));
    }
    // One that leaves acting to another planner is ready for all the rest.
    let also = state.rollouts.not_leading().map(|why| format!("; {why}")).unwrap_or_default();
    Ok(format!("ready{also}\n"))
}

/// Counters and forecasts in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "OpenMetrics text")))]
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<impl IntoResponse, Problem> {
    let rollouts = state.rollouts.counts().await.map_err(|error| Problem::internal(chain(&error)))?;
    state.metrics.leads(state.rollouts.not_leading().is_none());
    let text = state
        .metrics
        .encode(state.published.view().as_deref(), &rollouts)
        .map_err(|error| Problem::internal(format!("metrics cannot be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
