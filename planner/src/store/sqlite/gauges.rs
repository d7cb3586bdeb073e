//! Gauge readings in the file.
use super::super::{Gauge, GaugeMetric, GaugeStep, GaugeSubject, Levels};
use foremesh_core::{
    ids::{NodeId, WorkloadId},
    time::Timestamp,
};
use rusqlite::{Connection, params};

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
            "INSERT INTO gauges (level, start_ms, kind, name, metric, sum, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)
             ON CONFLICT (level, start_ms, kind, name, metric)
             DO UPDATE SET sum = sum + excluded.sum, count = count + 1",
        )?;
        for gauge in gauges.iter().filter(|gauge| gauge.value.is_finite()) {
            let (kind, name) = columns(&gauge.subject);
            for (number, level) in levels.iter() {
                let start = level.step.floor(gauge.at).unix_ms();
                upsert.execute(params![number, start, kind, name, gauge.metric.name(), gauge.value])?;
            }
        }
    }
    transaction.commit()
}

/// Reads steps in the order of time.
pub(super) fn range(
    connection: &Connection,
    level: u8,
    from: Timestamp,
    to: Timestamp,
    metric: GaugeMetric,
    subject: Option<&GaugeSubject>,
) -> rusqlite::Result<Vec<GaugeStep>> {
    let (kind, name) = subject.map(columns).unzip();
    let mut select = connection.prepare_cached(
        "SELECT kind, name, start_ms, sum, count FROM gauges WHERE level = ?1 AND start_ms >= ?2 AND start_ms < ?3
         AND metric = ?4 AND (?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR name = ?6) ORDER BY start_ms, kind, name",
    )?;
    let rows =
        select.query_map(params![level, from.unix_ms(), to.unix_ms(), metric.name(), kind, name], |row| {
            let name: String = row.get(1)?;
            let node = row.get_ref(0)?.as_str().is_ok_and(|kind| kind == NODE);
            let readings: i64 = row.get(4)?;
            Ok(GaugeStep {
                subject: if node {
                    GaugeSubject::Node(NodeId::new(name))
                } else {
                    GaugeSubject::Workload(WorkloadId::new(name))
                },
                start: Timestamp::from_unix_ms(row.get(2)?),
                mean: row.get::<_, f64>(3)? / readings.max(1) as f64,
                readings: readings.max(0) as u64,
            })
        })?;
    rows.collect()
}
