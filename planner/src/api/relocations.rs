//! Relocations: where each one stands and how it got there.
use super::{
    ApiState,
    plans::{Approved, Yes, problem as not_begun},
    query::Query,
    time_text::rfc3339,
};
use crate::{
    approvals::{ApproveError, UndoError},
    causes::chain,
    problem::Problem,
    rollout::{RolloutError, RolloutQuery},
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use foremesh_core::{
    aftermath,
    ids::{RolloutId, ServiceId},
    latency::bounded,
    plan::PairWeights,
    rollout::RolloutRecord,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Relocations in one answer when no limit is given, and at most.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;

/// A page of relocations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Relocations {
    /// Newest first.
    relocations: Vec<Relocation>,
    /// Give this as `before` to get the next page; none when there is nothing more.
    next_before: Option<String>,
}

/// Which relocations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only those of this service.
    service: Option<String>,
    /// Only those that are older than the relocation with this id.
    before: Option<String>,
    /// How many at most, 1 to 1000; 100 when not given.
    limit: Option<u32>,
}

/// One relocation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Relocation {
    /// Its id.
    id: String,
    /// The plan that it is from.
    plan: String,
    /// In words, such as `shop: host-a to host-b`, or `shop: 50 % of the traffic of shop@host-a from host-a to host-b`.
    summary: String,
    /// `move` when a replica goes, `shift` when only traffic does and nothing is started or stopped.
    kind: &'static str,
    /// What moves.
    workload: String,
    /// Where it was, or what gives traffic.
    from: String,
    /// Where it goes, or what takes traffic.
    to: String,
    /// Weights of the two ends before it; 100 is the share of one whole replica.
    weights_before: Weights,
    /// Weights of the two ends when it has succeeded.
    weights_after: Weights,
    /// Where it stands: `Pending`, `Trial`, `Reserving`, `Surging`, `Ramping(n)`, `Draining`, `Settling`, `Succeeded`,
    /// `RollingBack(…)`, `RolledBack`, `Aborted` or `Failed`. A shift prepares, starts and drains nothing.
    state: String,
    /// Whether it is over.
    over: bool,
    /// Since when.
    since: String,
    /// When it must have left this state; then it goes back, or a human is told.
    deadline: String,
    /// Why it is in this state, with the numbers.
    why: String,
    /// How the move is tried, what came of it with the numbers, or who waived the trial and why.
    trial: String,
    /// Who approved the plan; none when no human had to.
    approved_by: Option<String>,
    /// Start of the breach that it is to avoid.
    breach_at: String,
    /// Probability of that breach when nothing is done.
    breach_probability: f64,
    /// Predicted latency without the move, in milliseconds; `null` when the node would be saturated.
    stay_ms: Option<f64>,
    /// Predicted latency with the move, in milliseconds; `null` when the node would be saturated.
    move_ms: Option<f64>,
    /// The objective in milliseconds.
    objective_ms: f64,
    /// Every change of state so far, oldest first.
    history: Vec<Transition>,
    /// Whether it was worth it; none before what was predicted has passed, and of what did not succeed.
    benefit: Option<Benefit>,
    /// When and where somebody else took it back after it was over; none otherwise.
    moved_back: Option<MovedBack>,
}

/// Whether a move was worth it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Benefit {
    /// When it was judged.
    at: String,
    /// `worth_it`, `not_worth_it` or `cannot_be_known`.
    verdict: &'static str,
    /// Why, with the numbers.
    why: String,
    /// The numbers; none where nothing can be compared.
    compared: Option<Compared>,
}

/// What was predicted and what was measured, over the same steps, at the quantile of the objective.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Compared {
    /// Start of the first step.
    from: String,
    /// End of the last one.
    until: String,
    /// How many were measured.
    steps: usize,
    /// Mean latency that was predicted for staying, in milliseconds; `null` where the node would have been saturated.
    stay_ms: Option<f64>,
    /// The same for moving.
    predicted_ms: Option<f64>,
    /// What was measured.
    measured_ms: f64,
    /// Share of the steps over the objective that was predicted for staying, 0 to 1.
    stay_over: f64,
    /// The same for moving.
    predicted_over: f64,
    /// The same as measured.
    measured_over: f64,
}

/// That somebody else took a move back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovedBack {
    /// When it was seen.
    at: String,
    /// Where the workload runs again.
    to: String,
}

impl From<&aftermath::Benefit> for Benefit {
    fn from(benefit: &aftermath::Benefit) -> Self {
        let compared = benefit.compared.as_ref().map(|of| Compared {
            from: rfc3339(of.from),
            until: rfc3339(of.until),
            steps: of.steps,
            stay_ms: bounded(of.stay_ms),
            predicted_ms: bounded(of.predicted_ms),
            measured_ms: of.measured_ms,
            stay_over: of.stay_over,
            predicted_over: of.predicted_over,
            measured_over: of.measured_over,
        });
        let (verdict, why) = (benefit.verdict.name(), benefit.why.clone());
        Self { at: rfc3339(benefit.at), verdict, why, compared }
    }
}

/// Weights of two replicas.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Weights {
    /// Of the one that gives traffic.
    source: u32,
    /// Of the one that takes it.
    target: u32,
}

impl From<PairWeights> for Weights {
    fn from(PairWeights { source, target }: PairWeights) -> Self {
        Self { source, target }
    }
}

/// One change of state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Transition {
    /// When.
    at: String,
    /// The state that was left.
    from: String,
    /// The state that was entered.
    to: String,
    /// Why, with the numbers.
    why: String,
}

impl From<&RolloutRecord> for Relocation {
    fn from(record: &RolloutRecord) -> Self {
        let planned = &record.relocation;
        let reason = &planned.reason;
        Self {
            id: record.id.to_string(),
            plan: record.plan.to_string(),
            summary: planned.in_words(),
            kind: if planned.is_shift() { "shift" } else { "move" },
            workload: planned.workload.to_string(),
            from: planned.from.to_string(),
            to: planned.to.to_string(),
            weights_before: planned.traffic.before.into(),
            weights_after: planned.traffic.after.into(),
            state: record.state.to_string(),
            over: record.state.is_last(),
            since: rfc3339(record.entered_at),
            deadline: rfc3339(record.deadline),
            why: record.why().to_owned(),
            trial: record.trial.in_words(),
            approved_by: record.approval.as_ref().map(|approval| approval.by.clone()),
            breach_at: rfc3339(reason.breach_at),
            breach_probability: reason.breach_probability.get(),
            stay_ms: bounded(reason.stay_ms),
            move_ms: bounded(reason.move_ms),
            objective_ms: reason.objective_ms,
            history: record
                .history
                .iter()
                .map(|change| Transition {
                    at: rfc3339(change.at),
                    from: change.from.to_string(),
                    to: change.to.to_string(),
                    why: change.why.clone(),
                })
                .collect(),
            benefit: record.benefit.as_ref().map(Benefit::from),
            moved_back: record
                .moved_back
                .as_ref()
                .map(|back| MovedBack { at: rfc3339(back.at), to: back.to.to_string() }),
        }
    }
}

/// Relocations with their state, newest first.
#[utoipa::path(get, path = "/api/v1/relocations", tag = "moves", params(ListQuery), responses(
    (status = 200, body = Relocations),
    (status = 400, description = "A parameter is wrong", body = Problem)
))]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Relocations>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, but must be from 1 to {MAX_PAGE}")));
    }
    let asked = RolloutQuery {
        service: query.service.map(ServiceId::new),
        before: query.before.map(RolloutId::new),
        // One more tells whether there is another page.
        limit: limit + 1,
    };
    let mut records = state.rollouts.list(asked).await.map_err(|error| problem(&error))?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    Ok(Json(Relocations {
        next_before: records.last().filter(|_| more).map(|record| record.id.to_string()),
        relocations: records.iter().map(Relocation::from).collect(),
    }))
}

fn problem(error: &RolloutError) -> Problem {
    match error {
        RolloutError::Unknown(id) => {
            Problem::not_found(format!("there is no relocation `{id}`; /api/v1/relocations lists them all"))
        }
        RolloutError::TooLate { .. } | RolloutError::TurningBack(_) => Problem::conflict(chain(error)),
        other => Problem::internal(chain(other)),
    }
}

/// One relocation.
#[utoipa::path(get, path = "/api/v1/relocations/{id}", tag = "moves",
    params(("id" = String, Path, description = "Id of the relocation")),
    responses((status = 200, body = Relocation), (status = 404, description = "No such relocation", body = Problem))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Relocation>, Problem> {
    let record = state.rollouts.get(&RolloutId::new(id)).await.map_err(|error| problem(&error))?;
    Ok(Json(Relocation::from(&record)))
}

/// Who stops a relocation, and why.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortQuery {
    /// Who.
    by: String,
    /// Why.
    reason: String,
}

/// Takes a relocation back: traffic returns to the source first, then the new replica is stopped, if one was started.
#[utoipa::path(post, path = "/api/v1/relocations/{id}/abort", tag = "moves",
    params(("id" = String, Path, description = "Id of the relocation"), AbortQuery),
    responses(
        (status = 200, description = "It is being taken back", body = Relocation),
        (status = 404, description = "No such relocation", body = Problem),
        (status = 409, description = "It is over, or past the point of return", body = Problem)
    )
)]
pub(super) async fn abort(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<AbortQuery>,
) -> Result<Json<Relocation>, Problem> {
    let id = RolloutId::new(id);
    state.rollouts.abort(&id, &query.by, &query.reason).await.map_err(|error| problem(&error))?;
    let record = state.rollouts.get(&id).await.map_err(|error| problem(&error))?;
    Ok(Json(Relocation::from(&record)))
}

/// Begins the way back of a relocation that has succeeded, as a plan of its own: it is judged on the newest pass, so a node
/// that is gone, full or too slow by now refuses it. Freezes hold; cooldown and the budget of the day do not.
#[utoipa::path(post, path = "/api/v1/relocations/{id}/undo", tag = "moves", request_body = Yes,
    params(("id" = String, Path, description = "Id of the relocation")),
    responses(
        (status = 202, description = "The way back was begun", body = Approved),
        (status = 400, description = "The body is wrong", body = Problem),
        (status = 404, description = "No such relocation", body = Problem),
        (status = 409, description = "It is not over, has moved nothing, or cannot go back now; nothing was begun",
            body = Problem),
        (status = 503, description = "No pass was made lately to judge it on", body = Problem)
    )
)]
pub(super) async fn undo(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Approved>), Problem> {
    let Yes { by, reason } = Yes::read(&headers, body).await?;
    let begun = state.approvals.undo(RolloutId::new(id), by.clone(), reason).await;
    let begun = begun.map_err(|error| match &error {
        UndoError::Refused { .. } => Problem::conflict(error.to_string()),
        UndoError::NotBegun(ApproveError::Rollouts(error)) => problem(error),
        UndoError::NotBegun(error) => not_begun(error),
    })?;
    Ok((StatusCode::ACCEPTED, Json(Approved::new(&begun, by))))
}
