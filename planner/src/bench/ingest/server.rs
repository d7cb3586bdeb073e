//! The process that is measured.
use super::{BenchError, history, process::own_number};
use crate::{
    clock::Clock,
    ingest::{self, IngestSettings, IngestState, metrics::IngestMetrics},
    store::{SeriesStore, SqliteStore, StoreSettings, metrics::StoreMetrics},
};
use foremesh_core::time::Step;
use serde::{Deserialize, Serialize};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::TcpListener;

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Ingest and store, until its standard input ends.
    Ingest,
    /// Reads the histories of the store, as the planner does when it starts.
    History,
}

impl Mode {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::History => "history",
        }
    }
}

/// What an ingest server says when it ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) commits: u64,
    pub(super) checkpoints: u64,
    pub(super) durable_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) peak_rss_kib: u64,
}

/// The store's file in a folder.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("store.db")
}

/// The planner's own settings with steps of a minute.
pub(super) fn settings() -> StoreSettings {
    StoreSettings::from_base(Step::MINUTE)
}

/// Runs the server: first line on stdout is its address (or the history report), last line what it counted.
///
/// # Errors
/// When the store or the listener fails.
pub async fn run(folder: &Path, mode: Mode) -> Result<(), BenchError> {
    match mode {
        Mode::Ingest => serve(folder).await,
        Mode::History => {
            let report = history::read(folder).await?;
            say(&serde_json::to_string(&report).unwrap_or_default())
        }
    }
}

fn say(line: &str) -> Result<(), BenchError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(BenchError::io("answer the benchmark"))
}

async fn serve(folder: &Path) -> Result<(), BenchError> {
    let metrics = StoreMetrics::default();
    let store = Arc::new(SqliteStore::open(&file(folder), settings(), Clock::System, metrics.clone())?);
    let port: Arc<dyn SeriesStore> = store.clone();
    let state = IngestState::new(port, Clock::System, IngestMetrics::default(), IngestSettings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::io("listen"))?;
    say(&listener.local_addr().map_err(BenchError::io("listen"))?.to_string())?;
    let input_ended = async {
        // The end of the input is the signal, what comes before it is nothing.
        drop(
            tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await,
        );
    };
    ingest::serve(listener, ingest::router(state), input_ended).await.map_err(BenchError::io("serve"))?;
    store.flush(Clock::System.now()).await?;
    let ended = Ended {
        commits: metrics.commits.get(),
        checkpoints: metrics.checkpoints.get(),
        durable_bytes: metrics.durable_bytes.get(),
        written_bytes: own_number("io", "write_bytes:"),
        peak_rss_kib: own_number("status", "VmHWM:"),
    };
    say(&serde_json::to_string(&ended).unwrap_or_default())
}
