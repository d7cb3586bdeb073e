//! Refusals, each with how it counts.
use super::{IngestSettings, metrics::Outcome};
use crate::{
    causes::chain,
    platform::PlatformError,
    problem::{FieldProblem, Problem},
    store::StoreError,
};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use foremesh_summary::DecodeError;
use std::error::Error;

/// Why a summary was not taken, and how that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    problem: Problem,
    outcome: Outcome,
}

impl Refusal {
    fn new(status: StatusCode, outcome: Outcome, title: &str, detail: String) -> Self {
        Self { problem: Problem::new(status, detail).titled(title), outcome }
    }

    fn about(self, field: FieldProblem) -> Self {
        Self { problem: self.problem.about(field), ..self }
    }

    /// The answer that it becomes.
    pub(crate) const fn problem(&self) -> &Problem {
        &self.problem
    }

    /// How the request counts.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// 400: the bytes are not what was announced.
    pub(super) fn refused(title: &str, error: &dyn Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Outcome::Refused, title, chain(error))
    }

    /// 408: the body did not come.
    pub(super) fn timeout(seconds: f64) -> Self {
        let detail = format!("the body did not arrive within {seconds} s; send it again, faster");
        Self::new(StatusCode::REQUEST_TIMEOUT, Outcome::Timeout, "body is too slow", detail)
    }

    /// 413: over the limit of a body.
    pub(super) fn too_large(what: &str, limit: usize) -> Self {
        let detail = format!(
            "{what} is over the limit of {limit} bytes; lower max_keys or interval_ms of the sender, or raise the planner's limit"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Outcome::TooLarge, "summary is too large", detail)
    }

    /// 415: a type or encoding that is not read.
    pub(super) fn unsupported(header: &'static str, value: &str, known: &'static str) -> Self {
        let detail = format!("{header} is `{value}`; send {known}");
        let title = "body is of an unknown kind";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::Unsupported, title, detail).about(
            FieldProblem {
                field: header.to_owned(),
                value: Some(value.to_owned()),
                limit: Some(known.to_owned()),
                remedy: None,
            },
        )
    }

    /// 503: too much in flight.
    pub(super) fn overloaded(settings: &IngestSettings) -> Self {
        let detail = format!(
            "summaries in flight are over the limit of {} bytes; send the same summary again later",
            settings.in_flight_bytes
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::Overloaded, "planner is overloaded", detail)
    }

    /// 503: the platform cannot tell yet what the names in it mean.
    pub(super) fn unnamed(error: &PlatformError) -> Self {
        let title = "the platform is not known yet";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::NotDurable, title, chain(error))
    }

    /// 503: not durable.
    pub(super) fn not_durable(error: &StoreError) -> Self {
        let outcome = match error {
            StoreError::Full { .. } => Outcome::Overloaded,
            _ => Outcome::NotDurable,
        };
        let title = "summary was not made durable";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, outcome, title, chain(error))
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        if let DecodeError::BodyTooLarge { limit, .. } = error {
            return Self::too_large("the summary", limit);
        }
        let refusal = Self::refused("summary is not valid", &error);
        match error {
            DecodeError::Field { field, value, limit, remedy } => refusal.about(FieldProblem {
                field,
                value: Some(value),
                limit: Some(limit),
                remedy: Some(remedy),
            }),
            DecodeError::Histogram { route, .. } => refusal.about(FieldProblem {
                field: format!("routes[{route}].latency_hdr_v2"),
                ..FieldProblem::default()
            }),
            _ => refusal,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.problem.into_response()
    }
}
