//! How good the forecasts turned out to be, series by series, the worst first.
use super::{ApiState, forecasts::Part, query::Query, time_text::rfc3339};
use crate::{forecasts::Accuracy, problem::Problem};
use axum::{Json, extract::State};
use foremesh_core::live::Score;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Series in one answer when no limit is given, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 10_000;

/// Which series.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AccuracyQuery {
    /// Only those of this service, node or workload.
    subject: Option<String>,
    /// Only this quantity, such as `latency_p99_ms`.
    metric: Option<String>,
    /// How many at most, 1 to 10000; 100 when not given.
    limit: Option<usize>,
}

/// How good the forecasts turned out to be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccuracyAnswer {
    /// When the pass that this shows was made.
    at: String,
    /// Series that are forecast, before the limit.
    total: usize,
    /// The worst first, by the error relative to carrying the newest value on; those that could not be judged yet last.
    series: Vec<OneSeries>,
}

/// One series.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneSeries {
    /// `service`, `node` or `workload`.
    kind: &'static str,
    /// Its name.
    subject: String,
    /// The quantity with its unit.
    metric: String,
    /// Steps with a value behind the forecasts.
    observed: usize,
    /// Mean error relative to carrying the newest value on: below 1 is better than that. Missing before the first value
    /// came that was forecast.
    relative_mae: Option<f64>,
    /// The same in detail, at three distances.
    at: Vec<AtDistance>,
    /// What its forecasts are made of now.
    parts: Vec<Part>,
    /// Times that the series changed so much that its past was forgotten sooner.
    drifts: u32,
    /// Whether a policy names models and others stand in for them, since none of those can say anything yet.
    fell_back: bool,
    /// Predictions of single models that were no numbers; the others went on without them.
    failures: u64,
}

/// Scores at one distance, over about the last 200 values.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AtDistance {
    /// `next_step`, `middle` or `end` of the horizon.
    distance: &'static str,
    /// Values behind it.
    count: u64,
    /// Mean absolute error, in the metric's unit.
    mae: f64,
    /// The same if the newest value had been carried on.
    mae_last_value: f64,
    /// Share of values inside the 80 % band; 0.8 is right.
    coverage_80: f64,
    /// Share of values at or below the level 0.9; 0.9 is right.
    below_q90: f64,
}

/// How good the published forecasts turned out to be: error, calibration and models in use, the worst series first.
#[utoipa::path(get, path = "/api/v1/accuracy", tag = "services",
    params(AccuracyQuery),
    responses(
        (status = 200, body = AccuracyAnswer),
        (status = 400, description = "A parameter is wrong", body = Problem),
        (status = 503, description = "No pass was made yet", body = Problem)
    )
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<AccuracyQuery>,
) -> Result<Json<AccuracyAnswer>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, but must be from 1 to {MAX_PAGE}")));
    }
    let view = state.view()?;
    let wanted = |one: &&Accuracy| {
        query.subject.as_deref().is_none_or(|subject| subject == one.id.subject())
            && query.metric.as_deref().is_none_or(|metric| metric == one.id.metric())
    };
    let series: Vec<&Accuracy> = view.forecasts.accuracy.iter().filter(wanted).collect();
    Ok(Json(AccuracyAnswer {
        at: rfc3339(view.at),
        total: series.len(),
        series: series.into_iter().take(limit).map(one).collect(),
    }))
}

fn one(accuracy: &Accuracy) -> OneSeries {
    let distances = ["next_step", "middle", "end"].into_iter().zip(accuracy.scores);
    OneSeries {
        kind: accuracy.id.kind(),
        subject: accuracy.id.subject().to_owned(),
        metric: accuracy.id.metric(),
        observed: accuracy.observed,
        relative_mae: accuracy.relative(),
        at: distances.map(|(distance, score)| at(distance, &score)).collect(),
        parts: accuracy.parts.iter().map(Part::from).collect(),
        drifts: accuracy.drifts,
        fell_back: accuracy.fell_back,
        failures: accuracy.failures,
    }
}

fn at(distance: &'static str, score: &Score) -> AtDistance {
    AtDistance {
        distance,
        count: score.count,
        mae: score.mae,
        mae_last_value: score.mae_last_value,
        coverage_80: score.coverage_80,
        below_q90: score.below_q90,
    }
}
