//! What ingest says of itself on `/metrics`.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Duration;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// New and durable.
    Stored,
    /// Durable before.
    Duplicate,
    /// Not a summary, or one with a field that is not allowed.
    Refused,
    /// Over the limit of a body.
    TooLarge,
    /// Of a media type or encoding that is not read.
    Unsupported,
    /// The body did not come in time.
    Timeout,
    /// Too much in flight.
    Overloaded,
    /// The store could not make it durable.
    NotDurable,
}

/// Labels of the summaries counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// How the request ended.
    pub result: &'static str,
}

impl Outcome {
    /// Label value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::NotDurable => "not_durable",
        }
    }
}

/// Times in seconds from request to answer.
const ACK_SECONDS: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0, 5.0];

/// Counters of ingest; clones share them.
#[derive(Clone, Debug)]
pub struct IngestMetrics {
    /// Requests by how they ended.
    pub summaries: Family<OutcomeLabel, Counter>,
    /// Summaries that were received again.
    pub duplicates: Counter,
    /// Observations stored.
    pub observations: Counter,
    /// Bytes of bodies stored, as sent.
    pub bytes: Counter,
    /// Time from the head of the request to the answer.
    pub ack_seconds: Histogram,
}

impl Default for IngestMetrics {
    fn default() -> Self {
        Self {
            summaries: Family::default(),
            duplicates: Counter::default(),
            observations: Counter::default(),
            bytes: Counter::default(),
            ack_seconds: Histogram::new(ACK_SECONDS),
        }
    }
}

impl IngestMetrics {
    /// Shows them in a registry, with names that start with `foremesh_ingest_`.
    pub fn register(&self, registry: &mut Registry) {
        let ingest = registry.sub_registry_with_prefix("foremesh_ingest");
        ingest.register("summaries", "Summaries by how the request ended", self.summaries.clone());
        ingest.register("duplicate_summaries", "Summaries that were received again", self.duplicates.clone());
        ingest.register("observations", "Observations made durable", self.observations.clone());
        ingest.register_with_unit("body", "Bodies made durable, as sent", Unit::Bytes, self.bytes.clone());
        ingest.register_with_unit("ack", "Time until the answer", Unit::Seconds, self.ack_seconds.clone());
    }

    pub(super) fn count(&self, outcome: Outcome, took: Duration) {
        self.summaries.get_or_create(&OutcomeLabel { result: outcome.name() }).inc();
        match outcome {
            Outcome::Stored => self.ack_seconds.observe(took.as_secs_f64()),
            Outcome::Duplicate => {
                self.duplicates.inc();
            }
            _ => {}
        }
    }
}
