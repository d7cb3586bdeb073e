//! Query parameters whose refusal is a problem document, as every other error of the API.
use crate::problem::Problem;
use axum::extract::{FromRequestParts, rejection::QueryRejection};

/// Query parameters of a request.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(super) struct Query<T>(pub(super) T);

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(format!("{}; /api/v1/openapi.json lists the parameters", rejection.body_text()))
    }
}
