//! How those do who measure beside the proxies.
use super::{ApiState, time_text::rfc3339};
use crate::signals::status::SourceStatus;
use axum::{Json, extract::State};
use foremesh_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// All sources of measurements beside the proxies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sources {
    /// By name; empty when the settings name none.
    sources: Vec<Source>,
}

/// One source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignalSource)]
pub(super) struct Source {
    /// `prometheus`, `node_exporter/` with the node, or `otlp`.
    name: String,
    /// Reads, or pushes, that worked.
    reads: u64,
    /// Reads, or pushes, that failed.
    failures: u64,
    /// Readings taken into the store.
    gauges: u64,
    /// Series that name no node or workload, and pushed points that cannot be used.
    left_out: u64,
    /// When it was read last with success; none when it never was.
    last_read: Option<String>,
    /// Time of the newest number that it gave; none when it gave none.
    newest: Option<String>,
    /// Age of that number in milliseconds.
    age_ms: Option<i64>,
    /// Why the last read failed, with what to do; none when it worked.
    error: Option<String>,
    /// What the last answer warned of: it may be partial then.
    warnings: Vec<String>,
}

fn source(name: String, status: SourceStatus, now: Timestamp) -> Source {
    let age_ms = status.age_ms(now);
    let SourceStatus { reads, failures, gauges, left_out, last_read, newest, error, warnings } = status;
    let (last_read, newest) = (last_read.map(rfc3339), newest.map(rfc3339));
    Source { name, reads, failures, gauges, left_out, last_read, newest, age_ms, error, warnings }
}

/// How every source of measurements does: what was read, what failed and why, how old its newest number is.
#[utoipa::path(get, path = "/api/v1/signals", tag = "platform", responses((status = 200, body = Sources)))]
pub(super) async fn list(State(state): State<ApiState>) -> Json<Sources> {
    let now = state.clock.now();
    let all = state.signals.all().into_iter();
    Json(Sources { sources: all.map(|(name, status)| source(name, status, now)).collect() })
}
