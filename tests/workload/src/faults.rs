//! Switches that make the service misbehave on purpose, and its counts, on a port of their own.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use tokio::sync::watch;

/// What is wrong with the answers.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize, serde::Serialize)]
pub(crate) struct Faults {
    /// Share of requests that get status 500, 0 to 1.
    #[serde(default)]
    pub(crate) error_share: f64,
    /// Added to every answer, in milliseconds.
    #[serde(default)]
    pub(crate) extra_ms: u64,
    /// Says that it is not ready although it is.
    #[serde(default)]
    pub(crate) unready: bool,
}

impl Faults {
    pub(crate) const NONE: Self = Self { error_share: 0.0, extra_ms: 0, unready: false };
}

/// Requests since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) served: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) in_flight: AtomicU64,
}

/// What the ports of the service share.
#[derive(Debug)]
pub(crate) struct Switches {
    pub(crate) faults: watch::Sender<Faults>,
    pub(crate) counts: Counts,
    /// Started and not told to end.
    pub(crate) ready: AtomicBool,
}

impl Switches {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            faults: watch::Sender::new(Faults::NONE),
            counts: Counts::default(),
            ready: AtomicBool::new(false),
        })
    }

    /// Answers `/ready`.
    pub(crate) fn readiness(&self) -> StatusCode {
        if self.ready.load(Ordering::Acquire) && !self.faults.borrow().unready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

#[derive(Debug, serde::Deserialize)]
struct Crash {
    /// From now, in milliseconds.
    #[serde(default)]
    after_ms: u64,
}

/// The routes of the admin port.
pub(crate) fn router(switches: Arc<Switches>) -> Router {
    Router::new()
        .route("/ready", get(async |State(switches): State<Arc<Switches>>| switches.readiness()))
        .route("/counts", get(counts))
        .route(
            "/faults",
            put(set).get(async |State(switches): State<Arc<Switches>>| Json(*switches.faults.borrow())),
        )
        .route(
            "/crash",
            post(async |Query(crash): Query<Crash>| crash_after(Duration::from_millis(crash.after_ms))),
        )
        .with_state(switches)
}

async fn counts(State(switches): State<Arc<Switches>>) -> Json<serde_json::Value> {
    let value = |counter: &AtomicU64| counter.load(Ordering::Acquire);
    let counts = &switches.counts;
    Json(serde_json::json!({
        "served": value(&counts.served), "failed": value(&counts.failed), "in_flight": value(&counts.in_flight),
    }))
}

async fn set(
    State(switches): State<Arc<Switches>>,
    Query(faults): Query<Faults>,
) -> Result<Json<Faults>, (StatusCode, String)> {
    if !(0.0..=1.0).contains(&faults.error_share) {
        return Err((
            StatusCode::BAD_REQUEST,
            format!("error_share is {}, not 0 to 1\n", faults.error_share),
        ));
    }
    switches.faults.send_replace(faults);
    Ok(Json(faults))
}

/// Ends the process without any farewell.
pub(crate) fn crash_after(delay: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        tracing::error!("crashing as told");
        process::exit(70);
    });
}
