//! What was decided, and why.
use super::{ApiState, fault, query::Query, time_text::rfc3339};
use crate::{audit::Entry, problem::Problem};
use axum::{
    Json,
    extract::{Path, State},
};
use foremesh_core::{decide::Decision, plan::Move, policy::Mode, report::Facts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Most entries in one answer, and how many there are when the caller does not say.
const MAX_ENTRIES: u32 = 1000;
const DEFAULT_ENTRIES: u32 = 100;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Most entries to return, up to 1000; 100 when not given.
    limit: Option<u32>,
    /// Only entries older than the one with this number.
    before: Option<i64>,
}

impl Page {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_ENTRIES).min(MAX_ENTRIES)
    }
}

/// One plan with everything that is on record about it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanDetail {
    /// Its id.
    id: String,
    /// Why it was made, in words.
    explanation: String,
    /// The plan itself.
    plan: Value,
    /// Everything on record about it, oldest first.
    record: Vec<AuditEntry>,
}

/// One entry of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditEntry {
    /// Counts up without reuse.
    entry: i64,
    /// When it was written.
    at: String,
    /// `decision`, `plan`, `recommendation`, `rollout` or `event`.
    kind: String,
    /// The plan that it belongs to.
    plan: Option<String>,
    /// What was seen, decided or done.
    record: Value,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        Self {
            entry: entry.id,
            at: rfc3339(entry.at),
            kind: entry.kind,
            plan: entry.plan,
            record: entry.record,
        }
    }
}

/// One plan: why it was made, and what became of it.
#[utoipa::path(get, path = "/api/v1/plans/{id}", tag = "decisions",
    params(("id" = String, Path, description = "Id of the plan")),
    responses((status = 200, body = PlanDetail), (status = 404, description = "No such plan", body = Problem))
)]
pub(super) async fn plan(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<PlanDetail>, Problem> {
    let entries = state.audit.of_plan(&id).map_err(|e| fault(&e))?;
    let made = entries.iter().find(|entry| entry.record.get("plan").is_some_and(Value::is_object));
    let made = made.ok_or_else(|| {
        Problem::not_found(format!("there is no plan `{id}`; /api/v1/plans lists those that were made"))
    })?;
    let mut explanation =
        made.record.get("explanation").and_then(Value::as_str).unwrap_or_default().to_owned();
    for line in entries.iter().filter_map(|entry| afterwards(&entry.record)) {
        explanation.push_str(&line);
    }
    let plan = made.record.get("plan").cloned().unwrap_or_default();
    Ok(Json(PlanDetail {
        id,
        explanation,
        plan,
        record: entries.into_iter().map(AuditEntry::from).collect(),
    }))
}

/// What became of a move after it was over, as a line of the explanation.
fn afterwards(record: &Value) -> Option<String> {
    let text = |at: &str| record.pointer(at).and_then(Value::as_str);
    let relocation = text("/relocation")?;
    match text("/event")? {
        "move_judged" => {
            let (verdict, why) = (text("/benefit/verdict")?.replace('_', " "), text("/benefit/why")?);
            Some(format!("\nafterwards: {relocation}: {verdict}: {why}"))
        }
        "moved_back" => Some(format!("\nafterwards: {relocation}: {}", text("/why")?)),
        _ => None,
    }
}

/// The newest pass.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LastDecision {
    /// When it was made.
    at: String,
    /// Which pass it was since the planner started.
    pass: u64,
    /// What was decided about each service, in words.
    explanation: String,
    /// Plans of this pass: of mode `auto` those that are carried out, else those that would be.
    plans: Vec<PassPlan>,
}

/// A plan of the newest pass.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PassPlan {
    /// Its id.
    id: String,
    /// Mode of the policies that it was made for.
    mode: String,
    /// Its moves, such as `shop: host-a to host-b`.
    moves: Vec<String>,
}

fn plans_of(decision: &Decision) -> Vec<PassPlan> {
    let modes = [Mode::Auto, Mode::Approve, Mode::Recommend];
    let made = modes.into_iter().filter_map(|mode| Some((mode, decision.plan_in(mode)?)));
    made.map(|(mode, plan)| PassPlan {
        id: plan.id.to_string(),
        mode: mode.name().to_owned(),
        moves: plan.moves.iter().map(Move::in_words).collect(),
    })
    .collect()
}

/// The newest decision about one service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServiceDecision {
    /// The service.
    service: String,
    /// When it was made.
    at: String,
    /// In words.
    explanation: String,
    /// The same in fields: what comes when nothing is done, the move, refused nodes by reason, what alternatives cost,
    /// how sure it is, and what kept it from moving.
    #[schema(value_type = Object)]
    facts: Value,
}

/// What the newest pass decided about one service, and why, also where that was nothing.
#[utoipa::path(get, path = "/api/v1/decisions/services/{id}", tag = "decisions",
    params(("id" = String, Path, description = "Name of the service")),
    responses(
        (status = 200, body = ServiceDecision),
        (status = 404, description = "No policy is about such a service", body = Problem),
        (status = 503, description = "No pass was made yet", body = Problem)
    )
)]
pub(super) async fn of_service(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<ServiceDecision>, Problem> {
    let view = state.view()?;
    let record = view.records.iter().find(|record| record.service.as_str() == id).ok_or_else(|| {
        Problem::not_found(format!(
            "nothing was decided about service `{id}`: it was not seen, or no policy is about it; /api/v1/services lists \
             those that are known"
        ))
    })?;
    let facts = Facts::new(record, &view.inputs.borrow(), &view.decision);
    Ok(Json(ServiceDecision {
        service: id,
        at: rfc3339(view.at),
        explanation: format!("{}{}", record.explain(), facts.in_words()),
        facts: serde_json::to_value(&facts).map_err(|e| Problem::internal(e.to_string()))?,
    }))
}

/// What the newest pass decided about every service, also where that was nothing.
#[utoipa::path(get, path = "/api/v1/decisions/last", tag = "decisions", responses(
    (status = 200, body = LastDecision),
    (status = 503, description = "No pass was made yet", body = Problem)
))]
pub(super) async fn last(State(state): State<ApiState>) -> Result<Json<LastDecision>, Problem> {
    let view = state.view()?;
    let mut text: Vec<String> =
        view.records.iter().map(foremesh_core::report::AuditRecord::explain).collect();
    if text.is_empty() {
        text.push("no policy is about a service that was seen".to_owned());
    }
    Ok(Json(LastDecision {
        at: rfc3339(view.at),
        pass: view.pass,
        explanation: text.join("\n"),
        plans: plans_of(&view.decision),
    }))
}

/// The audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Trail {
    /// Newest first.
    entries: Vec<AuditEntry>,
}

/// The audit trail, newest first.
#[utoipa::path(get, path = "/api/v1/decisions", tag = "decisions", params(Page), responses((status = 200, body = Trail)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(page): Query<Page>,
) -> Result<Json<Trail>, Problem> {
    let entries = state.audit.newest(None, page.before, page.limit()).map_err(|e| fault(&e))?;
    Ok(Json(Trail { entries: entries.into_iter().map(AuditEntry::from).collect() }))
}
