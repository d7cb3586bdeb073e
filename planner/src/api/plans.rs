//! Plans: which were made, what became of them, and a human's yes to one that waits.
use super::{ApiState, fault, payload, query::Query, time_text::rfc3339};
use crate::{
    approvals::{ApproveError, Begun, plan_in},
    audit::{Entry, Kind},
    causes::chain,
    problem::{FieldProblem, Problem},
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use foremesh_core::{ids::PlanId, latency::in_ms, plan::Move, policy::Mode, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// Plans in one answer when no limit is given, and at most.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;
/// Largest body of an approval.
const MAX_BODY_BYTES: usize = 16 << 10;
/// Longest name and longest reason, in characters.
const LONGEST_NAME: usize = 200;
const LONGEST_REASON: usize = 2000;

/// Which plans.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct PlansQuery {
    /// Most plans to return, up to 1000; 100 when not given.
    limit: Option<u32>,
    /// Only plans older than the one with this entry.
    before: Option<i64>,
    /// Only plans in this state, of those of the page; `waits` finds what waits now, however old its entry is.
    state: Option<PlanState>,
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PlanState {
    /// A human can approve it: its mode is `approve`, and the newest pass decides the same.
    Waits,
    /// It was begun; `/api/v1/relocations` tells how that goes.
    Begun,
    /// It was not begun: it was refused, or nobody approved it in time.
    Lapsed,
    /// It is only shown: its mode is `recommend`.
    Shown,
}

/// Plans.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Plans {
    /// Newest first; plans that wait, and those that were only recommended, are among them.
    plans: Vec<PlanSummary>,
}

/// One plan in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanSummary {
    /// Its id.
    id: String,
    /// Number of its audit entry.
    entry: i64,
    /// When it was made.
    made_at: String,
    /// How long ago that was, in milliseconds.
    age_ms: i64,
    /// Counts plans up.
    generation: Option<u64>,
    /// `auto` when it is begun without being asked for, `approve` when it waits for a human, `recommend` when it is only
    /// shown, `undo` when it is the way back of a move.
    mode: String,
    /// What became of it.
    state: PlanState,
    /// Until when it can be approved, if it still holds then; only of one that waits.
    approve_before: Option<String>,
    /// The services that it is for.
    services: Vec<String>,
    /// Its moves, such as `shop: host-a to host-b`.
    summary: Vec<String>,
    /// Why it was made, a line for each move.
    because: Vec<String>,
}

/// What is known of plans beyond their entries.
struct Known {
    now: Timestamp,
    begun: BTreeSet<PlanId>,
    waits: Option<PlanId>,
    within_ms: i64,
}

impl Known {
    fn state_of(&self, plan: &PlanId, mode: &str) -> PlanState {
        if self.begun.contains(plan) {
            PlanState::Begun
        } else if mode == Mode::Recommend.name() {
            PlanState::Shown
        } else if self.waits.as_ref() == Some(plan) {
            PlanState::Waits
        } else {
            PlanState::Lapsed
        }
    }

    fn summary(&self, entry: &Entry) -> PlanSummary {
        let id = id_of(entry);
        let mode = entry.record["mode"].as_str().unwrap_or_default().to_owned();
        let state = self.state_of(&id, &mode);
        let plan = plan_in(entry).ok();
        let moves = plan.as_ref().map_or(&[][..], |plan| &plan.moves);
        let services: BTreeSet<String> = moves.iter().map(served).collect();
        let made_at = plan.as_ref().map_or(entry.at, |plan| plan.made_at);
        PlanSummary {
            id: id.to_string(),
            entry: entry.id,
            made_at: rfc3339(made_at),
            age_ms: self.now.ms_since(made_at),
            generation: plan.as_ref().map(|plan| plan.generation),
            mode,
            state,
            approve_before: (state == PlanState::Waits).then(|| rfc3339(made_at.plus_ms(self.within_ms))),
            services: services.into_iter().collect(),
            summary: moves.iter().map(Move::in_words).collect(),
            because: moves.iter().map(because).collect(),
        }
    }
}

fn id_of(entry: &Entry) -> PlanId {
    PlanId::new(entry.plan.as_deref().unwrap_or_default())
}

fn served(planned: &Move) -> String {
    planned.reason.on_behalf_of.as_ref().unwrap_or(&planned.service).to_string()
}

/// The numbers that decided, in one line.
fn because(planned: &Move) -> String {
    let reason = &planned.reason;
    format!(
        "rule {}/{}: breach at {} with probability {:.2}; staying {}, moving {}, objective {}",
        reason.policy,
        reason.rule,
        rfc3339(reason.breach_at),
        reason.breach_probability.get(),
        in_ms(reason.stay_ms),
        in_ms(reason.move_ms),
        in_ms(reason.objective_ms)
    )
}

/// The plans that were made, newest first, with what became of them.
#[utoipa::path(get, path = "/api/v1/plans", tag = "decisions", params(PlansQuery), responses(
    (status = 200, body = Plans),
    (status = 400, description = "A parameter is wrong", body = Problem)
))]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PlansQuery>,
) -> Result<Json<Plans>, Problem> {
    let limit = query.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let waits = waiting(&state);
    let mut entries = Vec::new();
    if query.state == Some(PlanState::Waits) {
        if let Some(plan) = &waits {
            let recorded = state.audit.of_plan(plan.as_str()).map_err(|e| fault(&e))?;
            entries.extend(recorded.into_iter().filter(|entry| entry.kind == Kind::Recommendation.name()));
        }
    } else {
        for kind in [Kind::Plan, Kind::Recommendation] {
            entries.extend(state.audit.newest(Some(kind), query.before, limit).map_err(|e| fault(&e))?);
        }
        entries.sort_by_key(|entry| -entry.id);
        entries.truncate(limit as usize);
    }
    let ids: Vec<PlanId> = entries.iter().map(id_of).collect();
    let begun = state.rollouts.begun(&ids).await.map_err(|e| fault(&e))?.into_keys().collect();
    let known = Known { now: state.clock.now(), begun, waits, within_ms: state.approvals.within_ms() };
    let plans = entries.iter().map(|entry| known.summary(entry));
    let plans = plans.filter(|plan| query.state.is_none_or(|state| plan.state == state)).collect();
    Ok(Json(Plans { plans }))
}

/// The plan that waits for a human, by the newest pass.
fn waiting(state: &ApiState) -> Option<PlanId> {
    let view = state.published.view()?;
    let plan = view.decision.awaiting_approval.as_ref()?;
    let age_ms = state.clock.now().ms_since(plan.made_at);
    (age_ms <= state.approvals.within_ms()).then(|| plan.id.clone())
}

/// A human's yes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Yes {
    /// Who says so, for the audit trail; 1 to 200 characters.
    pub(super) by: String,
    /// Why, for the audit trail; at most 2000 characters.
    #[serde(default)]
    pub(super) reason: String,
}

impl Yes {
    /// From the body of a request.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let Self { by, reason } = payload::json(&payload::read(headers, body, MAX_BODY_BYTES).await?)?;
        let by = by.trim().to_owned();
        limited("by", &by, 1, LONGEST_NAME)?;
        limited("reason", &reason, 0, LONGEST_REASON)?;
        Ok(Self { by, reason })
    }
}

/// A plan that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Approved {
    /// The plan.
    plan: String,
    /// Who approved it.
    approved_by: String,
    /// Its moves, such as `shop: host-a to host-b`.
    moves: Vec<String>,
    /// What carries them out, in the same order; each begins when the one before it succeeded.
    relocations: Vec<String>,
}

impl Approved {
    pub(super) fn new(begun: &Begun, by: String) -> Self {
        let Begun { plan, rollouts } = begun;
        Self {
            plan: plan.id.to_string(),
            approved_by: by,
            moves: plan.moves.iter().map(Move::in_words).collect(),
            relocations: rollouts.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Approves a plan that waits: exactly that plan is begun, if it still holds on the newest inputs.
#[utoipa::path(post, path = "/api/v1/plans/{id}/approve", tag = "decisions", request_body = Yes,
    params(("id" = String, Path, description = "Id of the plan")),
    responses(
        (status = 202, description = "It was begun", body = Approved),
        (status = 400, description = "The body is wrong", body = Problem),
        (status = 404, description = "No such plan", body = Problem),
        (status = 409, description = "It waits for nobody, was approved before, or does not hold any more; nothing was begun",
            body = Problem),
        (status = 503, description = "No pass was made lately to judge it on", body = Problem)
    )
)]
pub(super) async fn approve(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Approved>), Problem> {
    let Yes { by, reason } = Yes::read(&headers, body).await?;
    let begun =
        state.approvals.approve(PlanId::new(id), by.clone(), reason).await.map_err(|e| problem(&e))?;
    Ok((StatusCode::ACCEPTED, Json(Approved::new(&begun, by))))
}

fn limited(field: &str, text: &str, least: usize, most: usize) -> Result<(), Problem> {
    let length = text.chars().count();
    if (least..=most).contains(&length) {
        return Ok(());
    }
    let detail = format!("`{field}` has {length} characters, but must have {least} to {most}");
    Err(Problem::bad_request(detail).about(FieldProblem {
        field: field.to_owned(),
        value: None,
        limit: Some(format!("{least} to {most} characters")),
        remedy: Some("say who you are in `by`, and why in `reason`"),
    }))
}

pub(super) fn problem(error: &ApproveError) -> Problem {
    match error {
        ApproveError::Unknown(_) => Problem::not_found(error.to_string()),
        ApproveError::NoneOfApprove { .. }
        | ApproveError::BegunAlready { .. }
        | ApproveError::Refused { .. }
        | ApproveError::NotTaken { .. } => Problem::conflict(error.to_string()),
        ApproveError::Unreadable { .. } => Problem::conflict(chain(error)),
        ApproveError::NoPass | ApproveError::OldPass { .. } | ApproveError::PassRuns => {
            Problem::unavailable(error.to_string())
        }
        ApproveError::Audit(_) | ApproveError::Rollouts(_) | ApproveError::Fault(_) => {
            Problem::internal(chain(error))
        }
    }
}
