//! The one transaction that moves what is open into steps of every level and empties the inbox.
use super::super::{
    Levels, StoreSettings,
    streams::{StreamKey, Streams},
};
use super::{
    long_windows::{self, LongWindows},
    open_steps::{OpenStep, OpenSteps, SeriesTable},
    rows::{clamped, encode, grpc_text, merge_latency, read_counts, read_grpc, user_error},
    stream_rows::{delete_stream, save_stream},
};
use foremesh_core::time::Timestamp;
use foremesh_summary::merge_checked;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// Rows that one flush deletes at most for each table and level, so that a long backlog does not stall appends.
const DELETE_CHUNK: u32 = 4096;
/// A row without its histogram, with its place in the index.
const ROW_BYTES: usize = 128;

/// What a flush leaves to do in memory once it is durable.
pub(super) struct Flushed {
    pub(super) forgotten: Vec<StreamKey>,
    /// Roughly what was added to the log.
    pub(super) written_bytes: usize,
    /// Whether more than one chunk is over its retention.
    pub(super) more_to_delete: bool,
}

/// Everything of the writer that a flush reads.
pub(super) struct Source<'a> {
    pub(super) open: &'a OpenSteps,
    pub(super) long_windows: &'a LongWindows,
    pub(super) table: &'a SeriesTable,
    pub(super) streams: &'a Streams,
    pub(super) settings: &'a StoreSettings,
}

/// Writes everything or nothing.
pub(super) fn flush(
    connection: &mut Connection,
    source: &Source<'_>,
    now: Timestamp,
) -> rusqlite::Result<Flushed> {
    let transaction = connection.transaction()?;
    // First, so that the rows of the steps can use its pages when the disk is full.
    transaction.execute("DELETE FROM inbox", [])?;
    save_series(&transaction, source.table)?;
    let written_bytes = save_steps(&transaction, source, now)?;
    long_windows::save(&transaction, source.long_windows)?;
    for stream in source.streams.changed() {
        save_stream(&transaction, stream)?;
    }
    let oldest = now.plus_ms(-source.settings.stream_retention_ms);
    let forgotten = source.streams.over_retention(oldest, source.settings.max_streams);
    for stream in forgotten.iter().filter_map(|key| source.streams.get(key)) {
        delete_stream(&transaction, stream)?;
    }
    let levels = &source.settings.levels;
    let more_to_delete =
        retain(&transaction, levels, now)? | long_windows::retain(&transaction, levels, now, DELETE_CHUNK)?;
    transaction.commit()?;
    Ok(Flushed { forgotten, written_bytes, more_to_delete })
}

fn save_series(transaction: &Transaction<'_>, table: &SeriesTable) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO series (id, direction, caller, callee, route, node, zone) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (id, key) in table.unsaved() {
        insert.execute(params![
            id,
            key.direction as i32,
            key.caller,
            key.callee,
            key.route,
            key.node,
            key.zone
        ])?;
    }
    Ok(())
}

fn save_steps(transaction: &Transaction<'_>, source: &Source<'_>, now: Timestamp) -> rusqlite::Result<usize> {
    let open = source.open.sorted();
    let encoded: Vec<Vec<u8>> = open.iter().map(|(_, _, step)| encode(&step.latency)).collect();
    let mut written = 0;
    for (number, level) in source.settings.levels.iter() {
        let oldest = now.plus_ms(-level.retention_ms);
        let mut rows = StepRows::new(transaction, number)?;
        for ((id, base_start, step), hdr) in open.iter().zip(&encoded) {
            let start = level.step.floor(*base_start);
            if start >= oldest {
                rows.add(*id, start, step, hdr)?;
                written += ROW_BYTES + hdr.len();
            }
        }
    }
    Ok(written)
}

/// Reads, adds and writes the rows of one level.
struct StepRows<'t> {
    level: u8,
    select: rusqlite::CachedStatement<'t>,
    write: rusqlite::CachedStatement<'t>,
}

impl<'t> StepRows<'t> {
    fn new(transaction: &'t Transaction<'_>, level: u8) -> rusqlite::Result<Self> {
        Ok(Self {
            level,
            select: transaction.prepare_cached(
                "SELECT ok, client_error, server_error, aborted, sum_us, grpc, hdr FROM steps
                 WHERE level = ?1 AND start_ms = ?2 AND series_id = ?3",
            )?,
            write: transaction.prepare_cached(
                "INSERT INTO steps (level, start_ms, series_id, ok, client_error, server_error, aborted, sum_us, count,
                 p50_us, p99_us, grpc, hdr) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT (level, start_ms, series_id) DO UPDATE SET ok = excluded.ok,
                 client_error = excluded.client_error, server_error = excluded.server_error,
                 aborted = excluded.aborted, sum_us = excluded.sum_us, count = excluded.count,
                 p50_us = excluded.p50_us, p99_us = excluded.p99_us, grpc = excluded.grpc, hdr = excluded.hdr",
            )?,
        })
    }

    /// Adds an open step to its row; `hdr` is its encoded histogram.
    fn add(&mut self, id: u32, start: Timestamp, open: &OpenStep, hdr: &[u8]) -> rusqlite::Result<()> {
        let held = self
            .select
            .query_row(params![self.level, start.unix_ms(), id], |row| {
                let mut step = OpenStep {
                    counts: read_counts(row, 0)?,
                    grpc: read_grpc(row, 5)?,
                    ..OpenStep::default()
                };
                merge_latency(row, 6, &mut step.latency)?;
                Ok(step)
            })
            .optional()?;
        let Some(mut step) = held else {
            return self.write(id, start, open, hdr);
        };
        step.counts.add(&open.counts);
        for (status, count) in &open.grpc {
            let sum = step.grpc.entry(*status).or_default();
            *sum = sum.saturating_add(*count);
        }
        if !hdr.is_empty() {
            merge_checked(&mut step.latency, hdr).map_err(|error| user_error(12, error))?;
        }
        let hdr = encode(&step.latency);
        self.write(id, start, &step, &hdr)
    }

    fn write(&mut self, id: u32, start: Timestamp, step: &OpenStep, hdr: &[u8]) -> rusqlite::Result<()> {
        let counts = &step.counts;
        self.write.execute(params![
            self.level,
            start.unix_ms(),
            id,
            clamped(counts.ok),
            clamped(counts.client_error),
            clamped(counts.server_error),
            clamped(counts.aborted),
            clamped(counts.sum_us),
            clamped(step.latency.count()),
            step.latency.quantile(0.5).map(clamped),
            step.latency.quantile(0.99).map(clamped),
            grpc_text(&step.grpc),
            hdr,
        ])?;
        Ok(())
    }
}

/// Deletes what is over its retention, the oldest first, in bounded chunks; tells whether more is left.
fn retain(transaction: &Transaction<'_>, levels: &Levels, now: Timestamp) -> rusqlite::Result<bool> {
    let mut more = false;
    for table in ["steps", "gauges"] {
        let mut delete = transaction.prepare_cached(&format!(
            "DELETE FROM {table} WHERE rowid IN
             (SELECT rowid FROM {table} WHERE level = ?1 AND start_ms < ?2 ORDER BY start_ms LIMIT ?3)"
        ))?;
        for (number, level) in levels.iter() {
            let oldest = now.plus_ms(-level.retention_ms).unix_ms();
            more |= delete.execute(params![number, oldest, DELETE_CHUNK])? == DELETE_CHUNK as usize;
        }
    }
    Ok(more)
}
