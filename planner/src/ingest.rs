//! Takes summaries from proxies: `POST /v1/summaries`.
//!
//! An answer of 200 means that the summary is durable and counted once, also when it was sent before. Any other
//! answer means that this request changed nothing: 400, 413 and 415 say what the sender has to change, 408 and 503
//! say to send the same bytes again later. One sender's bad summary never harms another's.
pub mod body;
pub mod metrics;
pub mod problem;

use crate::{
    clock::Clock,
    platform::Inventory,
    problem::Problem,
    store::{Appended, SeriesStore, StoreError, Summary},
};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Uri},
    routing::post,
    serve::Listener,
};
use body::{Encoding, MediaType};
use bytes::Bytes;
use foremesh_summary::{Limits, PUSH_PATH, WindowSummary, decode, encode, from_json};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use metrics::{IngestMetrics, Outcome};
use problem::Refusal;
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Settings of ingest.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// What one summary may hold; `body_bytes` counts before and after decompression.
    pub limits: Limits,
    /// Bytes of bodies that may be in memory at once, from their first byte until they are durable.
    pub in_flight_bytes: usize,
    /// How long a sender may take to send a body.
    pub body_timeout: Duration,
}

impl Default for IngestSettings {
    /// 1 MiB for a summary (512 routes with long histograms are half of that), 64 MiB in flight, 10 s for a body.
    fn default() -> Self {
        Self {
            limits: Limits { body_bytes: 1 << 20, ..Limits::default() },
            in_flight_bytes: 64 << 20,
            body_timeout: Duration::from_secs(10),
        }
    }
}

/// What ingest works with; clones share it.
#[derive(Clone, Debug)]
pub struct IngestState {
    store: Arc<dyn SeriesStore>,
    clock: Clock,
    metrics: IngestMetrics,
    settings: Arc<IngestSettings>,
    names: Option<Arc<dyn Inventory>>,
    /// One permit for each KiB in flight.
    in_flight: Arc<Semaphore>,
}

impl IngestState {
    /// Ingest into `store`.
    pub fn new(
        store: Arc<dyn SeriesStore>,
        clock: Clock,
        metrics: IngestMetrics,
        settings: IngestSettings,
    ) -> Self {
        // A limit below one body would refuse every body.
        let permits = kib(settings.in_flight_bytes.max(settings.limits.body_bytes)) as usize;
        Self {
            store,
            clock,
            metrics,
            settings: Arc::new(settings),
            names: None,
            in_flight: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Takes summaries by the names of a platform.
    #[must_use]
    pub fn named_by(self, platform: Arc<dyn Inventory>) -> Self {
        Self { names: Some(platform), ..self }
    }

    /// Holds memory for a body of `length` bytes until the permit is dropped.
    fn reserve(&self, length: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.in_flight)
            .try_acquire_many_owned(kib(length))
            .map_err(|_| Refusal::overloaded(&self.settings))
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX)
}

/// The routes of ingest, to be merged into the planner's router.
pub fn router(state: IngestState) -> Router {
    Router::new()
        .route(PUSH_PATH, post(accept))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            Problem::method_not_allowed(&method, &uri)
        })
        .with_state(state)
}

/// Serves a router until `shutdown` is ready; accepted requests are finished before it returns.
///
/// A request that has arrived is answered also when the other end has closed its side: a proxy that ends sends its last
/// summary and closes at once, without waiting for the answer. `axum::serve` would drop that request, because its
/// connections are closed as soon as the other end has closed.
///
/// # Errors
/// None now; a listener that fails for a moment is asked again.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().half_close(true);
    let service = TowerToHyperService::new(router);
    let connections = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut shutdown => break,
        };
        let connection = server.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, error, "connection ended early");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
    Ok(())
}

/// Takes one summary of one proxy's worker. An answer of 200 means that it is durable and counted once.
#[utoipa::path(post, path = "/v1/summaries", tag = "observations",
    request_body(content((Vec<u8> = "application/x-protobuf"), (serde_json::Value = "application/json")),
        description = "A `WindowSummary`; content encodings are deflate (zlib) and gzip"),
    responses(
        (status = 200, description = "It is durable; `result` is `stored` or `duplicate`"),
        (status = 400, description = "It is not a summary, or has a field that is not allowed", body = Problem),
        (status = 408, description = "The body did not come in time; send it again", body = Problem),
        (status = 413, description = "It is over the limit of a body", body = Problem),
        (status = 415, description = "Its type or encoding is not read", body = Problem),
        (status = 503, description = "It is not durable; send the same bytes again after `Retry-After`", body = Problem)
    )
)]
pub(crate) async fn accept(
    State(state): State<IngestState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<serde_json::Value>, Refusal> {
    let started = Instant::now();
    let result = take(&state, &headers, body).await;
    let outcome = match &result {
        Ok(Appended::Stored) => Outcome::Stored,
        Ok(Appended::Duplicate) => Outcome::Duplicate,
        Err(refusal) => refusal.outcome(),
    };
    state.metrics.count(outcome, started.elapsed());
    match result? {
        Appended::Stored => Ok(Json(serde_json::json!({ "result": "stored" }))),
        Appended::Duplicate => Ok(Json(serde_json::json!({ "result": "duplicate" }))),
    }
}

async fn take(state: &IngestState, headers: &HeaderMap, body: Body) -> Result<Appended, Refusal> {
    let media = MediaType::of(headers)?;
    let encoding = Encoding::of(headers)?;
    let limit = state.settings.limits.body_bytes;
    let length = body::announced_length(headers, limit)?;
    // What a compressed body grows to is known only when it is there.
    let permit =
        state.reserve(if encoding == Encoding::Identity { length.unwrap_or(limit) } else { limit })?;
    let raw = body::read(body, limit, state.settings.body_timeout).await?;
    let plain = encoding.decode(raw, limit)?;
    let (mut message, mut bytes) = parse(media, plain, &state.settings.limits)?;
    if let Some(platform) = &state.names {
        // What is kept has the platform's names, so that it reads the same after a restart.
        if platform.name(&mut message).await.map_err(|error| Refusal::unnamed(&error))? {
            bytes = encode(&message).into();
        }
    }
    let observations =
        message.routes.iter().fold(0_u64, |sum, route| sum.saturating_add(route.observations()));
    let summary = Summary { message, body: bytes, received: state.clock.now() };
    let appended = state.store.append(summary).await?;
    drop(permit);
    if appended == Appended::Stored {
        state.metrics.observations.inc_by(observations);
        state.metrics.bytes.inc_by(length.unwrap_or_default() as u64);
    }
    Ok(appended)
}

/// The message and its protobuf bytes.
fn parse(media: MediaType, body: Bytes, limits: &Limits) -> Result<(WindowSummary, Bytes), Refusal> {
    match media {
        MediaType::Protobuf => Ok((decode(&body, limits)?, body)),
        MediaType::Json => {
            let message = from_json(&body, limits)?;
            let bytes = encode(&message).into();
            Ok((message, bytes))
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Forgotten { .. } => Self::refused("sequence is too old", &error),
            // Whatever else went wrong, the summary is not durable: its sender keeps it and sends it again.
            other => Self::not_durable(&other),
        }
    }
}

#[cfg(test)]
mod tests;
