//! What the server of endpoints says of itself on `/metrics`.
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Seconds from a change to a proxy that has it.
const PUSH_SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Counters of the server; clones share them.
#[derive(Clone, Debug)]
pub struct AdsMetrics {
    /// Streams that are open.
    pub streams: Gauge,
    /// Responses sent.
    pub pushes: Counter,
    /// Responses that a proxy did not take.
    pub nacks: Counter,
    /// Time from a change to the answer of a proxy that has it.
    pub push_seconds: Histogram,
}

impl Default for AdsMetrics {
    fn default() -> Self {
        Self {
            streams: Gauge::default(),
            pushes: Counter::default(),
            nacks: Counter::default(),
            push_seconds: Histogram::new(PUSH_SECONDS),
        }
    }
}

impl AdsMetrics {
    /// Registers all of them.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("foremesh_endpoints");
        registry.register("streams", "Streams of endpoints that are open", self.streams.clone());
        registry.register("pushes", "Responses with endpoints sent to proxies", self.pushes.clone());
        registry.register(
            "nacks",
            "Responses with endpoints that a proxy did not take; it goes on with those that it had",
            self.nacks.clone(),
        );
        registry.register_with_unit(
            "push",
            "Time from a change of endpoints to the answer of a proxy that has it",
            Unit::Seconds,
            self.push_seconds.clone(),
        );
    }
}
