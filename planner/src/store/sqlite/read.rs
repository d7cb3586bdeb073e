//! Reading steps back.
use super::super::{Histogram, RangeQuery, SeriesKey, SeriesStep};
use super::rows::{merge_latency, read_counts, read_grpc};
use foremesh_core::time::Timestamp;
use foremesh_summary::wire::Direction;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::{collections::HashMap, sync::Arc};

/// All series of the file by id.
pub(super) fn all_series(connection: &Connection) -> rusqlite::Result<Vec<(u32, SeriesKey)>> {
    let mut select = connection
        .prepare_cached("SELECT id, direction, caller, callee, route, node, zone FROM series ORDER BY id")?;
    select.query_map([], series_of)?.collect()
}

fn series_of(row: &Row<'_>) -> rusqlite::Result<(u32, SeriesKey)> {
    let direction = if row.get::<_, i64>(1)? == 1 { Direction::Inbound } else { Direction::Outbound };
    Ok((
        row.get(0)?,
        SeriesKey {
            direction,
            caller: row.get(2)?,
            callee: row.get(3)?,
            route: row.get(4)?,
            node: row.get(5)?,
            zone: row.get(6)?,
        },
    ))
}

/// Series with a base step that starts at `from` or later: the index alone answers it.
pub(super) fn active_since(connection: &Connection, from: Timestamp) -> rusqlite::Result<Vec<SeriesKey>> {
    let mut select = connection.prepare_cached(
        "SELECT id, direction, caller, callee, route, node, zone FROM series
         WHERE id IN (SELECT series_id FROM steps WHERE level = 0 AND start_ms >= ?1) ORDER BY id",
    )?;
    select.query_map([from.unix_ms()], |row| series_of(row).map(|(_, key)| key))?.collect()
}

fn matches(query: &RangeQuery, key: &SeriesKey) -> bool {
    query.direction.is_none_or(|direction| direction == key.direction)
        && query.callee.as_ref().is_none_or(|callee| callee.as_str() == key.callee)
        && query.caller.as_ref().is_none_or(|caller| caller.as_str() == key.caller)
        && query.node.as_ref().is_none_or(|node| node.as_str() == key.node)
}

/// Which series a walk gives.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Every one, or so many that leaving the others out costs more than reading them.
    All,
    /// A JSON list of ids.
    Few(String),
}

impl Wanted {
    /// The series with these ids, out of so many.
    pub(super) fn of(ids: impl ExactSizeIterator<Item = u32>, all: usize) -> Self {
        if ids.len() >= all / 4 {
            return Self::All;
        }
        let list: Vec<String> = ids.map(|id| id.to_string()).collect();
        Self::Few(format!("[{}]", list.join(",")))
    }
}

/// Walks the steps of a level in the order of time. Names are few and steps are many, so the names are looked up
/// outside of SQL. More than the wanted series may be given, never fewer.
pub(super) fn walk(
    connection: &Connection,
    (level, from, to): (u8, Timestamp, Timestamp),
    wanted: &Wanted,
    mut each: impl FnMut(u32, Timestamp, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    const COLUMNS: &str =
        "SELECT series_id, start_ms, ok, client_error, server_error, aborted, sum_us, grpc, hdr FROM steps";
    let mut give = |row: &Row<'_>| each(row.get(0)?, Timestamp::from_unix_ms(row.get(1)?), row);
    let ids = match wanted {
        Wanted::All => {
            let mut select = connection.prepare_cached(&format!(
                "{COLUMNS} WHERE level = ?1 AND start_ms >= ?2 AND start_ms < ?3 ORDER BY start_ms, series_id"
            ))?;
            let mut rows = select.query(params![level, from.unix_ms(), to.unix_ms()])?;
            while let Some(row) = rows.next()? {
                give(row)?;
            }
            return Ok(());
        }
        Wanted::Few(ids) => ids,
    };
    // Step by step, so that the index leads to each row and the rows of the others are not touched.
    let mut next = connection.prepare_cached(
        "SELECT start_ms FROM steps WHERE level = ?1 AND start_ms >= ?2 AND start_ms < ?3 ORDER BY start_ms LIMIT 1",
    )?;
    let mut select = connection.prepare_cached(&format!(
        "{COLUMNS} WHERE level = ?1 AND start_ms = ?2 AND series_id IN (SELECT value FROM json_each(?3))
         ORDER BY series_id"
    ))?;
    let mut at = from;
    while let Some(start) =
        next.query_row(params![level, at.unix_ms(), to.unix_ms()], |row| row.get::<_, i64>(0)).optional()?
    {
        let mut rows = select.query(params![level, start, ids])?;
        while let Some(row) = rows.next()? {
            give(row)?;
        }
        at = Timestamp::from_unix_ms(start).plus_ms(1);
    }
    Ok(())
}

/// Places of the columns in a row of [`walk`].
pub(super) const COUNTS: usize = 2;
const GRPC: usize = 7;
pub(super) const LATENCY: usize = 8;

/// Steps series by series; `None` when they are more than `limit`.
pub(super) fn range(
    connection: &Connection,
    query: &RangeQuery,
    limit: usize,
) -> rusqlite::Result<Option<Vec<SeriesStep>>> {
    let all = all_series(connection)?;
    let known = all.len();
    let wanted: HashMap<u32, Arc<SeriesKey>> =
        all.into_iter().filter(|(_, key)| matches(query, key)).map(|(id, key)| (id, Arc::new(key))).collect();
    let mut steps = Vec::new();
    let few = Wanted::of(wanted.keys().copied(), known);
    walk(connection, (query.level, query.from, query.to), &few, |id, start, row| {
        let Some(key) = wanted.get(&id).filter(|_| steps.len() <= limit) else { return Ok(()) };
        let mut latency = Histogram::default();
        merge_latency(row, LATENCY, &mut latency)?;
        let (counts, grpc) = (read_counts(row, COUNTS)?, read_grpc(row, GRPC)?);
        steps.push(SeriesStep { key: Arc::clone(key), start, counts, grpc, latency });
        Ok(())
    })?;
    Ok((steps.len() <= limit).then_some(steps))
}
