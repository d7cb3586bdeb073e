//! Gauge readings in the file.
use super::super::{Gauge, GaugeMarks, GaugeMetric, GaugeSource, GaugeStep, GaugeSubject, Levels};
use foremesh_core::{
    ids::{NodeId, WorkloadId},
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};

const NODE: &str = "node";
const WORKLOAD: &str = "workload";

fn columns(subject: &GaugeSubject) -> (&'static str, &str) {
    match subject {
        GaugeSubject::Node(node) => (NODE, node.as_str()),
        GaugeSubject::Workload(workload) => (WORKLOAD, workload.as_str()),
    }
}

/// Adds readings to their steps of every level, durably.
pub(super) fn append(connection: &mut Connection, levels: &Levels, gauges: &[Gauge]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO gauges (level, start_ms, kind, name, metric, source, newest_ms, sum, count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1)
             ON CONFLICT (level, start_ms, kind, name, metric, source)
             DO UPDATE SET sum = sum + excluded.sum, count = count + 1, newest_ms = max(newest_ms, excluded.newest_ms)",
        )?;
        for gauge in gauges.iter().filter(|gauge| gauge.value.is_finite()) {
            let (kind, name) = columns(&gauge.subject);
            let (metric, source, at) = (gauge.metric.name(), gauge.source.name(), gauge.at.unix_ms());
            for (number, level) in levels.iter() {
                let start = level.step.floor(gauge.at).unix_ms();
                upsert.execute(params![number, start, kind, name, metric, source, at, gauge.value])?;
            }
        }
    }
    transaction.commit()
}

/// Reads steps in the order of time. Metrics and sources that a newer planner wrote are left out.
pub(super) fn range(
    connection: &Connection,
    level: u8,
    from: Timestamp,
    to: Timestamp,
    metric: Option<GaugeMetric>,
    subject: Option<&GaugeSubject>,
) -> rusqlite::Result<Vec<GaugeStep>> {
    let (kind, name) = subject.map(columns).unzip();
    let mut select = connection.prepare_cached(
        "SELECT kind, name, metric, source, start_ms, newest_ms, sum, count FROM gauges
         WHERE level = ?1 AND start_ms >= ?2 AND start_ms < ?3 AND (?4 IS NULL OR metric = ?4)
         AND (?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR name = ?6) ORDER BY start_ms, kind, name, metric, source",
    )?;
    let metric = metric.map(GaugeMetric::name);
    let rows = select.query_map(params![level, from.unix_ms(), to.unix_ms(), metric, kind, name], |row| {
        let Some(metric) = GaugeMetric::named(row.get_ref(2)?.as_str()?) else { return Ok(None) };
        let Some(source) = GaugeSource::named(row.get_ref(3)?.as_str()?) else { return Ok(None) };
        let readings: i64 = row.get(7)?;
        Ok(Some(GaugeStep {
            subject: subject_of(row)?,
            metric,
            source,
            start: Timestamp::from_unix_ms(row.get(4)?),
            mean: row.get::<_, f64>(6)? / readings.max(1) as f64,
            readings: readings.max(0) as u64,
            newest: Timestamp::from_unix_ms(row.get(5)?),
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// When each gauge was read last by a source. Steps of the top level are the fewest that know it.
pub(super) fn marks(connection: &Connection, source: GaugeSource) -> rusqlite::Result<GaugeMarks> {
    let mut select = connection.prepare_cached(
        "SELECT kind, name, metric, max(newest_ms) FROM gauges
         WHERE level = (SELECT max(level) FROM levels) AND source = ?1 GROUP BY kind, name, metric",
    )?;
    let rows = select.query_map([source.name()], |row| {
        let Some(metric) = GaugeMetric::named(row.get_ref(2)?.as_str()?) else { return Ok(None) };
        Ok(Some(((subject_of(row)?, metric), Timestamp::from_unix_ms(row.get(3)?))))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// The subject in the first two columns.
fn subject_of(row: &Row<'_>) -> rusqlite::Result<GaugeSubject> {
    let name: String = row.get(1)?;
    let node = row.get_ref(0)?.as_str().is_ok_and(|kind| kind == NODE);
    Ok(if node {
        GaugeSubject::Node(NodeId::new(name))
    } else {
        GaugeSubject::Workload(WorkloadId::new(name))
    })
}
