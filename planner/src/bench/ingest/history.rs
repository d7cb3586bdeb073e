//! Start and memory of a planner with a long history.
use super::{
    BenchError, IngestBench,
    process::{Server, own_number},
    server,
    traffic::Traffic,
};
use crate::{
    clock::{Clock, ManualClock},
    observed::{Observed, ObservedSettings},
    store::{SeriesStore, SqliteStore, Summary, metrics::StoreMetrics},
};
use foremesh_core::time::Timestamp;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};
use tokio::time::Instant;

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// A time at a whole hour that the history ends at; the wall clock has no part in it.
const END_MS: i64 = 1_800_000_000_000;

/// What a planner needs to start with a long history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// Hours of steps.
    pub hours: u32,
    /// Services with a history.
    pub services: usize,
    /// Steps with observations in memory, over all services.
    pub steps: usize,
    /// Time to fill the store, in seconds.
    pub fill_seconds: f64,
    /// Size of the file, in MiB.
    pub file_mib: f64,
    /// Time from opening the store until all histories are in memory, in seconds.
    pub start_seconds: f64,
    /// Memory after that, in MiB.
    pub rss_mib: f64,
    /// Highest memory until then, in MiB.
    pub peak_rss_mib: f64,
    /// Time of one refresh after a minute without traffic, in milliseconds.
    pub refresh_ms: f64,
}

/// Fills a store, then measures the start in a process of its own.
pub(super) async fn measure(
    bench: &IngestBench,
    folder: &Path,
    hours: u32,
) -> Result<HistoryReport, BenchError> {
    let started = Instant::now();
    fill(bench, folder, hours).await?;
    let fill_seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(server::file(folder)).map_err(BenchError::io("look at the store"))?.len();
    let child = Server::start(&bench.server, folder, server::Mode::History).await?;
    let report: HistoryReport =
        serde_json::from_str(child.hello()).map_err(|_| BenchError::Server(child.hello().to_owned()))?;
    Ok(HistoryReport { hours, fill_seconds, file_mib: bytes as f64 / f64::from(1 << 20), ..report })
}

/// One summary of each proxy for each minute.
async fn fill(bench: &IngestBench, folder: &Path, hours: u32) -> Result<(), BenchError> {
    let clock = Clock::Manual(ManualClock::new(Timestamp::from_unix_ms(END_MS)));
    let store = SqliteStore::open(&server::file(folder), server::settings(), clock, StoreMetrics::default())?;
    let mut proxies: Vec<Traffic> = (0..bench.proxies).map(|number| Traffic::new(bench, number)).collect();
    let minutes = i64::from(hours) * 60;
    for minute in 0..minutes {
        let now = Timestamp::from_unix_ms(END_MS - (minutes - minute) * MINUTE_MS + MINUTE_MS / 2);
        let summaries = proxies.iter_mut().map(|proxy| {
            let message = proxy.next(now).clone();
            Summary { body: foremesh_summary::encode(&message).into(), message, received: now }
        });
        let appends: Vec<_> = summaries.map(|summary| store.append(summary)).collect();
        try_join_all(appends).await?;
        if minute % 10 == 9 {
            store.flush(now).await?;
        }
    }
    store.flush(Timestamp::from_unix_ms(END_MS)).await?;
    Ok(())
}

/// Starts as the planner does, in the process that is measured.
pub(super) async fn read(folder: &Path) -> Result<HistoryReport, BenchError> {
    let started = Instant::now();
    let end = Timestamp::from_unix_ms(END_MS);
    let clock = Clock::Manual(ManualClock::new(end));
    let store = Arc::new(SqliteStore::open(
        &server::file(folder),
        server::settings(),
        clock,
        StoreMetrics::default(),
    )?);
    let settings = ObservedSettings { keep_ms: 48 * HOUR_MS, ..ObservedSettings::default() };
    let now = end.plus_ms(settings.settle_ms);
    let mut observed = Observed::backfill(store, settings, now).await?;
    let start_seconds = started.elapsed().as_secs_f64();
    let kib = |name| own_number("status", name) as f64 / 1024.0;
    let (rss_mib, peak_rss_mib) = (kib("VmRSS:"), kib("VmHWM:"));
    let refreshed = Instant::now();
    observed.refresh(now.plus_ms(MINUTE_MS)).await?;
    Ok(HistoryReport {
        hours: 0,
        services: observed.services().count(),
        steps: observed.services().map(|s| s.steps.iter().flatten().count()).sum(),
        fill_seconds: 0.0,
        file_mib: 0.0,
        start_seconds,
        rss_mib,
        peak_rss_mib,
        refresh_ms: refreshed.elapsed().as_secs_f64() * 1e3,
    })
}
