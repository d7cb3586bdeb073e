//! The embedded store: one `SQLite` file in WAL mode, one thread that writes, one connection that reads.
//!
//! Why an inbox: a commit costs one fsync however much is in it, so accepted bodies are committed in groups as they
//! are, and the dear part, merging histograms into rows of three levels, is done once for many of them. A flush moves
//! what was merged and empties the inbox in one transaction; a restart merges again what is still in the inbox. So an
//! observation is at every moment either in the inbox or in steps.
mod flush;
mod gauges;
mod long_windows;
mod open_steps;
mod read;
mod rows;
mod schema;
mod stream_rows;
mod tails;
mod views;
mod writer;

pub use schema::SCHEMA_VERSION;

use super::{
    Appended, Changes, Gauge, GaugeMarks, GaugeMetric, GaugeSource, GaugeStep, GaugeSubject, Health, Levels,
    OTHER, ProxyStream, RangeQuery, RouteRow, SeriesKey, SeriesStep, SeriesStore, ServiceQuery, ServiceRow,
    StoreError, StoreSettings, Summary, health::HealthCell, metrics::StoreMetrics, streams::Streams,
};
use crate::{
    clock::Clock,
    lock::{LockError, lock},
};
use async_trait::async_trait;
use foremesh_core::{ids::ServiceId, time::Timestamp};
use foremesh_summary::wire::WindowSummary;
use long_windows::LongWindows;
use open_steps::{OpenSteps, SeriesTable};
use prost::Message;
use rusqlite::Connection;
use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize, mpsc},
    thread::JoinHandle,
};
use tokio::{sync::oneshot, time::Instant};
use writer::{Command, Queued, Reply, Waiting, Writer};

/// Bodies of 50 routes take 5 to 20 KB; with larger pages fewer of them are chained for one body.
const PAGE_BYTES: u32 = 8192;

/// Steps that one range read gives at most: with their histograms they take up to 20 KB each in memory.
const MAX_RANGE: usize = 20_000;

/// The embedded store. Dropping it ends its thread; what was appended and not flushed is merged on the next start.
#[derive(Debug)]
pub struct SqliteStore {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    reader: Arc<Mutex<Connection>>,
    settings: StoreSettings,
    waiting: Arc<AtomicUsize>,
    health: HealthCell,
    metrics: StoreMetrics,
}

impl SqliteStore {
    /// Opens the file, or makes it; migrates it, and merges what its inbox holds.
    ///
    /// # Errors
    /// When the file cannot be opened, is in use, is of a newer schema, or has steps of another length.
    pub fn open(
        path: &Path,
        settings: StoreSettings,
        clock: Clock,
        metrics: StoreMetrics,
    ) -> Result<Self, StoreError> {
        let lock = lock_beside(path)?;
        let connection = connect(path, &settings, false)?;
        let health = HealthCell::default();
        let mut writer = Writer {
            table: SeriesTable::new(settings.max_series),
            connection,
            clock,
            metrics: metrics.clone(),
            health: health.clone(),
            streams: Streams::default(),
            open: OpenSteps::default(),
            long_windows: LongWindows::default(),
            changes: Changes::default(),
            inbox_bytes: 0,
            log_bytes: 0,
            flush_at: None,
            retry_at: None,
            retained_at: None,
            settings: settings.clone(),
        };
        load(&mut writer)?;
        let reader = connect(path, &settings, true)?;
        let (commands, received) = mpsc::channel();
        let run = move || {
            writer.run(&received);
            // The file is closed before another process may open it.
            drop(lock);
        };
        let thread = std::thread::Builder::new()
            .name("foremesh-store".to_owned())
            .spawn(run)
            .map_err(StoreError::Thread)?;
        Ok(Self {
            commands: Some(commands),
            thread: Some(thread),
            reader: Arc::new(Mutex::new(reader)),
            settings,
            waiting: Arc::default(),
            health,
            metrics,
        })
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or(StoreError::Closed)?;
        commands.send(command(reply)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = Arc::clone(&self.reader);
        tokio::task::spawn_blocking(move || query(&reader.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .map_err(|_| StoreError::Closed)?
            .map_err(|source| StoreError::Read { what, source })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // It only fails when the thread panicked, which the panic message has told already.
            drop(thread.join());
        }
    }
}

/// Locks a file beside the store for this process.
fn lock_beside(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    lock(&lock_path).map_err(|error| match error {
        LockError::Held => StoreError::InUse { path: path.to_owned() },
        LockError::Failed(source) => StoreError::Lock { path: lock_path, source },
    })
}

fn connect(path: &Path, settings: &StoreSettings, read_only: bool) -> Result<Connection, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    let pragmas = format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA cache_size = -{}; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;
         PRAGMA wal_autocheckpoint = 32768; PRAGMA journal_size_limit = 134217728;",
        settings.cache_kib
    );
    connection.execute_batch(&pragmas).map_err(failed)?;
    if read_only {
        connection.execute_batch("PRAGMA query_only = ON").map_err(failed)?;
    } else {
        if let Some(bytes) = settings.max_file_bytes {
            let pages = (bytes / u64::from(PAGE_BYTES)).max(1);
            connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).map_err(failed)?;
        }
        schema::migrate(&mut connection, path)?;
        schema::check_levels(&connection, path, &settings.levels)?;
    }
    Ok(connection)
}

/// Brings the writer's memory to where the file is.
fn load(writer: &mut Writer) -> Result<(), StoreError> {
    let read = |what| move |source| StoreError::Read { what, source };
    prune_series(&writer.connection, writer.settings.max_series).map_err(read("series"))?;
    for (id, key) in read::all_series(&writer.connection).map_err(read("series"))? {
        writer.table.restore(id, key);
    }
    for stream in stream_rows::load_streams(&writer.connection)? {
        writer.streams.restore(stream);
    }
    // Oldest first, one at a time: the inbox may hold many megabytes.
    let mut last = 0_i64;
    while let Some((id, received, body)) = next_inbox(&writer.connection, last).map_err(read("the inbox"))? {
        let message = WindowSummary::decode(body.as_slice()).map_err(|error| StoreError::Corrupt {
            what: "a summary in the inbox",
            reason: error.to_string(),
        })?;
        writer.apply(writer::key_of(&message), &message, received);
        writer.inbox_bytes += body.len();
        last = id;
    }
    if writer.inbox_bytes > 0 {
        writer.flush_at = Some(Instant::now());
        tracing::info!(bytes = writer.inbox_bytes, "merged the summaries that waited in the store");
    }
    Ok(())
}

/// Forgets series without a step, when more than half of the series that may be told apart are in use. Every
/// observation is in a step of the coarsest level, which is kept the longest.
fn prune_series(connection: &Connection, max_series: usize) -> rusqlite::Result<()> {
    let count: i64 = connection.query_row("SELECT count(*) FROM series", [], |row| row.get(0))?;
    if usize::try_from(count).unwrap_or(usize::MAX) > max_series / 2 {
        let pruned = connection.execute(
            "DELETE FROM series WHERE id NOT IN (SELECT series_id FROM steps WHERE level = 2)",
            [],
        )?;
        tracing::info!(pruned, "forgot series without steps");
    }
    Ok(())
}

fn next_inbox(connection: &Connection, last: i64) -> rusqlite::Result<Option<(i64, Timestamp, Vec<u8>)>> {
    use rusqlite::OptionalExtension;
    connection
        .prepare_cached("SELECT id, received_ms, body FROM inbox WHERE id > ?1 ORDER BY id LIMIT 1")?
        .query_row([last], |row| Ok((row.get(0)?, Timestamp::from_unix_ms(row.get(1)?), row.get(2)?)))
        .optional()
}

#[async_trait]
impl SeriesStore for SqliteStore {
    async fn append(&self, summary: Summary) -> Result<Appended, StoreError> {
        let queued =
            Queued::take(summary.body.len(), self.settings.queue_bytes, &self.waiting, &self.metrics)?;
        self.ask(|reply| Command::Append(Box::new(Waiting { summary, queued, reply }))).await
    }

    async fn append_gauges(&self, gauges: Vec<Gauge>) -> Result<(), StoreError> {
        self.ask(|reply| Command::Gauges(gauges, reply)).await
    }

    async fn flush(&self, now: Timestamp) -> Result<(), StoreError> {
        self.ask(|reply| Command::Flush(now, reply)).await
    }

    async fn changes(&self) -> Result<Changes, StoreError> {
        self.ask(Command::Changes).await
    }

    async fn range(&self, query: RangeQuery) -> Result<Vec<SeriesStep>, StoreError> {
        let steps = self.read("steps", move |connection| read::range(connection, &query, MAX_RANGE)).await?;
        steps.ok_or(StoreError::TooWide { limit: MAX_RANGE })
    }

    async fn service_range(&self, query: ServiceQuery) -> Result<Vec<ServiceRow>, StoreError> {
        let levels = self.settings.levels;
        self.read("steps of services", move |connection| views::service_range(connection, &query, &levels))
            .await
    }

    async fn route_range(&self, query: ServiceQuery) -> Result<Vec<RouteRow>, StoreError> {
        let levels = self.settings.levels;
        self.read("steps of routes", move |connection| views::route_range(connection, &query, &levels)).await
    }

    async fn active_since(&self, from: Timestamp) -> Result<Vec<SeriesKey>, StoreError> {
        self.read("active series", move |connection| read::active_since(connection, from)).await
    }

    async fn gauge_range(
        &self,
        level: u8,
        from: Timestamp,
        to: Timestamp,
        metric: Option<GaugeMetric>,
        subject: Option<GaugeSubject>,
    ) -> Result<Vec<GaugeStep>, StoreError> {
        let query = move |connection: &Connection| {
            gauges::range(connection, level, from, to, metric, subject.as_ref())
        };
        self.read("gauges", query).await
    }

    async fn gauge_marks(&self, source: GaugeSource) -> Result<GaugeMarks, StoreError> {
        self.read("newest gauges", move |connection| gauges::marks(connection, source)).await
    }

    async fn series(&self) -> Result<Vec<SeriesKey>, StoreError> {
        let all = self.read("series", read::all_series).await?;
        Ok(all.into_iter().map(|(_, key)| key).collect())
    }

    async fn services(&self) -> Result<Vec<ServiceId>, StoreError> {
        let all = self.series().await?;
        let callees: BTreeSet<ServiceId> =
            all.into_iter().filter(|key| key.callee != OTHER).map(|key| ServiceId::new(key.callee)).collect();
        Ok(callees.into_iter().collect())
    }

    async fn streams(&self) -> Result<Vec<ProxyStream>, StoreError> {
        self.ask(Command::Streams).await
    }

    fn levels(&self) -> &Levels {
        &self.settings.levels
    }

    fn health(&self) -> Health {
        self.health.get()
    }
}
