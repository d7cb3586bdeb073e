//! What would be, if: questions to the newest pass.
use super::{ApiState, payload, time_text::rfc3339};
use crate::{problem::Problem, what_if::WhatIf};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use foremesh_core::what_if::{Answer, answer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Longest question.
const MAX_BYTES: usize = 256 << 10;

/// The answer, before and after side by side.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WhatIfAnswer {
    /// The moment of the snapshot and the forecasts.
    pub now: String,
    /// Start of the part of the look-ahead that was looked at; none for the worst moment of each service.
    pub looked_at: Option<String>,
    /// Whether a service would breach its objective, or no replica of it would be left.
    pub breach: bool,
    /// Whether the checker of plans would accept the moves; none when there are none.
    pub accepted: Option<bool>,
    /// What the checker says against them.
    pub objections: Vec<String>,
    /// Conditions that moves break, judged one after the other: `workload`, `node`, `why`.
    #[schema(value_type = Vec<Object>)]
    pub refused: Value,
    /// Services for which something changes: `service`, `quantile`, `objective_ms`, `requests_per_second`, `breach`,
    /// `unknown`, and `before` and `after` with `latency_ms`, `risk`, `saturated` and `lost`.
    #[schema(value_type = Vec<Object>)]
    pub services: Value,
    /// Nodes for which something changes: `node`, `use_before`, `use_after`, `limit`, as shares of its CPU.
    #[schema(value_type = Vec<Object>)]
    pub nodes: Value,
    /// `risk_before` and `risk_after` in tier-weighted requests per second, `network_before` and `network_after` in
    /// calls per second times milliseconds, `disruption` in tier-weighted requests per second, `money_per_hour`.
    #[schema(value_type = Object)]
    pub cost: Value,
}

impl From<Answer> for WhatIfAnswer {
    fn from(answer: Answer) -> Self {
        let value = |part: Result<Value, serde_json::Error>| part.unwrap_or_default();
        Self {
            now: rfc3339(answer.now),
            looked_at: answer.looked_at.map(rfc3339),
            breach: answer.breach,
            accepted: answer.accepted,
            refused: value(serde_json::to_value(&answer.refused)),
            services: value(serde_json::to_value(&answer.services)),
            nodes: value(serde_json::to_value(&answer.nodes)),
            cost: value(serde_json::to_value(answer.cost)),
            objections: answer.objections,
        }
    }
}

/// Predicts what moves, another load or failed nodes would bring, with the model and the conditions that plans are made
/// with. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/what-if", tag = "decisions", request_body = WhatIf, responses(
    (status = 200, body = WhatIfAnswer),
    (status = 400, description = "The question cannot be read, or names what is not there", body = Problem),
    (status = 503, description = "No pass was made yet", body = Problem)
))]
pub(super) async fn ask(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<WhatIfAnswer>, Problem> {
    let asked: WhatIf = payload::json(&payload::read(&headers, body, MAX_BYTES).await?)?;
    let view = state.view()?;
    let question =
        asked.question(view.inputs.now).map_err(|error| Problem::bad_request(error.to_string()))?;
    let inputs = view.inputs.clone();
    let answered = tokio::task::spawn_blocking(move || answer(&inputs, &question)).await;
    let answered = answered.map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the answer ended in a fault of the planner".to_owned(),
        )
    })?;
    Ok(Json(answered.map_err(|error| Problem::bad_request(error.to_string()))?.into()))
}
