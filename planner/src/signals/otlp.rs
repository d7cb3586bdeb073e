//! The receiver of metrics by OTLP over HTTP: `POST /v1/metrics`, in protobuf or JSON.
//!
//! As <https://opentelemetry.io/docs/specs/otlp/#otlphttp> has it. An answer of 200 means that the readings that are
//! complete are durable; points that cannot be used are told as a partial success, because their sender must not send
//! them again. Metrics that the planner does not need are accepted and left out.
mod mapping;
mod points;

use super::status::Statuses;
use crate::{
    clock::Clock,
    ingest::{
        body::{self, Encoding, MediaType},
        problem::Refusal as BodyRefusal,
    },
    store::SeriesStore,
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use foremesh_core::time::Step;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use points::Points;
use prost::Message as _;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, Semaphore};

/// Name of the source.
pub(super) const NAME: &str = "otlp";
/// Pushes that are read at once; the next one is told to come again.
const AT_ONCE: usize = 8;
/// Longest time that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Receiver {
    points: Arc<Mutex<Points>>,
    places: Arc<Semaphore>,
    store: Arc<dyn SeriesStore>,
    clock: Clock,
    statuses: Statuses,
    max_body_bytes: usize,
}

/// The route, to be merged into the planner's.
pub(super) fn router(
    store: Arc<dyn SeriesStore>,
    clock: Clock,
    statuses: Statuses,
    step: Step,
    max_body_bytes: usize,
) -> Router {
    statuses.known(NAME);
    let receiver = Receiver {
        points: Arc::new(Mutex::new(Points::new(step))),
        places: Arc::new(Semaphore::new(AT_ONCE)),
        store,
        clock,
        statuses,
        max_body_bytes,
    };
    Router::new().route("/v1/metrics", post(accept)).with_state(receiver)
}

/// Why a push was not taken.
#[derive(Debug)]
enum Refusal {
    Body(BodyRefusal),
    Busy,
    Message(String),
    Store(crate::store::StoreError),
}

impl Refusal {
    /// Why, in words.
    fn detail(&self) -> String {
        match self {
            Self::Body(problem) => serde_json::to_string(problem.problem()).unwrap_or_default(),
            Self::Message(detail) => detail.clone(),
            Self::Busy => format!("{AT_ONCE} pushes are being read; send it again"),
            Self::Store(error) => crate::causes::chain(error),
        }
    }
}

impl From<BodyRefusal> for Refusal {
    fn from(problem: BodyRefusal) -> Self {
        Self::Body(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let detail = self.detail();
        let status = match self {
            Self::Body(problem) => return problem.into_response(),
            Self::Message(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = crate::problem::Problem::new(status, detail).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

async fn accept(State(receiver): State<Receiver>, headers: HeaderMap, body: Body) -> Response {
    match take(&receiver, &headers, body).await {
        Ok(response) => response,
        Err(refusal) => {
            let why = std::io::Error::other(format!("a push was refused: {}", refusal.detail()));
            receiver.statuses.failed(NAME, &why);
            refusal.into_response()
        }
    }
}

async fn take(receiver: &Receiver, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
    let media = MediaType::of(headers)?;
    let encoding = Encoding::of(headers)?;
    let limit = receiver.max_body_bytes;
    body::announced_length(headers, limit)?;
    let _place = receiver.places.try_acquire().map_err(|_| Refusal::Busy)?;
    let plain = encoding.decode(body::read(body, limit, BODY_TIMEOUT).await?, limit)?;
    let message: ExportMetricsServiceRequest = match media {
        MediaType::Protobuf => ExportMetricsServiceRequest::decode(plain).map_err(|error| {
            Refusal::Message(format!("the body is no ExportMetricsServiceRequest: {error}"))
        })?,
        MediaType::Json => serde_json::from_slice(&plain).map_err(|error| {
            Refusal::Message(format!("the body is no ExportMetricsServiceRequest: {error}"))
        })?,
    };
    let now = receiver.clock.now();
    let taken = receiver.points.lock().await.take(&message, now);
    let gauges = taken.gauges.len();
    if gauges > 0 {
        receiver.store.append_gauges(taken.gauges).await.map_err(Refusal::Store)?;
    }
    receiver.statuses.took(NAME, gauges, taken.rejected, taken.newest);
    let reason = taken.reason.unwrap_or_default();
    let warnings = if reason.is_empty() { Vec::new() } else { vec![reason.clone()] };
    receiver.statuses.succeeded(NAME, now, warnings);
    let partial_success = (taken.rejected > 0).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: i64::try_from(taken.rejected).unwrap_or(i64::MAX),
        error_message: reason,
    });
    Ok(answer(media, &ExportMetricsServiceResponse { partial_success }))
}

/// The answer in the form of the question, as the protocol wants it.
fn answer(media: MediaType, message: &ExportMetricsServiceResponse) -> Response {
    match media {
        MediaType::Protobuf => {
            ([(header::CONTENT_TYPE, "application/x-protobuf")], message.encode_to_vec()).into_response()
        }
        MediaType::Json => axum::Json(message).into_response(),
    }
}
