//! Who calls a service by which routes, and how that goes now.
use super::{ApiState, query::Query, services::no_such_service, time_text::rfc3339};
use crate::{
    causes::chain,
    problem::Problem,
    store::{RouteId, RouteRow, ServiceQuery},
};
use axum::{
    Json,
    extract::{Path, State},
};
use foremesh_core::{
    history::{Metric, ServiceStep},
    ids::ServiceId,
    inputs::Measured,
    time::{Step, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use utoipa::{IntoParams, ToSchema};

/// Routes in one answer when no limit is given, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Which routes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct RoutesQuery {
    /// How many to leave out at the beginning; none when not given.
    offset: Option<usize>,
    /// How many at most, 1 to 1000; 100 when not given.
    limit: Option<usize>,
}

/// A page of the routes of a service, as they are told by their callers, or by the service's own proxies where no
/// caller reports.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Routes {
    /// The service.
    service: String,
    /// End of the newest step looked at; steps are shown when they have settled.
    at: String,
    /// Routes with traffic in the newest steps, on all pages.
    total: usize,
    /// Give this as `offset` to get the next page; none when there is nothing more.
    next_offset: Option<usize>,
    /// By caller and name.
    routes: Vec<Route>,
}

/// One route, over its newest steps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Route {
    /// The workload that calls; empty where it is not known.
    caller: String,
    /// Name of the route; empty when the proxy's configuration gives none.
    route: String,
    /// Finished requests per second, the mean of the steps with traffic whose rate is known; none when none is.
    throughput_rps: Option<f64>,
    /// Share of those requests that the service did not fail, 0 to 1.
    availability: Option<f64>,
    /// Median latency in milliseconds, of the newest step with traffic.
    latency_p50_ms: f64,
    /// 99th percentile of latency in milliseconds, of the newest step with traffic.
    latency_p99_ms: f64,
    /// Finished requests that this is made of.
    requests: u64,
    /// Start of the newest step with traffic.
    newest: String,
}

fn route(id: &RouteId, steps: &[(Timestamp, ServiceStep)], step: Step) -> Option<Route> {
    let (newest, last) = steps.last()?;
    let count = |of: fn(&ServiceStep) -> u32| steps.iter().map(|(_, step)| u64::from(of(step))).sum::<u64>();
    let (requests, failed) = (count(|step| step.requests), count(|step| step.server_errors));
    let rates: Vec<f64> =
        steps.iter().filter_map(|(_, observed)| observed.value(Metric::Throughput, step)).collect();
    let latency = |quantile| Metric::latency(quantile).and_then(|metric| last.value(metric, step));
    Some(Route {
        caller: id.caller.to_string(),
        route: id.route.clone(),
        throughput_rps: (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64),
        availability: (requests > 0).then(|| 1.0 - failed as f64 / requests as f64),
        latency_p50_ms: latency(0.5)?,
        latency_p99_ms: latency(0.99)?,
        requests,
        newest: rfc3339(*newest),
    })
}

/// The routes of a service with what they do now.
#[utoipa::path(get, path = "/api/v1/services/{id}/routes", tag = "services",
    params(("id" = String, Path, description = "Name of the service"), RoutesQuery),
    responses(
        (status = 200, body = Routes),
        (status = 400, description = "A parameter is wrong", body = Problem),
        (status = 404, description = "No such service", body = Problem)
    )
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<RoutesQuery>,
) -> Result<Json<Routes>, Problem> {
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(PAGE));
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, but must be from 1 to {MAX_PAGE}")));
    }
    let service = ServiceId::new(&*id);
    let end = state.observed.read().await.end();
    let failed = |error| Problem::internal(chain(&error));
    let known = state.store.services().await.map_err(failed)?;
    if !known.contains(&service) {
        return Err(no_such_service(&service, known.iter()));
    }
    let step = state.store.levels().base().step;
    let from = end.plus_ms(-step.times(Measured::STEPS));
    let rows = state.store.route_range(ServiceQuery::new(0, from, end).of(service)).await.map_err(failed)?;
    let mut routes: BTreeMap<Arc<RouteId>, Vec<(Timestamp, ServiceStep)>> = BTreeMap::new();
    for RouteRow { route, start, step } in rows {
        routes.entry(route).or_default().push((start, step));
    }
    let total = routes.len();
    let next = offset.saturating_add(limit);
    Ok(Json(Routes {
        service: id,
        at: rfc3339(end),
        total,
        next_offset: (next < total).then_some(next),
        routes: routes
            .iter()
            .skip(offset)
            .take(limit)
            .filter_map(|(id, steps)| route(id, steps, step))
            .collect(),
    }))
}
