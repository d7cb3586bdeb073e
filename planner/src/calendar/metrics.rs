//! Metrics of the calendars.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefreshLabels {
    source: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

/// What is counted of the calendars; clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct CalendarMetrics {
    refreshes: Family<RefreshLabels, Counter>,
    good_seconds: Family<SourceLabel, Gauge<f64, AtomicU64>>,
}

impl CalendarMetrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("foremesh");
        registry.register(
            "calendar_refreshes",
            "Attempts to read a calendar by source and result: changed, unchanged, failed",
            self.refreshes.clone(),
        );
        registry.register(
            "calendar_good_time_seconds",
            "When a source of calendars was read successfully last, in seconds since 1970; alert when it falls behind",
            self.good_seconds.clone(),
        );
    }

    pub(super) fn refreshed(&self, source: &str, result: &'static str) {
        self.refreshes.get_or_create(&RefreshLabels { source: source.to_owned(), result }).inc();
    }

    pub(super) fn good(&self, source: &str, at_ms: i64) {
        self.good_seconds.get_or_create(&SourceLabel { source: source.to_owned() }).set(at_ms as f64 / 1e3);
    }

    /// Refreshes that failed, of one source.
    pub fn failed(&self, source: &str) -> u64 {
        self.refreshes.get_or_create(&RefreshLabels { source: source.to_owned(), result: "failed" }).get()
    }
}
