//! `foremesh approve` and `foremesh undo`: what waits for a human, and what is begun because one says so.
use super::{items, print, rows, text};
use crate::{
    args::{ApproveArgs, QueryArgs, RelocationArgs},
    client::{ClientError, request, send},
};
use foremesh_core::duration::in_words;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Exit code for a plan that may not be carried out any more.
const REFUSED: u8 = 3;

/// Approves a plan, or lists those that wait.
///
/// # Errors
/// When the planner does not answer, or has no such plan.
pub async fn approve(args: &ApproveArgs) -> anyhow::Result<ExitCode> {
    let (server, output) = (&args.query.server, args.query.output);
    let Some(plan) = &args.plan else {
        let answer = request(server, Method::GET, "/api/v1/plans?state=waits").await?;
        print(&answer, output, waiting);
        return Ok(ExitCode::SUCCESS);
    };
    let body = json!({"by": args.by, "reason": args.reason}).to_string();
    let path = format!("/api/v1/plans/{}/approve", super::escape(plan));
    begin(&args.query, &path, body).await
}

/// Begins the way back of a relocation.
///
/// # Errors
/// When the planner does not answer, or has no such relocation.
pub async fn undo(args: &RelocationArgs) -> anyhow::Result<ExitCode> {
    let body = json!({"by": args.by, "reason": args.reason}).to_string();
    let path = format!("/api/v1/relocations/{}/undo", super::escape(&args.relocation));
    begin(&args.query, &path, body).await
}

async fn begin(query: &QueryArgs, path: &str, body: String) -> anyhow::Result<ExitCode> {
    match send(&query.server, Method::POST, path, Some(("application/json", body.into_bytes()))).await {
        Ok(answer) => {
            print(&answer, query.output, begun);
            Ok(ExitCode::SUCCESS)
        }
        Err(ClientError::Refused { status: StatusCode::CONFLICT, detail, .. }) => {
            eprintln!("foremesh: {detail}");
            Ok(ExitCode::from(REFUSED))
        }
        Err(error) => Err(error.into()),
    }
}

/// What waits, a row for each plan.
fn waiting(answer: &Value) -> String {
    if items(answer, "plans").is_empty() {
        return "no plan waits for approval".to_owned();
    }
    let mut answer = answer.clone();
    for plan in answer.get_mut("plans").and_then(Value::as_array_mut).into_iter().flatten() {
        let age = plan.get("age_ms").and_then(Value::as_i64).map(in_words);
        plan["age"] = json!(age);
    }
    let columns = [
        ("PLAN", "/id"),
        ("AGE", "/age"),
        ("MADE", "/made_at"),
        ("APPROVE BEFORE", "/approve_before"),
        ("FOR", "/services"),
        ("MOVES", "/summary"),
        ("BECAUSE", "/because"),
    ];
    rows(&answer, "plans", &columns).to_string()
}

/// What was begun.
fn begun(answer: &Value) -> String {
    format!(
        "plan {} is begun: {}\n`foremesh moves` tells how it goes; `foremesh abort {} --reason WHY` takes it back",
        text(answer, "/plan"),
        text(answer, "/moves"),
        text(answer, "/relocations/0")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_shown_with_its_age_and_its_reason() {
        let plans = json!({"plans": [{
            "id": "plan-1", "age_ms": 300_000, "made_at": "2025-11-24T12:00:00Z", "services": ["shop"],
            "approve_before": "2025-11-24T13:00:00Z", "summary": ["shop: a to b"], "because": ["rule p/slow"],
        }]});
        let shown = waiting(&plans);
        for part in ["plan-1", "5 min", "12:00:00Z", "13:00:00Z", "shop: a to b", "rule p/slow"] {
            assert!(shown.contains(part), "`{part}` is missing in {shown}");
        }
        assert_eq!(waiting(&json!({"plans": []})), "no plan waits for approval");
        let said = begun(&json!({"plan": "plan-1", "moves": ["shop: a to b"], "relocations": ["plan-1.0"]}));
        assert!(
            said.contains("plan plan-1 is begun: shop: a to b") && said.contains("abort plan-1.0"),
            "{said}"
        );
    }
}
