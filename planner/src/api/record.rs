//! What a plan was made from, for whoever wants to decide it again.
use super::{ApiState, time_text::rfc3339};
use crate::{causes::chain, problem::Problem};
use axum::{
    Json,
    extract::{Path, State},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The record of one plan, portable: `foremesh explain --record` and `foremesh simulate --record` read it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PortableRecord {
    /// The plan.
    pub plan: String,
    /// When it was made.
    pub made_at: String,
    /// Version of the planner that sends it.
    pub planner: String,
    /// The record: gzip of its JSON, in base64.
    pub gzip_base64: String,
}

impl PortableRecord {
    /// A packed record of a plan that was made at this time.
    pub fn new(plan: &str, made_at: String, packed: &[u8]) -> Self {
        Self {
            plan: plan.to_owned(),
            made_at,
            planner: env!("CARGO_PKG_VERSION").to_owned(),
            gzip_base64: STANDARD.encode(packed),
        }
    }

    /// Packed bytes of a plan's record.
    ///
    /// # Errors
    /// When the text is not base64.
    pub fn packed(&self) -> Result<Vec<u8>, base64::DecodeError> {
        STANDARD.decode(&self.gzip_base64)
    }
}

/// Everything that a plan was made from, so that it can be made again and compared.
#[utoipa::path(get, path = "/api/v1/plans/{id}/record", tag = "decisions",
    params(("id" = String, Path, description = "Id of the plan")),
    responses(
        (status = 200, body = PortableRecord),
        (status = 404, description = "No such plan, or its record is over its retention", body = Problem)
    )
)]
pub(super) async fn of_plan(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<PortableRecord>, Problem> {
    let (audit, plan) = (state.audit.clone(), id.clone());
    let read = tokio::task::spawn_blocking(move || audit.record_of(&plan)).await;
    let found = read.map_err(|e| Problem::internal(chain(&e)))?.map_err(|e| Problem::internal(chain(&e)))?;
    let (at, packed) = found.ok_or_else(|| {
        Problem::not_found(format!(
            "what plan `{id}` was made from is not kept: there is no such plan, or it is older than \
             `retention.records` of the settings"
        ))
    })?;
    Ok(Json(PortableRecord::new(&id, rfc3339(at), &packed)))
}
