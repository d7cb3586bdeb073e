//! Reading steps back.
use super::super::{Counts, Histogram, OTHER, RangeQuery, SeriesKey, SeriesStep, ServiceRow};
use super::rows::{merge_latency, read_counts, read_grpc};
use foremesh_core::{
    history::{KEPT_QUANTILES, ServiceStep},
    ids::ServiceId,
    time::Timestamp,
};
use foremesh_summary::wire::Direction;
use rusqlite::{Connection, Row, params};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// All series of the file by id.
pub(super) fn all_series(connection: &Connection) -> rusqlite::Result<Vec<(u32, SeriesKey)>> {
    let mut select = connection
        .prepare_cached("SELECT id, direction, caller, callee, route, node, zone FROM series ORDER BY id")?;
    let rows = select.query_map([], |row| {
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
    })?;
    rows.collect()
}

fn matches(query: &RangeQuery, key: &SeriesKey) -> bool {
    query.direction.is_none_or(|direction| direction == key.direction)
        && query.callee.as_ref().is_none_or(|callee| callee.as_str() == key.callee)
        && query.caller.as_ref().is_none_or(|caller| caller.as_str() == key.caller)
        && query.node.as_ref().is_none_or(|node| node.as_str() == key.node)
}

/// Walks the steps of a level in the order of time. Names are few and steps are many, so the names are looked up
/// outside of SQL.
fn walk(
    connection: &Connection,
    (level, from, to): (u8, Timestamp, Timestamp),
    mut each: impl FnMut(u32, Timestamp, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(
        "SELECT series_id, start_ms, ok, client_error, server_error, aborted, sum_us, grpc, hdr FROM steps
         WHERE level = ?1 AND start_ms >= ?2 AND start_ms < ?3 ORDER BY start_ms, series_id",
    )?;
    let mut rows = select.query(params![level, from.unix_ms(), to.unix_ms()])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, Timestamp::from_unix_ms(row.get(1)?), row)?;
    }
    Ok(())
}

const COUNTS: usize = 2;
const GRPC: usize = 7;
const LATENCY: usize = 8;

/// Steps series by series; `None` when they are more than `limit`.
pub(super) fn range(
    connection: &Connection,
    query: &RangeQuery,
    limit: usize,
) -> rusqlite::Result<Option<Vec<SeriesStep>>> {
    let wanted: HashMap<u32, Arc<SeriesKey>> = all_series(connection)?
        .into_iter()
        .filter(|(_, key)| matches(query, key))
        .map(|(id, key)| (id, Arc::new(key)))
        .collect();
    let mut steps = Vec::new();
    walk(connection, (query.level, query.from, query.to), |id, start, row| {
        let Some(key) = wanted.get(&id).filter(|_| steps.len() <= limit) else { return Ok(()) };
        let mut latency = Histogram::default();
        merge_latency(row, LATENCY, &mut latency)?;
        let (counts, grpc) = (read_counts(row, COUNTS)?, read_grpc(row, GRPC)?);
        steps.push(SeriesStep { key: Arc::clone(key), start, counts, grpc, latency });
        Ok(())
    })?;
    Ok((steps.len() <= limit).then_some(steps))
}

/// One end's view of a service in one step.
#[derive(Default)]
struct View {
    counts: Counts,
    latency: Histogram,
}

/// Both ends' views of a service in one step; memory is kept from step to step.
#[derive(Default)]
struct Views {
    inbound: View,
    outbound: View,
}

impl Views {
    /// The callers' view where a caller measured anything that finished, else the callee's.
    fn take(&mut self) -> Option<ServiceStep> {
        let view = if self.outbound.latency.is_empty() { &self.inbound } else { &self.outbound };
        let step = view.latency.quantiles(KEPT_QUANTILES).map(|us| ServiceStep {
            requests: u32::try_from(view.counts.finished()).unwrap_or(u32::MAX),
            server_errors: u32::try_from(view.counts.server_error).unwrap_or(u32::MAX),
            latency_ms: us.map(|us| (us as f64 / 1e3) as f32),
        });
        for view in [&mut self.inbound, &mut self.outbound] {
            view.counts = Counts::default();
            view.latency.clear();
        }
        step
    }
}

/// Steps service by service.
pub(super) fn service_range(
    connection: &Connection,
    range: (u8, Timestamp, Timestamp),
    service: Option<&ServiceId>,
) -> rusqlite::Result<Vec<ServiceRow>> {
    let mut services: Vec<ServiceId> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut of_series: HashMap<u32, (usize, Direction)> = HashMap::new();
    for (id, key) in all_series(connection)? {
        if key.callee == OTHER || service.is_some_and(|service| service.as_str() != key.callee) {
            continue;
        }
        let number = *numbers.entry(key.callee).or_insert_with_key(|callee| {
            services.push(ServiceId::new(callee));
            services.len() - 1
        });
        of_series.insert(id, (number, key.direction));
    }
    let mut rows = Vec::new();
    let mut views: BTreeMap<usize, Views> = BTreeMap::new();
    let mut current = None;
    walk(connection, range, |id, start, row| {
        if current != Some(start) {
            finish(&services, &mut views, current, &mut rows);
            current = Some(start);
        }
        let Some((number, direction)) = of_series.get(&id) else { return Ok(()) };
        let both = views.entry(*number).or_default();
        let view = if *direction == Direction::Inbound { &mut both.inbound } else { &mut both.outbound };
        view.counts.add(&read_counts(row, COUNTS)?);
        merge_latency(row, LATENCY, &mut view.latency)
    })?;
    finish(&services, &mut views, current, &mut rows);
    Ok(rows)
}

fn finish(
    services: &[ServiceId],
    views: &mut BTreeMap<usize, Views>,
    start: Option<Timestamp>,
    rows: &mut Vec<ServiceRow>,
) {
    let Some(start) = start else { return };
    for (number, both) in views {
        if let (Some(step), Some(service)) = (both.take(), services.get(*number)) {
            rows.push(ServiceRow { service: service.clone(), start, step });
        }
    }
}
