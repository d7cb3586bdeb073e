//! Errors of everything that is served over HTTP as RFC 9457 problem documents.
use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A problem document: what went wrong, in words that tell the caller what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Kind of problem, always `about:blank`: the status says the kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// What is wrong with this request: object, value, limit and remedy.
    pub detail: String,
    /// The one field of the request that is the reason, when there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub field: Option<Box<FieldProblem>>,
}

/// What is wrong with one field of a request; parts that are not known are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field, header or parameter.
    pub field: String,
    /// What was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What the sender has to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
}

/// Seconds after which a caller that was answered 503 may try again.
const RETRY_AFTER_SECONDS: &str = "1";

impl Problem {
    /// A problem with a status and a text.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
        }
    }

    /// The same with another title than the status in words.
    #[must_use]
    pub fn titled(self, title: &str) -> Self {
        Self { title: title.to_owned(), ..self }
    }

    /// The same with the field that is the reason.
    #[must_use]
    pub fn about(self, field: FieldProblem) -> Self {
        Self { field: Some(Box::new(field)), ..self }
    }

    /// The method is not served at this path.
    pub fn method_not_allowed(method: &Method, uri: &Uri) -> Self {
        let detail = format!(
            "`{method}` is not served at `{}`; /api/v1/openapi.json lists the methods of all paths",
            uri.path()
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// The caller asked for something that does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The planner cannot answer now; later it may.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// The planner is at fault.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// The request does not fit the state of what it is about.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The caller's request is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}
