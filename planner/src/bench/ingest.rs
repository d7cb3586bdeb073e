//! How many summaries the planner makes durable for each second of CPU.
//!
//! The server is a process of its own, so that its CPU time is measured apart from that of the senders. The senders
//! are proxies with one connection each that send the next summary when the last one is acknowledged, as the filter
//! does. At the end the store is opened, and what it holds is compared with what was acknowledged.
mod history;
mod load;
mod process;
pub mod server;
mod traffic;

pub use history::HistoryReport;
pub(super) use load::{connect, push};
pub(super) use process::own_number;
pub(super) use traffic::window;

use crate::{
    clock::Clock,
    store::{SeriesStore, SqliteStore, StoreError, metrics::StoreMetrics},
};
use foremesh_summary::{Accumulator, merge_v2};
use process::Server;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// Time before the measurement, in which connections, caches and the file warm up.
const WARM_UP: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Clone, Debug)]
pub struct IngestBench {
    /// Proxies that send, each with its own connection and workload.
    pub proxies: usize,
    /// Routes of each summary.
    pub routes: usize,
    /// Services that are called, over all routes of all proxies.
    pub services: usize,
    /// Nodes that the proxies run on.
    pub nodes: usize,
    /// Length of the measurement.
    pub seconds: f64,
    /// Seed of the latencies.
    pub seed: u64,
    /// Times to measure, each with a new store.
    pub runs: usize,
    /// Also measures start and memory with this many hours of one-minute steps of `proxies` × `routes` series.
    pub history_hours: Option<u32>,
    /// Folder for the stores; the disk under it is the one that is measured. A temporary one when not given.
    pub folder: Option<PathBuf>,
    /// Program and arguments that start [`server::run`], to which the folder and the mode are appended.
    pub server: Vec<OsString>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IngestReport {
    /// Proxies that sent.
    pub proxies: usize,
    /// Routes of each summary.
    pub routes: usize,
    /// Nodes that the proxies run on.
    pub nodes: usize,
    /// Mean size of a summary, in bytes.
    pub summary_bytes: f64,
    /// Middle run by `per_cpu_second`.
    pub median: IngestRun,
    /// Every run, in order.
    pub runs: Vec<IngestRun>,
    /// Start and memory with a long history, where asked for.
    pub history: Option<HistoryReport>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IngestRun {
    /// Durable summaries for each second of the server's CPU time, that is on one core.
    pub per_cpu_second: f64,
    /// Durable summaries for each second of the wall clock, with the senders on the same machine.
    pub per_wall_second: f64,
    /// Summaries acknowledged within the measurement.
    pub summaries: u64,
    /// CPU time of the server within the measurement, in seconds.
    pub server_cpu_seconds: f64,
    /// Median time until the acknowledgement, in milliseconds.
    pub ack_p50_ms: f64,
    /// 99th percentile of it.
    pub ack_p99_ms: f64,
    /// Highest memory of the server, in MiB.
    pub peak_rss_mib: f64,
    /// Durable commits of the whole run, warm-up and end included.
    pub commits: u64,
    /// Calls of fsync by `SQLite`: one for each commit, two for each checkpoint.
    pub fsyncs: u64,
    /// Bytes of bodies made durable in the whole run.
    pub durable_bytes: u64,
    /// Bytes that the server wrote to the disk in the whole run, from `/proc/PID/io`.
    pub written_bytes: u64,
    /// Observations acknowledged in the whole run.
    pub observations_sent: u64,
    /// Observations in the store after it: the run fails when they differ.
    pub observations_stored: u64,
}

/// Why a benchmark gave no number.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The store failed.
    #[error("the store of the benchmark failed")]
    Store(#[from] StoreError),
    /// A file or a process failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server said something else than expected.
    #[error("the server of the benchmark said `{0}`; see its messages on stderr")]
    Server(String),
    /// A sender got another answer than 200.
    #[error("a summary was answered with status {0}, not 200; lower --proxies, or see the server's messages")]
    Refused(u16),
    /// A connection failed.
    #[error("a connection to the server failed")]
    Http(#[from] hyper::Error),
    /// What was acknowledged is not what is stored.
    #[error(
        "{sent} observations were acknowledged, but {stored} are stored in level {level}; this is a defect"
    )]
    Inexact {
        /// Observations acknowledged.
        sent: u64,
        /// Observations stored.
        stored: u64,
        /// Level of the store.
        level: u8,
    },
    /// Nothing to measure.
    #[error("{name} must be at least 1, but 0 was given")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}

impl BenchError {
    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// When the server cannot be started, a summary is refused, or the store does not hold exactly what was acknowledged.
pub async fn run(bench: &IngestBench) -> Result<IngestReport, BenchError> {
    for (name, value) in [
        ("--proxies", bench.proxies),
        ("--routes", bench.routes),
        ("--services", bench.services),
        ("--nodes", bench.nodes),
        ("--runs", bench.runs),
    ] {
        if value == 0 {
            return Err(BenchError::Zero { name });
        }
    }
    let mut runs = Vec::new();
    for number in 0..bench.runs {
        let folder = folder(bench)?;
        tracing::info!(run = number + 1, of = bench.runs, "measuring ingest");
        runs.push(measure(bench, folder.path()).await?);
    }
    let mut ordered = runs.clone();
    ordered.sort_by(|a, b| a.per_cpu_second.total_cmp(&b.per_cpu_second));
    let median = ordered.into_iter().nth(bench.runs / 2).ok_or(BenchError::Zero { name: "--runs" })?;
    let history = match bench.history_hours {
        Some(hours) => Some(history::measure(bench, folder(bench)?.path(), hours).await?),
        None => None,
    };
    let summary_bytes = traffic::mean_bytes(bench);
    let IngestBench { proxies, routes, nodes, .. } = *bench;
    Ok(IngestReport { proxies, routes, nodes, summary_bytes, median, runs, history })
}

fn folder(bench: &IngestBench) -> Result<tempfile::TempDir, BenchError> {
    let made = match &bench.folder {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    made.map_err(BenchError::io("make a folder for the benchmark"))
}

async fn measure(bench: &IngestBench, folder: &Path) -> Result<IngestRun, BenchError> {
    let server = Server::start(&bench.server, folder, server::Mode::Ingest).await?;
    let senders = load::Senders::start(bench, server.address()?);
    tokio::time::sleep(WARM_UP).await;
    senders.begin();
    let (cpu, started) = (server.cpu_seconds()?, Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(bench.seconds)).await;
    let (cpu, wall) = (server.cpu_seconds()? - cpu, started.elapsed().as_secs_f64());
    let counted = senders.end();
    let sent = senders.finish().await?;
    let said = server.stop().await?;
    let stored = stored_exactly(folder, sent).await?;
    let [p50, p99] = counted.latency_us.quantiles([0.5, 0.99]).unwrap_or_default();
    Ok(IngestRun {
        per_cpu_second: counted.summaries as f64 / cpu.max(f64::MIN_POSITIVE),
        per_wall_second: counted.summaries as f64 / wall,
        summaries: counted.summaries,
        server_cpu_seconds: cpu,
        ack_p50_ms: p50 as f64 / 1e3,
        ack_p99_ms: p99 as f64 / 1e3,
        peak_rss_mib: said.peak_rss_kib as f64 / 1024.0,
        commits: said.commits,
        fsyncs: said.commits + 2 * said.checkpoints,
        durable_bytes: said.durable_bytes,
        written_bytes: said.written_bytes,
        observations_sent: sent,
        observations_stored: stored,
    })
}

/// Opens what the server left and counts every level.
async fn stored_exactly(folder: &Path, sent: u64) -> Result<u64, BenchError> {
    let file = server::file(folder);
    let store = SqliteStore::open(&file, server::settings(), Clock::System, StoreMetrics::default())?;
    store.flush(Clock::System.now()).await?;
    let levels: Vec<u8> = store.levels().iter().map(|(level, _)| level).collect();
    drop(store);
    let failed = |source| StoreError::Read { what: "the stored observations", source };
    let connection = Connection::open(&file).map_err(failed)?;
    for level in levels {
        let (counted, in_histograms) = totals(&connection, level).map_err(failed)?;
        for stored in [counted, in_histograms] {
            if stored != sent {
                return Err(BenchError::Inexact { sent, stored, level });
            }
        }
    }
    Ok(sent)
}

/// Observations of a level by its counts, and by its counts with the histograms in place of what finished.
fn totals(connection: &Connection, level: u8) -> rusqlite::Result<(u64, u64)> {
    let mut select = connection.prepare(
        "SELECT ok + client_error + server_error + aborted, aborted, hdr FROM steps WHERE level = ?1",
    )?;
    let mut rows = select.query([level])?;
    let (mut counted, mut in_histograms) = (0, 0);
    while let Some(row) = rows.next()? {
        counted += row.get::<_, u32>(0).map(u64::from)?;
        let mut latency = Accumulator::default();
        // One that cannot be read adds nothing, and the sums differ.
        drop(merge_v2(&mut latency, row.get_ref(2)?.as_blob().unwrap_or_default()));
        in_histograms += latency.count() + row.get::<_, u32>(1).map(u64::from)?;
    }
    Ok((counted, in_histograms))
}
