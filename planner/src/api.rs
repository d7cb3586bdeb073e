//! The HTTP API: what developers and dashboards read, and the little that operators change.
//!
//! Every number has a unit in its name and comes with its age. Errors are RFC 9457 problems that say what to do.
mod accuracy;
mod decisions;
mod events;
mod forecasts;
mod graph;
mod health;
mod nodes;
mod payload;
mod plans;
mod query;
mod record;
mod regressors;
mod relocations;
mod routes;
mod services;
mod signals;
mod time_text;
mod what_if;

pub use record::PortableRecord;
pub(crate) use time_text::{parse as parse_time, rfc3339};
pub use what_if::WhatIfAnswer;

use crate::{
    approvals::Approvals, audit::Audit, calendar::Calendars, causes::chain, clock::Clock, metrics::Metrics,
    observed::SharedObserved, problem::Problem, published::Published, published::View,
    regressors::Regressors, rollout::Rollouts, signals::status::Statuses, store::SeriesStore,
};
use axum::{
    Json, Router,
    http::{Method, Uri},
    routing::get,
};
use foremesh_core::forecast::ForecastSettings;
use std::sync::Arc;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the API answers from.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// Tells the time.
    pub clock: Clock,
    /// The newest pass.
    pub published: Arc<Published>,
    /// What was observed.
    pub observed: SharedObserved,
    /// Where observations are.
    pub store: Arc<dyn SeriesStore>,
    /// Carries plans out.
    pub rollouts: Arc<Rollouts>,
    /// What was decided.
    pub audit: Arc<Audit>,
    /// Takes a human's yes to a plan.
    pub approvals: Approvals,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Known events.
    pub calendars: Arc<Calendars>,
    /// Series that explain ours.
    pub regressors: Arc<Regressors>,
    /// How those do who measure beside the proxies.
    pub signals: Statuses,
    /// How forecasts are made, the same as in the loop.
    pub forecast: ForecastSettings,
    /// A pass older than this, in milliseconds, means that the planner is not ready.
    pub pass_limit_ms: i64,
}

impl ApiState {
    /// The newest pass, or why there is none yet.
    fn view(&self) -> Result<Arc<View>, Problem> {
        self.published.view().ok_or_else(|| {
            let why = self.published.failure().map_or_else(
                || "the planner has just started".to_owned(),
                |(_, why)| format!("the last pass failed: {why}"),
            );
            Problem::unavailable(format!("there is no decision yet, because {why}; ask again in a moment"))
        })
    }
}

/// What the planner itself could not do.
fn fault(error: &dyn std::error::Error) -> Problem {
    Problem::internal(chain(error))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Foremesh planner",
        description = "Forecasts, decisions and moves of a Foremesh planner. Latencies are in milliseconds, times are \
                       RFC 3339 in UTC. Errors are RFC 9457 problem documents."
    ),
    paths(describe, crate::ingest::accept),
    tags(
        (name = "observations", description = "What proxies send"),
        (name = "services", description = "What services do, and what they will do"),
        (name = "decisions", description = "What was decided and why"),
        (name = "events", description = "Known events, and series that explain ours"),
        (name = "moves", description = "Relocations and their state"),
        (name = "platform", description = "Nodes and proxies"),
        (name = "health", description = "For probes and scrapers")
    )
)]
struct Description;

fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(services::list))
        .routes(routes!(services::one))
        .routes(routes!(forecasts::of_service))
        .routes(routes!(forecasts::of_route))
        .routes(routes!(forecasts::of_node))
        .routes(routes!(forecasts::of_workload))
        .routes(routes!(accuracy::list))
        .routes(routes!(services::history))
        .routes(routes!(routes::list))
        .routes(routes!(graph::graph))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::proxies))
        .routes(routes!(signals::list))
        .routes(routes!(plans::list))
        .routes(routes!(decisions::plan))
        .routes(routes!(plans::approve))
        .routes(routes!(record::of_plan))
        .routes(routes!(what_if::ask))
        .routes(routes!(decisions::of_service))
        .routes(routes!(decisions::last))
        .routes(routes!(decisions::list))
        .routes(routes!(relocations::list))
        .routes(routes!(relocations::one))
        .routes(routes!(relocations::abort))
        .routes(routes!(relocations::undo))
        .routes(routes!(events::list, events::make))
        .routes(routes!(events::one, events::replace, events::remove))
        .routes(routes!(events::cancel))
        .routes(routes!(events::restore))
        .routes(routes!(regressors::list))
        .routes(routes!(regressors::one, regressors::push, regressors::remove))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "health",
    responses((status = 200, description = "This description as JSON"))
)]
fn describe(description: &Document) -> Json<Document> {
    Json(description.clone())
}

/// All routes of the API with their description at `/api/v1/openapi.json`.
pub fn router(state: ApiState) -> Router {
    let (router, description) = routes().split_for_parts();
    let description = Arc::new(description);
    router
        .route("/api/v1/openapi.json", get(move || async move { describe(&description) }))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            Problem::method_not_allowed(&method, &uri)
        })
        .fallback(|uri: Uri| async move {
            Problem::not_found(format!(
                "there is nothing at `{}`; /api/v1/openapi.json lists all paths",
                uri.path()
            ))
        })
        .with_state(state)
}

/// The `OpenAPI` description as JSON text.
///
/// # Errors
/// When it has no JSON form.
pub fn openapi_json() -> anyhow::Result<String> {
    let (_, description) = routes().split_for_parts();
    Ok(description.to_pretty_json()?)
}
