//! How values stand in rows.
use super::super::{Counts, Histogram};
use foremesh_summary::merge_checked;
use rusqlite::{Row, types::Type};
use std::{collections::BTreeMap, error::Error};

/// A count as `SQLite` keeps it: 63 bits. Larger ones do not occur, and would be cut to the largest.
pub(super) fn clamped(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A value in a column that is not what was written there.
pub(super) fn user_error(column: usize, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}

/// Reads the five counts from column `first` on, in the order of [`Counts`].
pub(super) fn read_counts(row: &Row<'_>, first: usize) -> rusqlite::Result<Counts> {
    let count = |at: usize| row.get::<_, i64>(first + at).map(|value| value.max(0) as u64);
    Ok(Counts {
        ok: count(0)?,
        client_error: count(1)?,
        server_error: count(2)?,
        aborted: count(3)?,
        sum_us: count(4)?,
    })
}

pub(super) fn read_grpc(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeMap<u32, u64>> {
    match row.get_ref(column)?.as_str_or_null() {
        Ok(Some(text)) => serde_json::from_str(text).map_err(|error| user_error(column, error)),
        Ok(None) => Ok(BTreeMap::new()),
        Err(error) => Err(user_error(column, error)),
    }
}

pub(super) fn grpc_text(counts: &BTreeMap<u32, u64>) -> Option<String> {
    if counts.is_empty() {
        return None;
    }
    // Numbers as keys and values cannot fail to be written.
    serde_json::to_string(counts).ok()
}

/// Adds an encoded histogram of a row.
pub(super) fn merge_latency(row: &Row<'_>, column: usize, into: &mut Histogram) -> rusqlite::Result<()> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|error| user_error(column, error))?;
    if bytes.is_empty() {
        return Ok(());
    }
    merge_checked(into, bytes).map(|_| ()).map_err(|error| user_error(column, error))
}

/// A histogram as it stands in a row: nothing when it is empty.
pub(super) fn encode(latency: &Histogram) -> Vec<u8> {
    if latency.is_empty() { Vec::new() } else { latency.encode() }
}
