//! Refusals as RFC 9457 problems.
use super::{IngestSettings, metrics::Outcome};
use crate::{causes::chain, store::StoreError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use foremesh_summary::DecodeError;
use serde::Serialize;
use std::error::Error;

/// Seconds after which a refused sender may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why a request was refused, as RFC 9457 has it: `field`, `value`, `limit` and `remedy` are there when one field is
/// the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Fields>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Fields {
    /// Always `about:blank`: the title says what the status means here.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    #[serde(skip)]
    outcome: Outcome,
}

impl Problem {
    fn new(status: StatusCode, outcome: Outcome, title: &'static str, detail: String) -> Self {
        Self(Box::new(Fields {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail,
            field: None,
            value: None,
            limit: None,
            remedy: None,
            outcome,
        }))
    }

    /// How the request counts.
    pub(super) fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// 400: the bytes are not what was announced.
    pub(super) fn refused(title: &'static str, error: &dyn Error) -> Self {
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
        let mut problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::Unsupported, title, detail);
        problem.0.field = Some(header.to_owned());
        problem.0.value = Some(value.to_owned());
        problem.0.limit = Some(known.to_owned());
        problem
    }

    /// 503: too much in flight.
    pub(super) fn overloaded(settings: &IngestSettings) -> Self {
        let detail = format!(
            "summaries in flight are over the limit of {} bytes; send the same summary again later",
            settings.in_flight_bytes
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::Overloaded, "planner is overloaded", detail)
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

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        if let DecodeError::BodyTooLarge { limit, .. } = error {
            return Self::too_large("the summary", limit);
        }
        let mut problem = Self::refused("summary is not valid", &error);
        let fields = &mut problem.0;
        match error {
            DecodeError::Field { field, value, limit, remedy } => {
                fields.field = Some(field);
                fields.value = Some(value);
                fields.limit = Some(limit);
                fields.remedy = Some(remedy);
            }
            DecodeError::Histogram { route, .. } => {
                fields.field = Some(format!("routes[{route}].latency_hdr_v2"));
            }
            _ => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}
