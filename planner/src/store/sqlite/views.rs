//! Services and routes, merged from the steps of their series.
use super::super::{
    Counts, Histogram, Levels, OTHER, RouteId, RouteRow, SeriesKey, ServiceQuery, ServiceRow,
};
use super::{
    long_windows::Unknown,
    read::{COUNTS, LATENCY, Wanted, all_series, walk},
    rows::{read_counts, user_error},
    tails::Tails,
};
use foremesh_core::{
    history::{KEPT_QUANTILES, ServiceStep},
    ids::{ServiceId, WorkloadId},
    time::Timestamp,
};
use foremesh_summary::{merge_checked, wire::Direction};
use rusqlite::{Connection, Row};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

/// What rows are about, and which series they are made of.
pub(super) struct Subjects<K> {
    keys: Vec<K>,
    services: Vec<ServiceId>,
    /// Place in `services` of each key's service.
    service_of: Vec<usize>,
    of_series: HashMap<u32, (usize, Direction)>,
    measured_by: Option<Direction>,
    wanted: Wanted,
}

impl<K: Clone + Eq + Hash> Subjects<K> {
    fn new(
        connection: &Connection,
        query: &ServiceQuery,
        key_of: impl Fn(SeriesKey) -> K,
    ) -> rusqlite::Result<Self> {
        let all = all_series(connection)?;
        let known = all.len();
        let (mut keys, mut services, mut service_of) = (Vec::new(), Vec::new(), Vec::new());
        let mut key_numbers: HashMap<K, usize> = HashMap::new();
        let mut service_numbers: HashMap<ServiceId, usize> = HashMap::new();
        let mut of_series = HashMap::new();
        for (id, series) in all {
            let service = ServiceId::new(&series.callee);
            let asked = query.services.as_ref().is_none_or(|services| services.contains(&service));
            if series.callee == OTHER || !asked {
                continue;
            }
            let direction = series.direction;
            let number = match key_numbers.entry(key_of(series)) {
                Entry::Occupied(held) => *held.get(),
                Entry::Vacant(free) => {
                    let service = *service_numbers.entry(service).or_insert_with_key(|service| {
                        services.push(service.clone());
                        services.len() - 1
                    });
                    service_of.push(service);
                    keys.push(free.key().clone());
                    *free.insert(keys.len() - 1)
                }
            };
            of_series.insert(id, (number, direction));
        }
        let wanted = Wanted::of(of_series.keys().copied(), known);
        Ok(Self { keys, services, service_of, of_series, measured_by: query.measured_by, wanted })
    }
}

impl<K> Subjects<K> {
    fn service_of(&self, subject: usize) -> usize {
        self.service_of.get(subject).copied().unwrap_or_default()
    }
}

/// One end's view of a subject in one step. Histograms stay encoded until it is whole: there may be ten thousand.
#[derive(Default)]
struct View {
    counts: Counts,
    encoded: Vec<u8>,
    ends: Vec<usize>,
}

impl View {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.counts.add(&read_counts(row, COUNTS)?);
        let bytes = row.get_ref(LATENCY)?.as_blob().map_err(|error| user_error(LATENCY, error))?;
        if !bytes.is_empty() {
            self.encoded.extend_from_slice(bytes);
            self.ends.push(self.encoded.len());
        }
        Ok(())
    }

    fn merge_into(&self, latency: &mut Histogram) -> rusqlite::Result<()> {
        let mut start = 0;
        for end in &self.ends {
            let bytes = self.encoded.get(start..*end).unwrap_or_default();
            merge_checked(latency, bytes).map_err(|error| user_error(LATENCY, error))?;
            start = *end;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.counts = Counts::default();
        self.encoded.clear();
        self.ends.clear();
    }
}

/// Both ends' views of a subject in one step; memory is kept from step to step.
#[derive(Default)]
struct Views {
    inbound: View,
    outbound: View,
}

/// Gives each subject in each step with its counts and its histogram, which is never empty, in the order of time.
pub(super) fn each_step<K>(
    connection: &Connection,
    subjects: &Subjects<K>,
    range: (u8, Timestamp, Timestamp),
    mut each: impl FnMut(usize, Timestamp, &Counts, &Histogram) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut views: BTreeMap<usize, Views> = BTreeMap::new();
    let mut scratch = Histogram::default();
    let mut finish = |views: &mut BTreeMap<usize, Views>, start: Timestamp| {
        let called: BTreeSet<usize> = views
            .iter()
            .filter(|(_, both)| !both.outbound.ends.is_empty())
            .map(|(subject, _)| subjects.service_of(*subject))
            .collect();
        for (subject, both) in views {
            let outbound = match subjects.measured_by {
                Some(direction) => direction == Direction::Outbound,
                None => called.contains(&subjects.service_of(*subject)),
            };
            let view = if outbound { &both.outbound } else { &both.inbound };
            scratch.clear();
            view.merge_into(&mut scratch)?;
            if !scratch.is_empty() {
                each(*subject, start, &view.counts, &scratch)?;
            }
            both.inbound.clear();
            both.outbound.clear();
        }
        Ok::<_, rusqlite::Error>(())
    };
    let mut current = None;
    walk(connection, range, &subjects.wanted, |id, start, row| {
        if current != Some(start)
            && let Some(before) = current.replace(start)
        {
            finish(&mut views, before)?;
        }
        let Some((subject, direction)) = subjects.of_series.get(&id) else { return Ok(()) };
        let both = views.entry(*subject).or_default();
        if *direction == Direction::Inbound { both.inbound.add(row) } else { both.outbound.add(row) }
    })?;
    current.map_or(Ok(()), |last| finish(&mut views, last))
}

fn rows<K, R>(
    connection: &Connection,
    query: &ServiceQuery,
    levels: &Levels,
    subjects: &Subjects<K>,
    row_of: impl Fn(&K, Timestamp, ServiceStep) -> R,
) -> rusqlite::Result<Vec<R>> {
    // A level that does not exist has no steps.
    let step = levels.get(query.level).unwrap_or_else(|| levels.base()).step;
    let unknown = Unknown::read(connection, (query.level, step), query.from, query.to)?;
    let mut tails = Tails::read(connection, query, levels, subjects)?;
    let mut rows = Vec::new();
    let from = tails.as_ref().map_or(query.from, Tails::first_step);
    each_step(connection, subjects, (query.level, from, query.to), |subject, start, counts, latency| {
        let tail = tails.as_mut().map(|tails| tails.take(subject, start, latency)).transpose()?;
        if start < query.from {
            return Ok(());
        }
        if let (Some(mut observed), Some(key)) = (step_of(counts, latency), subjects.keys.get(subject)) {
            if let Some(tail) = tail.flatten() {
                observed.tail = tail;
            }
            let service = subjects.services.get(subjects.service_of(subject));
            observed.rate_known = !service.is_some_and(|service| unknown.covers(service, start, step));
            rows.push(row_of(key, start, observed));
        }
        Ok(())
    })?;
    Ok(rows)
}

fn step_of(counts: &Counts, latency: &Histogram) -> Option<ServiceStep> {
    let bounded = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let latency_us = latency.quantiles(KEPT_QUANTILES)?;
    let latency_ms = latency_us.map(|us| (us as f64 / 1e3) as f32);
    Some(ServiceStep::new(bounded(counts.finished()), bounded(counts.server_error), latency_ms))
}

/// Steps service by service.
pub(super) fn service_range(
    connection: &Connection,
    query: &ServiceQuery,
    levels: &Levels,
) -> rusqlite::Result<Vec<ServiceRow>> {
    let subjects = Subjects::new(connection, query, |key| ServiceId::new(key.callee))?;
    rows(connection, query, levels, &subjects, |service, start, step| ServiceRow {
        service: service.clone(),
        start,
        step,
    })
}

/// Steps route by route.
pub(super) fn route_range(
    connection: &Connection,
    query: &ServiceQuery,
    levels: &Levels,
) -> rusqlite::Result<Vec<RouteRow>> {
    let subjects = Subjects::new(connection, query, |key| {
        Arc::new(RouteId {
            callee: ServiceId::new(key.callee),
            caller: WorkloadId::new(key.caller),
            route: key.route,
        })
    })?;
    rows(connection, query, levels, &subjects, |route, start, step: ServiceStep| RouteRow {
        route: Arc::clone(route),
        start,
        step,
    })
}
