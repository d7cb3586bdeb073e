//! What the store says of itself on `/metrics`.
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Commit times in seconds: from memory-backed disks to ones that are in trouble.
const COMMIT_SECONDS: [f64; 10] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0, 5.0];

/// Counters of the store; clones share them.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Time of one durable commit of a batch.
    pub commit_seconds: Histogram,
    /// Time of one flush.
    pub flush_seconds: Histogram,
    /// Commits of batches and flushes, each with one fsync of the log.
    pub commits: Counter,
    /// Commits that did not become durable.
    pub failed_commits: Counter,
    /// Checkpoints of the log into the file, each with one more fsync of the log and one of the file.
    pub checkpoints: Counter,
    /// Bytes of summaries made durable.
    pub durable_bytes: Counter,
    /// Bytes of summaries that wait for a commit.
    pub queue_bytes: Gauge,
    /// Bytes of summaries in the inbox, durable and not flushed yet.
    pub inbox_bytes: Gauge,
    /// Series that are told apart.
    pub series: Gauge,
    /// Proxy workers that are remembered.
    pub streams: Gauge,
    /// Observations that are missing now; goes down when a late summary arrives.
    pub lost_observations: Gauge,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            flush_seconds: Histogram::new(COMMIT_SECONDS),
            commits: Counter::default(),
            failed_commits: Counter::default(),
            checkpoints: Counter::default(),
            durable_bytes: Counter::default(),
            queue_bytes: Gauge::default(),
            inbox_bytes: Gauge::default(),
            series: Gauge::default(),
            streams: Gauge::default(),
            lost_observations: Gauge::default(),
        }
    }
}

impl StoreMetrics {
    /// Shows them in a registry, with names that start with `foremesh_store_` (`foremesh_ingest_` for what is lost).
    pub fn register(&self, registry: &mut Registry) {
        let store = registry.sub_registry_with_prefix("foremesh_store");
        let unit = Unit::Seconds;
        store.register_with_unit(
            "commit",
            "Time of a durable commit",
            unit.clone(),
            self.commit_seconds.clone(),
        );
        store.register_with_unit("flush", "Time of a flush into steps", unit, self.flush_seconds.clone());
        store.register("commits", "Durable commits", self.commits.clone());
        store.register("failed_commits", "Commits that failed", self.failed_commits.clone());
        store.register("checkpoints", "Checkpoints of the log into the file", self.checkpoints.clone());
        let unit = Unit::Bytes;
        store.register_with_unit(
            "durable",
            "Summaries made durable",
            unit.clone(),
            self.durable_bytes.clone(),
        );
        store.register_with_unit(
            "queue",
            "Summaries that wait for a commit",
            unit.clone(),
            self.queue_bytes.clone(),
        );
        store.register_with_unit("inbox", "Summaries that wait for a flush", unit, self.inbox_bytes.clone());
        store.register("series", "Series that are told apart", self.series.clone());
        store.register("streams", "Proxy workers that are remembered", self.streams.clone());
        registry.register(
            "foremesh_ingest_lost_observations",
            "Observations that proxies made and that are missing now",
            self.lost_observations.clone(),
        );
    }
}
