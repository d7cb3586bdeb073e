//! What services do, and what they will do.
use super::{
    ApiState,
    query::Query,
    time_text::{parse, rfc3339},
};
use crate::{causes::chain, problem::Problem, published::View, store::ServiceQuery};
use axum::{
    Json,
    extract::{Path, State},
};
use foremesh_core::{
    history::{KEPT_QUANTILES, Metric},
    ids::ServiceId,
    latency::bounded,
    policy::{Quantity, Subject, Verdict},
    time::Timestamp,
    units::Probability,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most steps of history in one answer.
const MAX_HISTORY_STEPS: usize = 20_000;

/// All services.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Services {
    /// When the pass that this shows was made.
    at: String,
    /// Age of that pass in milliseconds.
    age_ms: i64,
    /// Every service that was ever called, in the order of their names.
    services: Vec<Service>,
}

/// One service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Service {
    /// Its name.
    id: String,
    /// What it did in the newest complete steps.
    measured: Option<MeasuredService>,
    /// What a policy's decisive rule says of it; none when no policy is about it.
    predicted: Option<PredictedService>,
    /// The objective of that rule in milliseconds, if it looks at latency;
    /// `null` also when it is without bound because a node would be saturated.
    objective_ms: Option<f64>,
    /// What that rule compares with, whatever it looks at.
    objective: Option<Amount>,
    /// `healthy`, `breach`, `opportunity` (all is well, and a move might save money), `unknown` or `no_policy`.
    verdict: &'static str,
    /// What was decided about it, in one sentence.
    says: String,
    /// Nodes that its replicas run on.
    nodes: Vec<String>,
    /// Its replicas.
    replicas: Vec<ReplicaOf>,
}

/// One replica of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplicaOf {
    /// Its name.
    id: String,
    /// Where it runs.
    node: String,
    /// Whether it answers its ready check.
    ready: bool,
    /// Why it does not, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// Its part of the traffic against that of the others; 100 is the share of one whole replica.
    weight: u32,
}

/// What a service did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MeasuredService {
    /// End of the newest step looked at.
    at: String,
    /// Median latency in milliseconds.
    latency_p50_ms: f64,
    /// 99th percentile of latency in milliseconds.
    latency_p99_ms: f64,
    /// Finished requests per second.
    throughput_rps: f64,
}

/// A number with its unit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Amount {
    /// The number; `null` for a latency without bound, as of a saturated node.
    value: Option<f64>,
    /// `milliseconds`, `share`, `millicores`, `bytes`, `bytes_per_second` or `money_per_hour`.
    unit: &'static str,
}

impl From<Quantity> for Amount {
    fn from(quantity: Quantity) -> Self {
        Self { value: bounded(quantity.value), unit: quantity.unit.name() }
    }
}

/// What a service will do.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct PredictedService {
    /// Highest predicted latency within the rule's look-ahead, in milliseconds, if it looks at latency.
    worst_ms: Option<f64>,
    /// The worst predicted value within the rule's look-ahead, whatever it looks at.
    worst: Option<Amount>,
    /// The node or workload that the value is of, if it is not of the service itself.
    subject: Option<String>,
    /// Probability that the rule fires within its look-ahead.
    breach_probability: Option<f64>,
    /// Start of the first predicted breach.
    breach_at: Option<String>,
    /// The model that says so.
    model: Option<String>,
    /// Why nothing can be said.
    unknown_because: Option<String>,
}

impl PredictedService {
    fn of(verdict: &Verdict) -> (&'static str, Self) {
        let seen = |worst: Quantity, subject: Option<&Subject>, probability: Probability| Self {
            worst_ms: worst.as_ms().and_then(bounded),
            worst: Some(worst.into()),
            subject: subject.map(ToString::to_string),
            breach_probability: Some(probability.get()),
            ..Self::default()
        };
        match verdict {
            Verdict::Healthy(healthy) => {
                ("healthy", seen(healthy.worst, healthy.subject.as_ref(), healthy.probability))
            }
            Verdict::Breach(breach) => {
                let seen = seen(breach.worst, breach.subject.as_ref(), breach.probability);
                ("breach", Self { breach_at: Some(rfc3339(breach.at)), ..seen })
            }
            Verdict::Opportunity(_) => ("opportunity", Self::default()),
            Verdict::Unknown { why } => {
                ("unknown", Self { unknown_because: Some(why.to_string()), ..Self::default() })
            }
        }
    }
}

fn service(view: &View, id: &ServiceId) -> Service {
    let known = view.inputs.services.get(id).and_then(|known| known.measured);
    let record = view.records.iter().find(|record| record.service == *id);
    let (verdict, predicted) = match record.map(|record| PredictedService::of(&record.seen.verdict)) {
        None => ("no_policy", None),
        Some((verdict, predicted)) => (verdict, Some(predicted)),
    };
    let workloads = view.inputs.snapshot.workloads.values().filter(|workload| workload.service == *id);
    let replicas: Vec<ReplicaOf> = workloads
        .flat_map(|workload| &workload.replicas)
        .map(|(id, replica)| ReplicaOf {
            id: id.to_string(),
            node: replica.node.to_string(),
            ready: replica.ready,
            because: replica.because.clone(),
            weight: replica.weight,
        })
        .collect();
    let mut nodes: Vec<String> = replicas.iter().map(|replica| replica.node.clone()).collect();
    nodes.sort();
    nodes.dedup();
    Service {
        id: id.to_string(),
        measured: known.map(|known| MeasuredService {
            at: rfc3339(known.at),
            latency_p50_ms: known.latency(0.5).unwrap_or(f64::NAN),
            latency_p99_ms: known.latency(0.99).unwrap_or(f64::NAN),
            throughput_rps: known.throughput_rps,
        }),
        predicted: predicted.map(|predicted| PredictedService {
            model: record.and_then(|record| record.seen.model.clone()),
            ..predicted
        }),
        objective_ms: record.and_then(|record| record.seen.objective.as_ms()),
        objective: record.map(|record| record.seen.objective.into()),
        verdict,
        says: record.map_or_else(
            || "no policy is about this service".to_owned(),
            |record| record.explain().lines().next().unwrap_or_default().to_owned(),
        ),
        nodes,
        replicas,
    }
}

/// Every service with what it does, what is predicted and what was decided.
#[utoipa::path(get, path = "/api/v1/services", tag = "services", responses(
    (status = 200, body = Services),
    (status = 503, description = "No pass was made yet", body = Problem)
))]
pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<Services>, Problem> {
    let view = state.view()?;
    Ok(Json(Services {
        at: rfc3339(view.at),
        age_ms: state.clock.now().ms_since(view.at),
        services: view.inputs.services.keys().map(|id| service(&view, id)).collect(),
    }))
}

/// One service, with the last decision about it in words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServiceDetail {
    #[serde(flatten)]
    service: Service,
    /// The last decision about it, in words.
    explanation: String,
}

/// One service.
#[utoipa::path(get, path = "/api/v1/services/{id}", tag = "services",
    params(("id" = String, Path, description = "Name of the service")),
    responses(
        (status = 200, body = ServiceDetail),
        (status = 404, description = "No such service", body = Problem)
    )
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<ServiceDetail>, Problem> {
    let view = state.view()?;
    let id = ServiceId::new(id);
    if !view.inputs.services.contains_key(&id) {
        return Err(no_such_service(&id, view.inputs.services.keys()));
    }
    let record = view.records.iter().find(|record| record.service == id);
    Ok(Json(ServiceDetail {
        service: service(&view, &id),
        explanation: record.map_or_else(
            || "no policy is about this service".to_owned(),
            foremesh_core::report::AuditRecord::explain,
        ),
    }))
}

pub(super) fn no_such_service<'a>(id: &ServiceId, known: impl Iterator<Item = &'a ServiceId>) -> Problem {
    let mut some: Vec<&str> = known.map(ServiceId::as_str).take(10).collect();
    some.sort_unstable();
    let list = if some.is_empty() { "none yet".to_owned() } else { some.join(", ") };
    Problem::not_found(format!(
        "no proxy has reported calls of service `{id}`; known services: {list}. The name is the host part of the \
         proxy's cluster name"
    ))
}

pub(super) fn metric_of(metric: Option<&str>, quantile: Option<f64>) -> Result<Metric, Problem> {
    match metric.unwrap_or("latency") {
        "latency" => {
            let quantile = quantile.unwrap_or(0.99);
            Metric::latency(quantile).ok_or_else(|| {
                let kept = KEPT_QUANTILES.map(|kept| kept.to_string()).join(", ");
                Problem::bad_request(format!("`quantile` is {quantile}, but must be one of {kept}"))
            })
        }
        "throughput" => Ok(Metric::Throughput),
        "availability" => Ok(Metric::Availability),
        other => Err(Problem::bad_request(format!(
            "`metric` is `{other}`, but must be one of latency, throughput, availability"
        ))),
    }
}

/// Which part of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// `latency`, `throughput` or `availability`; latency when not given.
    metric: Option<String>,
    /// Quantile of latency: 0.5, 0.9, 0.95, 0.99 or 0.999; 0.99 when not given.
    quantile: Option<f64>,
    /// First moment, RFC 3339; one hour before `to` when not given.
    from: Option<String>,
    /// First moment after the last, RFC 3339; now when not given.
    to: Option<String>,
    /// 0 for steps of base length, 1 for ten, 2 for sixty of them; 0 when not given.
    level: Option<u8>,
}

/// Measured values, step by step.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryAnswer {
    /// The service.
    service: String,
    /// The metric with its unit.
    metric: String,
    /// Length of a step in milliseconds.
    step_ms: i64,
    /// Steps with data, the oldest first; a step without data is left out.
    steps: Vec<HistoryPoint>,
}

/// One measured step.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryPoint {
    /// Start of the step.
    start: String,
    /// The value.
    value: f64,
    /// Finished requests that it is made of.
    requests: u64,
}

/// What was measured of one metric of a service.
#[utoipa::path(get, path = "/api/v1/services/{id}/history", tag = "services",
    params(("id" = String, Path, description = "Name of the service"), HistoryQuery),
    responses(
        (status = 200, body = HistoryAnswer),
        (status = 400, description = "A parameter is wrong", body = Problem),
        (status = 404, description = "No such service", body = Problem)
    )
)]
pub(super) async fn history(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<HistoryAnswer>, Problem> {
    let metric = metric_of(query.metric.as_deref(), query.quantile)?;
    let number = query.level.unwrap_or(0);
    let level = state
        .store
        .levels()
        .get(number)
        .ok_or_else(|| Problem::bad_request(format!("`level` is {number}, but must be 0, 1 or 2")))?;
    let to = time_of("to", query.to.as_deref())?.unwrap_or_else(|| state.clock.now());
    let from = time_of("from", query.from.as_deref())?.unwrap_or_else(|| to.plus_ms(-3_600_000));
    let steps = level.step.count(from, to);
    if steps < 0 || steps > MAX_HISTORY_STEPS as i64 {
        return Err(Problem::bad_request(format!(
            "`from` to `to` are {steps} steps of {}, but must be from 0 to {MAX_HISTORY_STEPS}; ask for less, or for a \
             higher `level`",
            level.step
        )));
    }
    let service = ServiceId::new(&*id);
    let known = state.store.services().await.map_err(|error| Problem::internal(chain(&error)))?;
    if !known.contains(&service) {
        return Err(no_such_service(&service, known.iter()));
    }
    let rows = state
        .store
        .service_range(ServiceQuery::new(number, from, to).of(service))
        .await
        .map_err(|error| Problem::internal(chain(&error)))?;
    let steps = rows
        .into_iter()
        .filter_map(|row| {
            let value = row.step.value(metric, level.step)?;
            Some(HistoryPoint { start: rfc3339(row.start), value, requests: row.step.requests.into() })
        })
        .collect();
    Ok(Json(HistoryAnswer { service: id, metric: metric.name(), step_ms: level.step.ms(), steps }))
}

fn time_of(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| {
        Problem::bad_request(format!("`{name}` is `{text}`, but must be a time such as 2026-11-24T09:30:00Z"))
    })
}
