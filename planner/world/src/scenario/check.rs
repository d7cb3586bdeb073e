//! Reads a scenario file and holds its values to their limits.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Scenario, ScenarioError, ScenarioSpec, SeriesRef};
use crate::series::{Series, SeriesError, read_all};

impl Scenario {
    /// Reads a scenario file and the series that it names.
    ///
    /// # Errors
    /// When the file or a series cannot be read, a field is unknown, or a value is outside its limits.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        let spec: ScenarioSpec = yaml_serde::from_str(&text).map_err(|source| ScenarioError::Parse {
            path: path.to_owned(),
            why: source.to_string(),
            source: Box::new(source),
        })?;
        let start_ms = check(path, &spec)?;
        let mut files = HashMap::new();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut series_of = |list: &[SeriesRef], field| {
            list.iter()
                .map(|series| one_series(folder, series, &mut files))
                .collect::<Result<Vec<Series>, SeriesError>>()
                .map_err(|source| ScenarioError::Series {
                    path: path.to_owned(),
                    field,
                    source: Box::new(source),
                })
        };
        let load = series_of(&spec.load.series, "load.series")?.into();
        let background = series_of(&spec.background.series, "background.series")?.into();
        Ok(Self { spec: Arc::new(spec), start_ms, load, background })
    }
}

fn one_series(
    folder: &Path,
    wanted: &SeriesRef,
    files: &mut HashMap<PathBuf, HashMap<String, Series>>,
) -> Result<Series, SeriesError> {
    let path = folder.join(&wanted.file);
    if !files.contains_key(&path) {
        files.insert(path.clone(), read_all(&path)?);
    }
    let known = files.get(&path);
    let Some(series) = known.and_then(|series| series.get(&wanted.id)) else {
        let mut ids: Vec<&str> = known.into_iter().flatten().map(|(id, _)| id.as_str()).collect();
        ids.sort_unstable();
        let more = if ids.len() > 5 { ", ..." } else { "" };
        ids.truncate(5);
        let known = if ids.is_empty() { "none".to_owned() } else { format!("{}{more}", ids.join(", ")) };
        return Err(SeriesError::Missing { path, id: wanted.id.clone(), known });
    };
    match series.unusable() {
        Some(why) => Err(SeriesError::Unusable { path, id: wanted.id.clone(), why }),
        None => Ok(series.clone()),
    }
}

/// Holds values to their limits, with the file's path for the errors.
struct Limits<'a>(&'a Path);

impl Limits<'_> {
    fn refuse(&self, field: &str, value: impl std::fmt::Display, remedy: impl Into<String>) -> ScenarioError {
        ScenarioError::Value {
            path: self.0.to_owned(),
            field: field.to_owned(),
            value: value.to_string(),
            remedy: remedy.into(),
        }
    }

    fn within(&self, field: &str, value: f64, low: f64, high: f64) -> Result<(), ScenarioError> {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(self.refuse(field, value, format!("it must be from {low} to {high}")))
    }

    fn minutes(
        &self,
        field: &str,
        value: super::super::Minutes,
        low: i64,
        high: i64,
    ) -> Result<(), ScenarioError> {
        if (low..=high).contains(&value.0) {
            return Ok(());
        }
        Err(self.refuse(field, value, format!("it must be from {low}m to {high}m")))
    }

    fn one_of(&self, field: &str, first: bool, second: bool, remedy: &str) -> Result<(), ScenarioError> {
        if first != second {
            return Ok(());
        }
        Err(self.refuse(field, if first { "both" } else { "neither" }, remedy))
    }
}

const DAY: i64 = 1440;

fn check(path: &Path, spec: &ScenarioSpec) -> Result<i64, ScenarioError> {
    let limits = Limits(path);
    let start: jiff::Timestamp = spec
        .start
        .parse()
        .map_err(|_| limits.refuse("start", &spec.start, "write it like 2026-03-02T00:00:00Z"))?;
    limits.minutes("warmUp", spec.warm_up, 0, 60 * DAY)?;
    limits.minutes("measured", spec.measured, 1, 60 * DAY)?;
    limits.minutes("season", spec.season, 2, 60 * DAY)?;
    limits.within("samplesPerMinute", spec.samples_per_minute as f64, 20.0, 20_000.0)?;
    check_cluster(&limits, spec)?;
    check_load(&limits, spec)?;
    check_trouble(&limits, spec)?;
    limits.within("network.jitter", spec.network.jitter, 0.0, 2.0)?;
    for (field, value) in [
        ("network.sameNodeMs", spec.network.same_node_ms),
        ("network.sameZoneMs", spec.network.same_zone_ms),
        ("network.crossZoneMs", spec.network.cross_zone_ms),
    ] {
        limits.within(field, value, 0.0, 1000.0)?;
    }
    limits.within("requests.timeoutMs", spec.requests.timeout_ms, 1.0, 600_000.0)?;
    limits.within("requests.retries", f64::from(spec.requests.retries), 0.0, 3.0)?;
    limits.within("requests.errorShare", spec.requests.error_share, 0.0, 1.0)?;
    if let Some(cpu) = &spec.limits {
        limits.within("limits.cpuFactor", cpu.cpu_factor, 1.0, 100.0)?;
    }
    limits.within("telemetry.noise", spec.telemetry.noise, 0.0, 1.0)?;
    limits.within("telemetry.loss", spec.telemetry.loss, 0.0, 1.0)?;
    limits.within("telemetry.gapsPerDay", spec.telemetry.gaps_per_day, 0.0, 100.0)?;
    limits.minutes("telemetry.gap", spec.telemetry.gap, 1, DAY)?;
    limits.minutes("moves.imagePull", spec.moves.image_pull, 0, DAY)?;
    limits.minutes("moves.startUp", spec.moves.start_up, 0, DAY)?;
    limits.minutes("moves.warmsIn", spec.moves.warms_in, 0, DAY)?;
    limits.within("moves.startUpCores", spec.moves.start_up_cores, 0.0, 64.0)?;
    limits.within("moves.coldFactor", spec.moves.cold_factor, 1.0, 20.0)?;
    limits.within("moves.failureShare", spec.moves.failure_share, 0.0, 1.0)?;
    limits.within("objectives.p99Factor", spec.objectives.p99_factor, 1.0, 100.0)?;
    limits.within("objectives.leastMs", spec.objectives.least_ms, 0.0, 60_000.0)?;
    Ok(start.as_millisecond())
}

fn check_cluster(limits: &Limits<'_>, spec: &ScenarioSpec) -> Result<(), ScenarioError> {
    let nodes = &spec.nodes;
    limits.within("nodes.count", nodes.count.unwrap_or(2) as f64, 2.0, 500.0)?;
    limits.within("nodes.perService", nodes.per_service, 0.01, 20.0)?;
    limits.within("nodes.min", nodes.min as f64, 2.0, 500.0)?;
    limits.within("nodes.max", nodes.max as f64, nodes.min as f64, 500.0)?;
    limits.within("nodes.zones", nodes.zones as f64, 1.0, 26.0)?;
    limits.within("the number of nodes.kinds", nodes.kinds.len() as f64, 1.0, 50.0)?;
    for kind in &nodes.kinds {
        limits.within("nodes.kinds.cores", f64::from(kind.cores), 1.0, 64.0)?;
        limits.within("nodes.kinds.memoryGib", kind.memory_gib, 0.5, 4096.0)?;
        limits.within("nodes.kinds.speed", kind.speed, 0.1, 10.0)?;
        limits.within("nodes.kinds.costPerHour", kind.cost_per_hour, 0.0, 1000.0)?;
    }
    limits.within("replicas.min", f64::from(spec.replicas.min), 1.0, 100.0)?;
    limits.within("replicas.max", f64::from(spec.replicas.max), f64::from(spec.replicas.min), 100.0)?;
    limits.within("replicas.nodeShare", spec.replicas.node_share, 0.01, 1.0)?;
    limits.within("placement.hotShare", spec.placement.hot_share, 0.0, 0.5)?;
    limits.within("placement.hotUtilisation", spec.placement.hot_utilisation, 0.05, 0.95)
}

fn check_load(limits: &Limits<'_>, spec: &ScenarioSpec) -> Result<(), ScenarioError> {
    let load = &spec.load;
    limits.within("load.utilisation", load.utilisation, 0.01, 0.9)?;
    limits.within("background.mean", spec.background.mean, 0.0, 0.8)?;
    if load.utilisation <= spec.background.mean {
        let remedy = format!("it must be above background.mean, {}", spec.background.mean);
        return Err(limits.refuse("load.utilisation", load.utilisation, remedy));
    }
    for (field, (low, high)) in [("load.clamp", load.clamp), ("background.clamp", spec.background.clamp)] {
        limits.within(field, low, 0.0, 1.0)?;
        limits.within(field, high, 1.0, 100.0)?;
    }
    limits.minutes("load.smooth", load.smooth, 0, DAY)?;
    limits.minutes("background.smooth", spec.background.smooth, 0, DAY)?;
    limits.within("load.noise", load.noise, 0.0, 1.0)?;
    limits.within("background.noise", spec.background.noise, 0.0, 1.0)?;
    limits.within("load.peak", load.peak.unwrap_or(1.0), 1.0, 20.0)?;
    for (number, ramp) in load.ramps.iter().enumerate() {
        let field = format!("load.ramps[{number}]");
        if ramp.service.is_some() && ramp.operation.is_some() {
            return Err(limits.refuse(&field, "for a service and an operation", "name one of them or none"));
        }
        limits.one_of(
            &field,
            ramp.to.is_some(),
            ramp.node_utilisation.is_some(),
            "give to or nodeUtilisation",
        )?;
        if ramp.node_utilisation.is_some() && ramp.operation.is_some() {
            return Err(limits.refuse(
                &field,
                "nodeUtilisation of an operation",
                "give to, or name a service",
            ));
        }
        limits.within(&format!("{field}.to"), ramp.to.unwrap_or(1.0), 0.0, 100.0)?;
        limits.within(
            &format!("{field}.nodeUtilisation"),
            ramp.node_utilisation.unwrap_or(1.0),
            0.05,
            3.0,
        )?;
        times(limits, &field, ramp.every, &[ramp.over, ramp.hold, ramp.fall])?;
    }
    for (number, event) in load.events.iter().enumerate() {
        let field = format!("load.events[{number}]");
        if event.service.is_some() && event.operation.is_some() {
            return Err(limits.refuse(&field, "for a service and an operation", "name one of them or none"));
        }
        if event.tag.is_empty() {
            return Err(limits.refuse(&format!("{field}.tag"), "empty", "name the kind of event"));
        }
        limits.within(&format!("{field}.uplift"), event.uplift, 0.0, 100.0)?;
        limits.minutes(&format!("{field}.lasts"), event.lasts, 1, 30 * DAY)?;
        times(limits, &field, event.every, &[event.rise])?;
    }
    Ok(())
}

fn check_trouble(limits: &Limits<'_>, spec: &ScenarioSpec) -> Result<(), ScenarioError> {
    for (number, neighbour) in spec.neighbours.iter().enumerate() {
        let field = format!("neighbours[{number}]");
        let (share, level) = (neighbour.share, neighbour.node_utilisation);
        limits.one_of(&field, share.is_some(), level.is_some(), "give share or nodeUtilisation")?;
        limits.within(&format!("{field}.share"), share.unwrap_or(0.5), 0.0, 1.0)?;
        limits.within(&format!("{field}.nodeUtilisation"), level.unwrap_or(1.0), 0.05, 2.0)?;
        times(limits, &field, neighbour.every, &[neighbour.over, neighbour.hold, neighbour.fall])?;
    }
    for (number, fault) in spec.faults.iter().enumerate() {
        let field = format!("faults[{number}]");
        limits.minutes(&format!("{field}.lasts"), fault.lasts, 1, 60 * DAY)?;
        limits.minutes(&format!("{field}.over"), fault.over, 0, 60 * DAY)?;
        limits.within(&format!("{field}.demandFactor"), fault.demand_factor, 1.0, 100.0)?;
        limits.within(&format!("{field}.latencyFactor"), fault.latency_factor, 1.0, 1000.0)?;
        limits.within(&format!("{field}.addedLatencyMs"), fault.added_latency_ms, 0.0, 600_000.0)?;
        limits.within(&format!("{field}.addedObjectives"), fault.added_objectives, 0.0, 100.0)?;
        limits.within(&format!("{field}.errorShare"), fault.error_share, 0.0, 1.0)?;
    }
    Ok(())
}

fn times(
    limits: &Limits<'_>,
    field: &str,
    every: Option<super::super::Minutes>,
    parts: &[super::super::Minutes],
) -> Result<(), ScenarioError> {
    for part in parts {
        limits.minutes(&format!("{field}, each of its times"), *part, 0, 60 * DAY)?;
    }
    let total: i64 = parts.iter().map(|part| part.0).sum();
    match every {
        Some(every) => limits.minutes(&format!("{field}.every"), every, total.max(1), 60 * DAY),
        None => Ok(()),
    }
}
