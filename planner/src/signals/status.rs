//! How each source does: what was read, what failed, how old its newest number is.
use crate::causes;
use foremesh_core::time::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

/// How one source does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// Reads, or pushes, that worked.
    pub reads: u64,
    /// Reads, or pushes, that failed.
    pub failures: u64,
    /// Readings taken into the store.
    pub gauges: u64,
    /// What was left out: series that name no node or workload, pushed points that cannot be used.
    pub left_out: u64,
    /// When it was read last with success.
    pub last_read: Option<Timestamp>,
    /// Time of the newest number that it gave.
    pub newest: Option<Timestamp>,
    /// Why the last read failed; missing when it worked.
    pub error: Option<String>,
    /// What the last answer warned of.
    pub warnings: Vec<String>,
}

impl SourceStatus {
    /// Age of the newest number in milliseconds; `None` when there never was one.
    pub fn age_ms(&self, now: Timestamp) -> Option<i64> {
        self.newest.map(|newest| now.ms_since(newest).max(0))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabels {
    source: String,
    result: &'static str,
}

#[derive(Debug, Default)]
struct Metrics {
    reads: Family<ReadLabels, Counter>,
    gauges: Family<SourceLabel, Counter>,
    left_out: Family<SourceLabel, Counter>,
    newest_seconds: Family<SourceLabel, Gauge<f64, AtomicU64>>,
}

/// The status of all sources; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Statuses {
    sources: Arc<Mutex<BTreeMap<String, SourceStatus>>>,
    metrics: Arc<Metrics>,
}

impl Statuses {
    /// Shows them in a registry, with names that start with `foremesh_signals_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("foremesh_signals");
        let metrics = &self.metrics;
        registry.register("reads", "Reads of a source, or pushes from it, by result", metrics.reads.clone());
        registry.register("gauges", "Readings taken from a source", metrics.gauges.clone());
        registry.register(
            "left_out",
            "Series or points of a source that could not be used",
            metrics.left_out.clone(),
        );
        registry.register(
            "newest_time_seconds",
            "Time of the newest number of a source, in seconds since 1970; alert when it falls behind",
            metrics.newest_seconds.clone(),
        );
    }

    /// The status of every source by its name.
    pub fn all(&self) -> BTreeMap<String, SourceStatus> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, source: &str, change: impl FnOnce(&mut SourceStatus)) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        change(sources.entry(source.to_owned()).or_default());
    }

    /// Names a source before its first read, so that a dashboard shows that it is there.
    pub(super) fn known(&self, source: &str) {
        self.change(source, |_| ());
        for result in ["ok", "failed"] {
            self.metrics.reads.get_or_create(&ReadLabels { source: source.to_owned(), result }).inc_by(0);
        }
    }

    /// So many readings were taken, of which the newest is of that time.
    pub(super) fn took(&self, source: &str, gauges: usize, left_out: usize, newest: Option<Timestamp>) {
        let label = SourceLabel { source: source.to_owned() };
        self.metrics.gauges.get_or_create(&label).inc_by(gauges as u64);
        self.metrics.left_out.get_or_create(&label).inc_by(left_out as u64);
        self.change(source, |status| {
            status.gauges += gauges as u64;
            status.left_out += left_out as u64;
            status.newest = status.newest.max(newest);
            if let Some(newest) = status.newest {
                self.metrics.newest_seconds.get_or_create(&label).set(newest.unix_ms() as f64 / 1e3);
            }
        });
    }

    /// A read worked.
    pub(super) fn succeeded(&self, source: &str, now: Timestamp, warnings: Vec<String>) {
        self.metrics.reads.get_or_create(&ReadLabels { source: source.to_owned(), result: "ok" }).inc();
        self.change(source, |status| {
            if status.error.take().is_some() {
                tracing::info!(source, "source answers again");
            }
            status.reads += 1;
            status.last_read = Some(now);
            status.warnings = warnings;
        });
    }

    /// A read failed. Said once in the log, until it works again.
    pub(super) fn failed(&self, source: &str, error: &dyn std::error::Error) {
        self.metrics.reads.get_or_create(&ReadLabels { source: source.to_owned(), result: "failed" }).inc();
        let text = causes::chain(error);
        self.change(source, |status| {
            status.failures += 1;
            if status.error.is_none() {
                tracing::warn!(source, error = text, "source cannot be read; its numbers grow old");
            }
            status.error = Some(text);
        });
    }
}
