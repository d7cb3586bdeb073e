//! External regressors: pushed with their known future, listed with source and age.
use super::{ApiState, payload, query::Query, time_text::rfc3339};
use crate::{
    causes::chain,
    problem::Problem,
    regressors::{
        MAX_BODY_BYTES, MAX_PUSH_POINTS, Push, PushError, Regressor, RegressorError, Source, from_csv,
        from_json,
    },
    settings::Span,
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use foremesh_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Points that one answer gives at most.
const MAX_SHOWN: usize = 10_000;

/// All regressors.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Regressors {
    /// By name.
    regressors: Vec<RegressorView>,
}

/// One regressor.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RegressorView {
    /// Its name.
    name: String,
    /// Unit of its values.
    unit: Option<String>,
    /// `pushed`, or `promql`.
    source: &'static str,
    /// The expression that it is read by.
    promql: Option<String>,
    /// What it may influence: patterns of services, nodes, workloads and metrics; everything when empty.
    #[schema(value_type = Object)]
    scope: serde_json::Value,
    /// How long a value holds when no newer one follows, in milliseconds.
    hold_ms: i64,
    /// Points that are known.
    points: usize,
    /// Time of the oldest point.
    first: Option<String>,
    /// Time of the newest point; later than now for a plan.
    last: Option<String>,
    /// End of what is known; a forecast beyond it needs a forecast of the regressor.
    known_until: Option<String>,
    /// When it was pushed or read last.
    received_at: Option<String>,
    /// Milliseconds since then.
    age_ms: Option<i64>,
    /// Why the last read failed; what was read before is in force.
    error: Option<String>,
}

/// One regressor with its points.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RegressorPoints {
    /// What it is.
    #[serde(flatten)]
    regressor: RegressorView,
    /// Points in the time that was asked for, oldest first; at most 10000.
    values: Vec<PointView>,
}

/// The value at a time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PointView {
    /// When.
    at: String,
    /// The value from then on.
    value: f64,
}

/// What a push changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// The regressor.
    name: String,
    /// Points that were accepted.
    accepted: usize,
    /// Of those, points whose time had another value before.
    replaced: usize,
    /// End of what is known now.
    known_until: Option<String>,
}

/// What a CSV body cannot say.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct PushQuery {
    /// Unit of the values, for people.
    unit: Option<String>,
    /// How long a value holds when no newer one follows, such as `1h`; one step when never said.
    #[param(value_type = Option<String>)]
    hold: Option<Span>,
}

/// The time that points are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeQuery {
    /// The first time, RFC 3339; the oldest point when left out.
    from: Option<String>,
    /// The first time after it, RFC 3339; after the newest point when left out.
    to: Option<String>,
}

fn view(regressor: &Regressor, now: Timestamp) -> RegressorView {
    let points = regressor.points();
    let (source, promql) = match &regressor.source {
        Source::Pushed => ("pushed", None),
        Source::PromQl { query, .. } => ("promql", Some(query.clone())),
    };
    RegressorView {
        name: regressor.name.clone(),
        unit: regressor.unit.clone(),
        source,
        promql,
        scope: serde_json::to_value(&regressor.scope).unwrap_or_default(),
        hold_ms: regressor.hold_ms,
        points: points.len(),
        first: points.first_key_value().map(|(at, _)| rfc3339(*at)),
        last: points.last_key_value().map(|(at, _)| rfc3339(*at)),
        known_until: regressor.known_until().map(rfc3339),
        received_at: regressor.received_at.map(rfc3339),
        age_ms: regressor.received_at.map(|at| now.ms_since(at)),
        error: regressor.error.clone(),
    }
}

fn problem(error: &RegressorError) -> Problem {
    let text = chain(error);
    match error {
        RegressorError::Name(_) | RegressorError::Hold(_) => Problem::bad_request(text),
        RegressorError::Unknown(_) => Problem::not_found(text),
        RegressorError::Read(..)
        | RegressorError::Declared { .. }
        | RegressorError::TooMany
        | RegressorError::TooManyPoints => Problem::conflict(text),
        RegressorError::File(_) | RegressorError::Settings(_) | RegressorError::Prometheus(..) => {
            Problem::internal(text)
        }
    }
}

fn refused(error: &PushError) -> Problem {
    match error {
        PushError::TooMany { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        other => Problem::bad_request(other.to_string()),
    }
}

/// Every regressor, with its source, its age and how far its future is known.
#[utoipa::path(get, path = "/api/v1/regressors", tag = "events", responses((status = 200, body = Regressors)))]
pub(super) async fn list(State(state): State<ApiState>) -> Json<Regressors> {
    let now = state.clock.now();
    let set = state.regressors.current();
    Json(Regressors { regressors: set.all().map(|regressor| view(regressor, now)).collect() })
}

/// One regressor with its points.
#[utoipa::path(get, path = "/api/v1/regressors/{name}", tag = "events",
    params(("name" = String, Path, description = "Name of the regressor"), RangeQuery),
    responses(
        (status = 200, body = RegressorPoints),
        (status = 400, description = "A time that is none", body = Problem),
        (status = 404, description = "No such regressor", body = Problem)
    )
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(query): Query<RangeQuery>,
) -> Result<Json<RegressorPoints>, Problem> {
    let found = state.regressors.current().get(&name).map(Arc::clone);
    let found = found.ok_or_else(|| problem(&RegressorError::Unknown(name)))?;
    let time = |field: &str, text: Option<&String>, without: i64| match text {
        None => Ok(Timestamp::from_unix_ms(without)),
        Some(text) => super::events::time(field, text),
    };
    let (from, to) = (time("from", query.from.as_ref(), i64::MIN)?, time("to", query.to.as_ref(), i64::MAX)?);
    let inside = found.points().iter().filter(|(at, _)| (from..to).contains(at));
    let values =
        inside.take(MAX_SHOWN).map(|(at, value)| PointView { at: rfc3339(*at), value: *value }).collect();
    Ok(Json(RegressorPoints { regressor: view(&found, state.clock.now()), values }))
}

/// Takes points of a regressor, past ones and those of a plan. The newest push of a time wins; all or nothing is taken.
#[utoipa::path(post, path = "/api/v1/regressors/{name}", tag = "events",
    params(("name" = String, Path, description = "Name of the regressor"), PushQuery),
    request_body(content(
        (serde_json::Value = "application/json", example = json!({
            "unit": "eur", "hold": "1h", "scope": {"services": ["shop"], "metrics": ["throughput_rps"]},
            "points": [{"at": "2026-11-27T08:00:00Z", "value": 120.5}]
        })),
        (String = "text/csv", example = "timestamp,value\n2026-11-27T08:00:00Z,120.5\n")
    ), description = "Points with their times in RFC 3339 and finite values; at most 50000, 4 MiB"),
    responses(
        (status = 200, description = "They are durable", body = Accepted),
        (status = 400, description = "The body or a point is wrong; nothing is stored", body = Problem),
        (status = 409, description = "The settings or a limit are against it", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 415, description = "Neither JSON nor CSV", body = Problem)
    )
)]
pub(super) async fn push(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(query): Query<PushQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Accepted>, Problem> {
    let kind = payload::media_type(&headers);
    let read: fn(&[u8], usize) -> Result<Push, PushError> = match kind.as_str() {
        "application/json" => from_json,
        "text/csv" => from_csv,
        _ => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("content-type `{kind}` is not accepted here; send application/json or text/csv"),
            ));
        }
    };
    let body = payload::read(&headers, body, MAX_BODY_BYTES).await?;
    // Tens of thousands of lines take a while, which other requests must not wait for.
    let parsed = tokio::task::spawn_blocking(move || read(&body, MAX_PUSH_POINTS)).await;
    let mut push =
        parsed.map_err(|error| Problem::internal(error.to_string()))?.map_err(|error| refused(&error))?;
    push.unit = query.unit.or(push.unit);
    push.hold = query.hold.or(push.hold);
    let accepted = state.regressors.push(&name, push).await.map_err(|error| problem(&error))?;
    let known_until = state.regressors.current().get(&name).and_then(|found| found.known_until());
    Ok(Json(Accepted {
        name,
        accepted: accepted.points,
        replaced: accepted.replaced,
        known_until: known_until.map(rfc3339),
    }))
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Removed {
    /// Its name or id.
    removed: String,
}

impl Removed {
    pub(super) fn new(name: String) -> Json<Self> {
        Json(Self { removed: name })
    }
}

/// Forgets a regressor with all its points.
#[utoipa::path(delete, path = "/api/v1/regressors/{name}", tag = "events",
    params(("name" = String, Path, description = "Name of the regressor")),
    responses(
        (status = 200, description = "It is gone", body = Removed),
        (status = 404, description = "No such regressor", body = Problem),
        (status = 409, description = "It is read by PromQL, as the settings say", body = Problem)
    )
)]
pub(super) async fn remove(
    State(state): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<Removed>, Problem> {
    state.regressors.remove(&name).await.map_err(|error| problem(&error))?;
    Ok(Removed::new(name))
}
