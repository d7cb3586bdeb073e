//! The same steps through the embedded store: values are appended as gauges, read back by what changed, and forecast.
use super::{ForecastBench, StoreReport, fleet::Fleet, peak_rss_mib};
use crate::{
    backtest::{cpu::process_seconds, report::significant, score::median},
    bench::ingest::BenchError,
    clock::{Clock, ManualClock},
    store::{
        Gauge, GaugeMetric, GaugeSource, GaugeSubject, SeriesStore, SqliteStore, StoreSettings,
        metrics::StoreMetrics,
    },
};
use foremesh_core::{
    ids::NodeId,
    time::{Step, Timestamp},
};
use std::{collections::HashMap, io, path::Path};

/// Steps that are measured.
const STEPS: usize = 5;

/// A time at a whole hour at which the first step begins; the wall clock has no part in it.
const START_MS: i64 = 1_800_000_000_000;

/// Readings of one append.
const BATCH: usize = 10_000;

/// CPU of each part of one step.
#[derive(Default)]
struct Parts {
    append: Vec<f64>,
    read: Vec<f64>,
    update: Vec<f64>,
    forecast: Vec<f64>,
}

pub(super) async fn measure(bench: &ForecastBench, fleet: &mut Fleet) -> Result<StoreReport, BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::io("make a folder for the benchmark"))?;
    let file = folder.path().join("store.db");
    let now = ManualClock::new(Timestamp::from_unix_ms(START_MS));
    let store = SqliteStore::open(
        &file,
        StoreSettings::from_base(Step::MINUTE),
        Clock::Manual(now.clone()),
        StoreMetrics::default(),
    )?;
    let subjects: Vec<GaugeSubject> =
        (0..bench.series).map(|number| GaugeSubject::Node(NodeId::new(format!("node-{number}")))).collect();
    let numbers: HashMap<GaugeSubject, usize> = subjects.iter().cloned().zip(0..).collect();
    let mut parts = Parts::default();
    for step in 0..STEPS {
        let at = Timestamp::from_unix_ms(START_MS).plus_ms(Step::MINUTE.times(step));
        now.set(at);
        fleet.make_up();

        let cpu = process_seconds();
        for (subjects, values) in subjects.chunks(BATCH).zip(fleet.values.chunks(BATCH)) {
            let reading = |(subject, value): (&GaugeSubject, &f64)| Gauge {
                subject: subject.clone(),
                metric: GaugeMetric::CpuUsedMillicores,
                source: GaugeSource::Platform,
                at,
                value: *value,
            };
            store.append_gauges(subjects.iter().zip(values).map(reading).collect()).await?;
        }
        parts.append.push(process_seconds() - cpu);

        let cpu = process_seconds();
        let sent = std::mem::replace(&mut fleet.values, vec![f64::NAN; bench.series]);
        for changed in store.changes().await?.gauge_steps {
            let end = changed.plus_ms(Step::MINUTE.ms());
            let metric = GaugeMetric::CpuUsedMillicores;
            for read in store.gauge_range(0, changed, end, Some(metric), None).await? {
                if let Some(number) = numbers.get(&read.subject) {
                    fleet.values[*number] = read.mean;
                }
            }
        }
        parts.read.push(process_seconds() - cpu);
        let stored =
            fleet.values.iter().zip(&sent).filter(|(read, sent)| read.total_cmp(sent).is_eq()).count();
        if stored != bench.series {
            return Err(BenchError::Inexact { sent: bench.series as u64, stored: stored as u64, level: 0 });
        }

        let cpu = process_seconds();
        fleet.update();
        parts.update.push(process_seconds() - cpu);
        let cpu = process_seconds();
        fleet.forecast();
        parts.forecast.push(process_seconds() - cpu);
    }
    let middle = |times: Vec<f64>| median(times).unwrap_or_default();
    let (append, read) = (middle(parts.append), middle(parts.read));
    let (update, forecast) = (middle(parts.update), middle(parts.forecast));
    let bytes = folder_bytes(folder.path()).map_err(BenchError::io("look at the store"))?;
    Ok(StoreReport {
        steps: STEPS,
        append_cpu_seconds: significant(append, 4),
        read_cpu_seconds: significant(read, 4),
        update_cpu_seconds: significant(update, 4),
        forecast_cpu_seconds: significant(forecast, 4),
        cpu_seconds_per_step: significant(append + read + update + forecast, 4),
        file_mib: significant(bytes as f64 / f64::from(1 << 20), 4),
        peak_rss_mib: peak_rss_mib(),
    })
}

/// The file and its log.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
