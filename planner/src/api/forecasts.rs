//! What will be: forecasts of services, routes, nodes and workloads, and what each number is made of.
use super::{
    ApiState,
    query::Query,
    services::{metric_of, no_such_service},
    time_text::rfc3339,
};
use crate::{
    causes::chain,
    control::{REMEMBERED_MS, excluded, last_change},
    forecasts::{SeriesId, Shown},
    problem::Problem,
    settings::Span,
    store::{RouteId, ServiceQuery},
};
use axum::{
    Json,
    extract::{Path, State},
};
use foremesh_core::{
    calendar::InForce,
    forecast::{self as core_forecast, Forecast, LEVELS, model::Contribution},
    gauge::GaugeMetric,
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId},
    series::Series,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Which metric of a service.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ForecastQuery {
    /// `latency`, `throughput` or `availability`; latency when not given.
    metric: Option<String>,
    /// Quantile of latency: 0.5, 0.9, 0.95, 0.99 or 0.999; 0.99 when not given.
    quantile: Option<f64>,
    /// How far to look ahead, such as `30m`; the planner's horizon when not given, and at most.
    horizon: Option<String>,
}

/// Which quantity of a node or workload.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct GaugeQuery {
    /// Such as `cpu_used_millicores` (when not given), `memory_used_bytes`, `disk_io_bytes_per_second` or
    /// `network_bytes_per_second`.
    metric: Option<String>,
}

/// Which route of a service, and which of its metrics.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteQuery {
    /// Workload that calls; empty where the callee's proxy does not know it.
    caller: String,
    /// Name of the route; empty when the proxy's configuration gives none.
    route: String,
    /// `latency`, `throughput` or `availability`; latency when not given.
    metric: Option<String>,
    /// Quantile of latency: 0.5, 0.9, 0.95, 0.99 or 0.999; 0.99 when not given.
    quantile: Option<f64>,
}

/// A forecast with its bands, and what it is made of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ForecastAnswer {
    /// The service, node or workload.
    subject: String,
    /// The metric with its unit, such as `latency_p99_ms`.
    metric: String,
    /// When it was made.
    made_at: String,
    /// Age of the newest measured value at that time, in milliseconds.
    data_age_ms: i64,
    /// The models with a tenth of the weight or more, heaviest first.
    model: String,
    /// What each part of the horizon is made of, nearest part first, heaviest model first.
    parts: Vec<Part>,
    /// Events with an effect within the horizon, in the order of their start.
    events: Vec<EventInForce>,
    /// Names of the external regressors that have an effect.
    regressors: Vec<String>,
    /// Whether a policy names models and others stand in for them, since none of those can say anything yet.
    fell_back: bool,
    /// How well past forecasts did.
    backtest: Backtest,
    /// Length of a step in milliseconds.
    step_ms: i64,
    /// One entry for each step, the nearest first.
    steps: Vec<ForecastPoint>,
}

/// What one model contributes to one part of the horizon.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Part {
    /// Index of the part's first step.
    first: usize,
    /// Index after its last step.
    end: usize,
    /// The model.
    model: String,
    /// Its share of the prediction, from 0 to 1.
    weight: f64,
    /// Its mean absolute error over past origins, in the metric's unit; missing before it could be judged.
    mae: Option<f64>,
    /// Errors behind that figure, older ones counting less.
    errors: usize,
}

impl From<&Contribution> for Part {
    fn from(part: &Contribution) -> Self {
        Self {
            first: part.first,
            end: part.end,
            model: part.model.clone(),
            weight: part.weight,
            mae: part.mae.is_finite().then_some(part.mae),
            errors: part.errors,
        }
    }
}

/// An event that has an effect in some time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventInForce {
    /// Its name.
    event: String,
    /// The tag that its effect was learned by.
    tag: String,
    /// Its first moment.
    start: String,
    /// The first moment after it.
    end: String,
    /// Mean effect in words, such as `x1.80` or `+200`.
    effect: String,
    /// Past occurrences behind the effect; 0 when it is what people expect or what like services show.
    occurrences: usize,
}

impl From<&InForce> for EventInForce {
    fn from(event: &InForce) -> Self {
        Self {
            event: event.event.clone(),
            tag: event.tag.clone(),
            start: rfc3339(event.start),
            end: rfc3339(event.end),
            effect: event.effect.clone(),
            occurrences: event.occurrences,
        }
    }
}

/// How well past forecasts of the series did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Backtest {
    /// Mean absolute error in the metric's unit.
    mae: f64,
    /// Origins in the past that it was made from.
    origins: usize,
}

/// One step of a forecast.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ForecastPoint {
    /// Start of the step.
    start: String,
    /// What the model says.
    point: f64,
    /// Value at each level: with probability 0.9 the true value is below that at `0.9`.
    quantiles: BTreeMap<String, f64>,
}

/// The forecast of one metric of a service, with bands, models, weights, events and age. What decisions look at is shown
/// as they saw it; other quantities are forecast for the answer.
#[utoipa::path(get, path = "/api/v1/services/{id}/forecast", tag = "services",
    params(("id" = String, Path, description = "Name of the service"), ForecastQuery),
    responses(
        (status = 200, body = ForecastAnswer),
        (status = 400, description = "A parameter is wrong", body = Problem),
        (status = 404, description = "No such service", body = Problem),
        (status = 409, description = "No forecast can be made, and why", body = Problem)
    )
)]
pub(super) async fn of_service(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<ForecastQuery>,
) -> Result<Json<ForecastAnswer>, Problem> {
    let metric = metric_of(query.metric.as_deref(), query.quantile)?;
    let horizon = horizon_of(&state, query.horizon.as_deref())?;
    let service = ServiceId::new(&*id);
    let now = state.clock.now();
    let since = now.plus_ms(-REMEMBERED_MS);
    let rollouts = state.rollouts.for_service(&service, since).await;
    let rollouts = rollouts.map_err(|error| Problem::internal(chain(&error)))?;
    let refused = |error: &core_forecast::ForecastError| {
        let since = last_change(&rollouts, &service).filter(|_| metric.depends_on_place());
        let since = since.map_or_else(String::new, |at| {
            format!(" (the service was moved at {}, and latency before that is not learnt from)", rfc3339(at))
        });
        Problem::conflict(format!("{} of `{id}` cannot be forecast: {error}{since}", metric.name()))
    };
    if let Some(shown) = shown(&state, &SeriesId::Service(service.clone(), metric)) {
        let made = shown.forecast.as_ref().map_err(refused)?.clone();
        return Ok(Json(answer(made.up_to(horizon), &Nearby::of(&shown))));
    }
    let observed = state.observed.read().await;
    let history = observed
        .service(&service)
        .ok_or_else(|| no_such_service(&service, observed.services().map(|history| &history.service)))?;
    let series = history.series(metric);
    drop(observed);
    let excluded = if metric.depends_on_place() { excluded(&rollouts, &service) } else { Vec::new() };
    let made = now_made(&state, service.as_str(), metric, &series, &excluded);
    made.map(|made| Json(answer(made.up_to(horizon), &Nearby::default()))).map_err(|error| refused(&error))
}

/// The forecast of one metric of one route, made for the answer from the steps that are stored.
#[utoipa::path(get, path = "/api/v1/services/{id}/routes/forecast", tag = "services",
    params(("id" = String, Path, description = "Name of the service that is called"), RouteQuery),
    responses(
        (status = 200, body = ForecastAnswer),
        (status = 400, description = "A parameter is wrong", body = Problem),
        (status = 404, description = "No such route", body = Problem),
        (status = 409, description = "No forecast can be made, and why", body = Problem)
    )
)]
pub(super) async fn of_route(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<RouteQuery>,
) -> Result<Json<ForecastAnswer>, Problem> {
    let metric = metric_of(query.metric.as_deref(), query.quantile)?;
    let now = state.clock.now();
    let base = state.store.levels().base();
    let callee = ServiceId::new(&*id);
    let wanted = RouteId {
        callee: callee.clone(),
        caller: WorkloadId::new(&*query.caller),
        route: query.route.clone(),
    };
    let from = base.step.floor(now.plus_ms(-base.retention_ms));
    let rows = state.store.route_range(ServiceQuery::new(0, from, now).of(callee)).await;
    let rows = rows.map_err(|error| Problem::internal(chain(&error)))?;
    let mut values = Vec::new();
    for row in rows.iter().filter(|row| *row.route == wanted) {
        let index = usize::try_from(base.step.count(from, row.start)).unwrap_or(0);
        values.resize(index.max(values.len()), f64::NAN);
        values.push(row.step.value(metric, base.step).unwrap_or(f64::NAN));
    }
    let RouteId { caller, route, .. } = &wanted;
    if values.is_empty() {
        return Err(Problem::not_found(format!(
            "no call of `{id}` by `{caller}` over route `{route}` was measured; /api/v1/services/{id}/routes lists them"
        )));
    }
    let series = Series::new(from, base.step, values);
    let subject = format!("{caller} -> {id} {route}");
    let made = now_made(&state, &subject, metric, &series, &[]);
    made.map(|made| Json(answer(made, &Nearby::default()))).map_err(|error| {
        Problem::conflict(format!("{} of `{subject}` cannot be forecast: {error}", metric.name()))
    })
}

/// The forecast of one quantity of a node, with bands, models, weights and events.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/forecast", tag = "platform",
    params(("id" = String, Path, description = "Name of the node"), GaugeQuery),
    responses(
        (status = 200, body = ForecastAnswer),
        (status = 400, description = "A parameter is wrong", body = Problem),
        (status = 404, description = "Nothing was measured of it", body = Problem),
        (status = 409, description = "No forecast can be made, and why", body = Problem)
    )
)]
pub(super) async fn of_node(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<GaugeQuery>,
) -> Result<Json<ForecastAnswer>, Problem> {
    of_gauge(&state, &query, |metric| SeriesId::Node(NodeId::new(id), metric))
}

/// The forecast of one quantity of a workload, with bands, models, weights and events.
#[utoipa::path(get, path = "/api/v1/workloads/{id}/forecast", tag = "platform",
    params(("id" = String, Path, description = "Name of the workload"), GaugeQuery),
    responses(
        (status = 200, body = ForecastAnswer),
        (status = 400, description = "A parameter is wrong", body = Problem),
        (status = 404, description = "Nothing was measured of it", body = Problem),
        (status = 409, description = "No forecast can be made, and why", body = Problem)
    )
)]
pub(super) async fn of_workload(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<GaugeQuery>,
) -> Result<Json<ForecastAnswer>, Problem> {
    of_gauge(&state, &query, |metric| SeriesId::Workload(WorkloadId::new(id), metric))
}

fn of_gauge(
    state: &ApiState,
    query: &GaugeQuery,
    id: impl FnOnce(GaugeMetric) -> SeriesId,
) -> Result<Json<ForecastAnswer>, Problem> {
    let id = id(gauge_of(query.metric.as_deref())?);
    let (kind, metric) = (id.kind(), id.metric());
    let shown = shown(state, &id).ok_or_else(|| {
        Problem::not_found(format!(
            "`{metric}` of {kind} `{}` was not measured; /api/v1/accuracy lists every series that is forecast",
            id.subject()
        ))
    })?;
    let made = shown.forecast.as_ref().map_err(|error| {
        Problem::conflict(format!("{metric} of {kind} `{}` cannot be forecast: {error}", id.subject()))
    })?;
    Ok(Json(answer(made.clone(), &Nearby::of(&shown))))
}

fn gauge_of(name: Option<&str>) -> Result<GaugeMetric, Problem> {
    let name = name.unwrap_or(GaugeMetric::CpuUsedMillicores.name());
    let forecast = GaugeMetric::ALL.into_iter().filter(|metric| !metric.is_capacity());
    GaugeMetric::named(name).filter(|metric| !metric.is_capacity()).ok_or_else(|| {
        let list: Vec<&str> = forecast.map(GaugeMetric::name).collect();
        Problem::bad_request(format!("`metric` is `{name}`, but must be one of {}", list.join(", ")))
    })
}

/// Steps that are asked for.
fn horizon_of(state: &ApiState, text: Option<&str>) -> Result<usize, Problem> {
    let most = state.forecast.horizon;
    let Some(text) = text else { return Ok(most) };
    let span: Span = text.parse().map_err(|error| Problem::bad_request(format!("`horizon`: {error}")))?;
    let step_ms = state.store.levels().base().step.ms();
    let steps = usize::try_from(span.ms() / step_ms).unwrap_or(usize::MAX);
    if steps < 1 || steps > most {
        return Err(Problem::bad_request(format!(
            "`horizon` is {span}, but must be from one step ({step_ms} ms) to the planner's horizon ({} ms)",
            step_ms.saturating_mul(most as i64)
        )));
    }
    Ok(steps)
}

/// What the newest pass showed of a series.
fn shown(state: &ApiState, id: &SeriesId) -> Option<Shown> {
    state.published.view()?.forecasts.all.get(id).cloned()
}

fn now_made(
    state: &ApiState,
    subject: &str,
    metric: Metric,
    series: &Series,
    excluded: &[core_forecast::Excluded],
) -> Result<Forecast, core_forecast::ForecastError> {
    let highest = (metric == Metric::Availability).then_some(1.0);
    let how = core_forecast::ForecastSettings { highest, ..state.forecast };
    core_forecast::forecast(subject, &metric.name(), series, excluded, &how, state.clock.now())
}

/// What is known around a forecast; nothing of one that was made for an answer.
#[derive(Default)]
struct Nearby<'a> {
    events: &'a [InForce],
    regressors: &'a [String],
    fell_back: bool,
}

impl<'a> Nearby<'a> {
    fn of(shown: &'a Shown) -> Self {
        Self { events: &shown.events, regressors: &shown.regressors, fell_back: shown.fell_back }
    }
}

fn answer(made: Forecast, around: &Nearby<'_>) -> ForecastAnswer {
    let levels = |quantiles: [f64; LEVELS.len()]| {
        LEVELS.iter().zip(quantiles).map(|(level, value)| (level.to_string(), value)).collect()
    };
    let steps = made.steps.iter().map(|step| ForecastPoint {
        start: rfc3339(step.at),
        point: step.point,
        quantiles: levels(step.quantiles),
    });
    let end = made.end();
    ForecastAnswer {
        steps: steps.collect(),
        parts: made.parts.iter().map(Part::from).collect(),
        events: around.events.iter().filter(|event| event.start < end).map(EventInForce::from).collect(),
        regressors: around.regressors.to_vec(),
        fell_back: around.fell_back,
        subject: made.subject,
        metric: made.metric,
        made_at: rfc3339(made.made_at),
        data_age_ms: made.data_age_ms,
        model: made.model,
        backtest: Backtest { mae: made.backtest_mae, origins: made.backtest_origins },
        step_ms: made.step.ms(),
    }
}
