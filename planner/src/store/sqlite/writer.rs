//! The thread that owns the file: takes what waits, makes it durable in one commit, then acknowledges.
use super::super::{
    Appended, Changes, Gauge, ProxyStream, StoreError, StoreSettings, Summary,
    health::HealthCell,
    metrics::StoreMetrics,
    streams::{Seen, StreamKey, Streams},
};
use super::{
    flush::{Source, flush},
    gauges,
    long_windows::LongWindows,
    open_steps::{OpenSteps, SeriesTable, step_of},
};
use crate::clock::Clock;
use foremesh_core::{ids::ServiceId, time::Timestamp};
use foremesh_summary::wire::{Proxy, WindowSummary};
use rusqlite::Connection;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// Summaries of one commit at most: more would delay the first for the sake of the last.
const BATCH: usize = 1024;
/// The log is copied into the file when about this much was written to it.
const CHECKPOINT_BYTES: usize = 64 << 20;
/// Changed steps that are named; more than this and the reader is told to read everything.
const MAX_CHANGES: usize = 20_000;
/// Steps covered by long windows that are named, over all services: after an outage of the planner, reading everything
/// once is the cheaper way.
const MAX_COVERED: i64 = 20_000;
/// With nothing to write, retention is looked after this often.
const RETENTION_EVERY_MS: i64 = 60_000;

/// Bytes that wait, given back when the summary leaves the queue, however it leaves.
#[derive(Debug)]
pub(super) struct Queued {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
    metrics: StoreMetrics,
}

impl Queued {
    /// Takes `bytes` of the queue, unless that would be over `limit`.
    pub(super) fn take(
        bytes: usize,
        limit: usize,
        waiting: &Arc<AtomicUsize>,
        metrics: &StoreMetrics,
    ) -> Result<Self, StoreError> {
        let before = waiting.fetch_add(bytes, Ordering::Relaxed);
        metrics.queue_bytes.inc_by(gauge(bytes));
        let taken = Self { bytes, waiting: Arc::clone(waiting), metrics: metrics.clone() };
        // An empty queue takes anything, so that a large summary is never refused for ever.
        if before > 0 && before.saturating_add(bytes) > limit {
            return Err(StoreError::Full { waiting: before, limit });
        }
        Ok(taken)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
        self.metrics.queue_bytes.dec_by(gauge(self.bytes));
    }
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A summary that waits for its commit.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) summary: Summary,
    pub(super) queued: Queued,
    pub(super) reply: Reply<Appended>,
}

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Command {
    Append(Box<Waiting>),
    Gauges(Vec<Gauge>, Reply<()>),
    Flush(Timestamp, Reply<()>),
    Changes(Reply<Changes>),
    Streams(Reply<Vec<ProxyStream>>),
}

/// Owner of the writing connection and of everything that mirrors the file in memory.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) settings: StoreSettings,
    pub(super) clock: Clock,
    pub(super) metrics: StoreMetrics,
    pub(super) health: HealthCell,
    pub(super) streams: Streams,
    pub(super) table: SeriesTable,
    pub(super) open: OpenSteps,
    pub(super) long_windows: LongWindows,
    pub(super) changes: Changes,
    pub(super) inbox_bytes: usize,
    pub(super) log_bytes: usize,
    /// When the oldest summary of the inbox is to be flushed.
    pub(super) flush_at: Option<Instant>,
    /// A flush failed, and is not tried by size before this.
    pub(super) retry_at: Option<Instant>,
    pub(super) retained_at: Option<Timestamp>,
}

impl Writer {
    /// Serves until every sender is gone.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let command = match self.flush_at {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => commands.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match command {
                Ok(Command::Append(first)) => {
                    if let Some(next) = self.append_waiting(*first, commands) {
                        self.answer(next);
                    }
                }
                Ok(other) => self.answer(other),
                Err(RecvTimeoutError::Timeout) => self.flush_or_wait(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let may_flush = self.retry_at.is_none_or(|at| Instant::now() >= at);
            if self.inbox_bytes >= self.settings.flush_bytes && may_flush {
                self.flush_or_wait();
            }
        }
    }

    /// Commits everything that waits; gives the first command that is something else.
    fn append_waiting(&mut self, first: Waiting, commands: &Receiver<Command>) -> Option<Command> {
        let mut batch = vec![first];
        let mut next = None;
        while batch.len() < BATCH {
            match commands.try_recv() {
                Ok(Command::Append(more)) => batch.push(*more),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        self.commit(batch);
        next
    }

    fn answer(&mut self, command: Command) {
        // A caller that went away does not want its answer.
        match command {
            Command::Append(waiting) => self.commit(vec![*waiting]),
            Command::Gauges(gauges, reply) => drop(reply.send(self.write_gauges(&gauges))),
            Command::Flush(now, reply) => drop(reply.send(self.flush(now))),
            Command::Changes(reply) => drop(reply.send(Ok(std::mem::take(&mut self.changes)))),
            Command::Streams(reply) => drop(reply.send(Ok(self.streams.list()))),
        }
    }

    /// Makes a batch durable and acknowledges it, or acknowledges nothing of it but what was durable before.
    fn commit(&mut self, batch: Vec<Waiting>) {
        let mut fresh: Vec<(StreamKey, Waiting)> = Vec::with_capacity(batch.len());
        let mut again: Vec<(StreamKey, Waiting)> = Vec::new();
        let mut in_batch: HashSet<(StreamKey, u64)> = HashSet::with_capacity(batch.len());
        for waiting in batch {
            let message = &waiting.summary.message;
            let key = key_of(message);
            match self.streams.seen(&key, message.sequence) {
                Seen::Forgotten(floor) => {
                    let refused = StoreError::Forgotten { sequence: message.sequence, floor };
                    drop(waiting.reply.send(Err(refused)));
                }
                Seen::Duplicate => {
                    self.streams.duplicate(key, waiting.summary.received);
                    drop(waiting.reply.send(Ok(Appended::Duplicate)));
                }
                Seen::New if !in_batch.insert((key.clone(), message.sequence)) => {
                    again.push((key, waiting));
                }
                Seen::New => fresh.push((key, waiting)),
            }
        }
        if fresh.is_empty() {
            return;
        }
        match self.write_inbox(&fresh) {
            Ok(()) => self.acknowledge(fresh, again),
            Err(reason) => {
                for (_, waiting) in fresh.into_iter().chain(again) {
                    drop(waiting.reply.send(Err(StoreError::NotDurable { reason: reason.clone() })));
                }
            }
        }
    }

    fn write_inbox(&mut self, fresh: &[(StreamKey, Waiting)]) -> Result<(), String> {
        let started = Instant::now();
        let bytes: usize = fresh.iter().map(|(_, waiting)| waiting.summary.body.len()).sum();
        let written = insert_inbox(&mut self.connection, fresh);
        self.committed("make summaries durable", &written, started);
        written.map_err(|error| error.to_string())?;
        self.inbox_bytes += bytes;
        self.log_bytes += bytes;
        self.metrics.durable_bytes.inc_by(bytes as u64);
        self.metrics.inbox_bytes.set(gauge(self.inbox_bytes));
        if self.flush_at.is_none() {
            self.flush_at = Some(started + Duration::from_millis(self.settings.flush_after_ms));
        }
        Ok(())
    }

    fn acknowledge(&mut self, fresh: Vec<(StreamKey, Waiting)>, again: Vec<(StreamKey, Waiting)>) {
        // Acknowledge before merging: what is durable can be merged while the senders go on.
        let mut merge = Vec::with_capacity(fresh.len());
        for (key, waiting) in fresh {
            let Waiting { summary, queued, reply } = waiting;
            drop(reply.send(Ok(Appended::Stored)));
            merge.push((key, summary, queued));
        }
        for (key, summary, queued) in merge {
            self.apply(key, &summary.message, summary.received);
            drop(queued);
        }
        for (key, waiting) in again {
            self.streams.duplicate(key, waiting.summary.received);
            drop(waiting.reply.send(Ok(Appended::Duplicate)));
        }
        self.show();
    }

    /// Counts a summary that is durable.
    pub(super) fn apply(&mut self, key: StreamKey, message: &WindowSummary, received: Timestamp) {
        let proxy = proxy_of(message);
        let step = self.settings.levels.base().step;
        let (start, ahead) = step_of(message, received, step);
        self.open.add(&mut self.table, proxy, message, start);
        self.long_windows.note(message, received, start, step);
        self.streams.receive(key, message, proxy, received, ahead);
    }

    fn show(&self) {
        self.metrics.series.set(gauge(self.table.len()));
        self.metrics.streams.set(gauge(self.streams.len()));
        self.metrics.lost_observations.set(i64::try_from(self.streams.lost()).unwrap_or(i64::MAX));
    }

    /// Notes how a commit went, and says so once when that changed.
    fn committed<T>(&self, action: &'static str, result: &rusqlite::Result<T>, started: Instant) {
        let failure = result.as_ref().err().map(ToString::to_string);
        match &failure {
            None => {
                self.metrics.commits.inc();
                self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
            }
            Some(_) => {
                self.metrics.failed_commits.inc();
            }
        }
        let message = failure.clone();
        if self.health.set(failure) {
            match message {
                None => tracing::info!("store commits again"),
                Some(error) => tracing::error!(action, error, "store cannot commit; nothing is acknowledged"),
            }
        }
    }

    fn write_gauges(&mut self, gauges: &[Gauge]) -> Result<(), StoreError> {
        let started = Instant::now();
        let written = gauges::append(&mut self.connection, &self.settings.levels, gauges);
        self.committed("write gauges", &written, started);
        written.map_err(|source| StoreError::Write { action: "write gauges", source })?;
        let step = self.settings.levels.base().step;
        self.changes.gauge_steps.extend(gauges.iter().map(|gauge| step.floor(gauge.at)));
        self.bound_changes();
        Ok(())
    }

    /// Flushes by the timer or by size; a failure was logged, and is tried again after the usual time.
    fn flush_or_wait(&mut self) {
        let now = self.clock.now();
        self.retry_at = None;
        if self.flush(now).is_err() {
            self.retry_at = Some(Instant::now() + Duration::from_millis(self.settings.flush_after_ms));
            self.flush_at = self.retry_at;
        }
    }

    fn flush(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let nothing = self.open.len() == 0 && !self.streams.any_changed();
        let retained = self.retained_at.is_some_and(|at| now.ms_since(at).abs() < RETENTION_EVERY_MS);
        if nothing && retained {
            self.flush_at = None;
            return Ok(());
        }
        let started = Instant::now();
        let source = Source {
            open: &self.open,
            long_windows: &self.long_windows,
            table: &self.table,
            streams: &self.streams,
            settings: &self.settings,
        };
        let result = flush(&mut self.connection, &source, now);
        self.committed("flush", &result, started);
        let flushed =
            result.map_err(|source| StoreError::Write { action: "flush summaries into steps", source })?;
        self.metrics.flush_seconds.observe(started.elapsed().as_secs_f64());
        self.log_bytes += flushed.written_bytes;
        self.note_changes();
        self.open.clear();
        self.long_windows.clear();
        self.table.saved();
        self.streams.saved();
        self.streams.forget(&flushed.forgotten);
        self.inbox_bytes = 0;
        self.flush_at = None;
        self.retained_at = (!flushed.more_to_delete).then_some(now);
        self.metrics.inbox_bytes.set(0);
        self.show();
        if self.log_bytes >= CHECKPOINT_BYTES {
            self.checkpoint();
        }
        Ok(())
    }

    fn note_changes(&mut self) {
        for (id, start, _) in self.open.sorted() {
            if let Some(key) = self.table.key(id) {
                self.changes.steps.entry(start).or_default().insert(ServiceId::new(&key.callee));
            }
        }
        let step = self.settings.levels.base().step;
        let mut named = 0;
        for (callee, from, to) in self.long_windows.iter() {
            named += step.count(from, to);
            if named > MAX_COVERED {
                self.changes.everything = true;
                break;
            }
            for number in 0..step.count(from, to) {
                let start = from.plus_ms(step.ms().saturating_mul(number));
                self.changes.steps.entry(start).or_default().insert(ServiceId::new(callee));
            }
        }
        self.bound_changes();
    }

    fn bound_changes(&mut self) {
        if self.changes.everything || self.changes.steps.len() + self.changes.gauge_steps.len() > MAX_CHANGES
        {
            self.changes = Changes { everything: true, ..Changes::default() };
        }
    }

    /// Copies the log into the file, so that the log starts again; readers and appends are not hindered.
    fn checkpoint(&mut self) {
        match self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            Ok(()) => {
                self.metrics.checkpoints.inc();
                self.log_bytes = 0;
            }
            // The log only grows; the next flush tries again.
            Err(error) => tracing::warn!(%error, "log of the store cannot be copied into its file"),
        }
    }
}

/// A size as a gauge takes it.
fn gauge(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The proxy of a checked summary.
fn proxy_of(message: &WindowSummary) -> &Proxy {
    static NOBODY: std::sync::LazyLock<Proxy> = std::sync::LazyLock::new(Proxy::default);
    // A summary without a proxy is refused before it gets here.
    message.proxy.as_ref().unwrap_or(&NOBODY)
}

/// Key of the stream of a checked summary.
pub(super) fn key_of(message: &WindowSummary) -> StreamKey {
    StreamKey::new(proxy_of(message), message.epoch)
}

fn insert_inbox(connection: &mut Connection, fresh: &[(StreamKey, Waiting)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert =
            transaction.prepare_cached("INSERT INTO inbox (received_ms, body) VALUES (?1, ?2)")?;
        for (_, waiting) in fresh {
            insert.execute((waiting.summary.received.unix_ms(), waiting.summary.body.as_ref()))?;
        }
    }
    transaction.commit()
}
