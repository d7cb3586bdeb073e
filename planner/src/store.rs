//! Keeps what proxies observed: the port [`SeriesStore`] and its embedded adapter, [`sqlite::SqliteStore`].
//!
//! A summary is *appended* (durable when the call returns), waits in the inbox, and is *flushed* into steps of three
//! levels, whose counts and histograms are sums of what was observed in them. Reads see what was flushed.
//!
//! A summary belongs as a whole to the step that holds the midpoint of its window, and never to a step after the one
//! in which it was received (a proxy whose clock is ahead cannot have seen the future). So an outage of the planner,
//! after which a proxy delivers one long window, costs resolution in time but no observation.
//!
//! A window that is longer than [`LONG_WINDOW_STEPS`] says nothing of the rate in any one step: the step in its middle
//! has too many requests, the others that it covers have too few. All of them are marked, and the rate of the services
//! in them is not told ([`foremesh_core::history::ServiceStep::rate_known`]); counts and histograms stay exact sums.
//! Spreading the requests over the steps would only look like a measurement, and would take a row for each of them.
pub mod error;
pub mod health;
pub mod metrics;
pub mod settings;
pub mod sqlite;
pub mod streams;

pub use error::StoreError;
pub use foremesh_core::gauge::{GaugeMetric, GaugeSource};
pub use foremesh_summary::Accumulator as Histogram;
pub use health::Health;
pub use settings::{Level, Levels, StoreSettings};
pub use sqlite::SqliteStore;
pub use streams::ProxyStream;

use async_trait::async_trait;
use bytes::Bytes;
use foremesh_core::{
    history::ServiceStep,
    ids::{NodeId, ServiceId, WorkloadId},
    time::Timestamp,
};
use foremesh_summary::wire::{Direction, WindowSummary};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// Windows up to this many steps are told by their middle; longer ones make the rate of the steps they cover unknown.
pub const LONG_WINDOW_STEPS: f64 = 1.5;

/// Name of the series that takes what no longer fits under a limit.
pub const OTHER: &str = "_other";

/// A checked summary on its way into the store.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The message, already checked by [`foremesh_summary::check`].
    pub message: WindowSummary,
    /// The same message in protobuf, which is what is made durable.
    pub body: Bytes,
    /// When it arrived, by the planner's clock.
    pub received: Timestamp,
}

/// What became of a summary. Both mean that it is durable and counted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// New.
    Stored,
    /// It had been stored before; nothing was changed.
    Duplicate,
}

/// What a series of observations is about. Ordered, so that listings are stable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// Which end measured.
    pub direction: Direction,
    /// Workload that called: the proxy's own (outbound), or the peer where it was known (inbound).
    pub caller: String,
    /// Service that was called.
    pub callee: String,
    /// Route name; empty when the proxy's configuration gives none.
    pub route: String,
    /// Node of the proxy that measured: the callee's node (inbound) or the caller's (outbound).
    pub node: String,
    /// Zone of that node.
    pub zone: String,
}

/// Observations by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Without an error.
    pub ok: u64,
    /// The caller's mistake.
    pub client_error: u64,
    /// The service's failure.
    pub server_error: u64,
    /// The caller went away.
    pub aborted: u64,
    /// Sum of the latencies, in microseconds.
    pub sum_us: u64,
}

impl Counts {
    /// Finished observations: all but the aborted ones.
    pub fn finished(&self) -> u64 {
        self.ok.saturating_add(self.client_error).saturating_add(self.server_error)
    }

    /// All observations.
    pub fn all(&self) -> u64 {
        self.finished().saturating_add(self.aborted)
    }

    /// Adds other observations.
    pub fn add(&mut self, other: &Self) {
        self.ok = self.ok.saturating_add(other.ok);
        self.client_error = self.client_error.saturating_add(other.client_error);
        self.server_error = self.server_error.saturating_add(other.server_error);
        self.aborted = self.aborted.saturating_add(other.aborted);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

/// One step of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesStep {
    /// What it is about.
    pub key: Arc<SeriesKey>,
    /// Start of the step.
    pub start: Timestamp,
    /// Observations by how they ended.
    pub counts: Counts,
    /// Responses by gRPC status, where there were any.
    pub grpc: BTreeMap<u32, u64>,
    /// Latencies of the finished observations.
    pub latency: Histogram,
}

/// Which steps to read: those that start in `from..to`, of the series that match every filter given.
#[derive(Clone, Debug, Default)]
pub struct RangeQuery {
    /// Level: 0 for base steps, then 1 and 2 for the roll-ups.
    pub level: u8,
    /// Start of the first step.
    pub from: Timestamp,
    /// Start of the first step after the range.
    pub to: Timestamp,
    /// Only what this end measured.
    pub direction: Option<Direction>,
    /// Only calls of this service.
    pub callee: Option<ServiceId>,
    /// Only calls by this workload.
    pub caller: Option<WorkloadId>,
    /// Only what proxies on this node measured.
    pub node: Option<NodeId>,
}

/// Which steps of services or routes to read, merged over replicas and nodes.
///
/// A service is shown as its callers measured it where any caller measured it in that step, else as its own proxies
/// did. Routes follow their service, so that the requests of all routes of a step are those of the service.
#[derive(Clone, Debug, Default)]
pub struct ServiceQuery {
    /// Level: 0 for base steps, then 1 and 2 for the roll-ups.
    pub level: u8,
    /// Start of the first step.
    pub from: Timestamp,
    /// Start of the first step after the range.
    pub to: Timestamp,
    /// Only calls of these services; of all when not given.
    pub services: Option<BTreeSet<ServiceId>>,
    /// Only what this end measured: `Inbound` is what the service's own workload did, whoever called.
    pub measured_by: Option<Direction>,
    /// Base steps over which histograms are merged before a tail is read; at level 0 only. With 20 and more it is made
    /// of whole roll-ups and the steps since, so it is up to 9 steps shorter. 0 and 1 mean the step alone.
    pub tail_steps: usize,
}

impl ServiceQuery {
    /// Steps of a level that start in `from..to`, of all services.
    pub fn new(level: u8, from: Timestamp, to: Timestamp) -> Self {
        Self { level, from, to, ..Self::default() }
    }

    /// The same for one service.
    #[must_use]
    pub fn of(self, service: ServiceId) -> Self {
        Self { services: Some(BTreeSet::from([service])), ..self }
    }
}

/// One step of one service, merged over its series.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRow {
    /// The service that was called.
    pub service: ServiceId,
    /// Start of the step.
    pub start: Timestamp,
    /// What was observed.
    pub step: ServiceStep,
}

/// Who calls what by which route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId {
    /// The service that is called.
    pub callee: ServiceId,
    /// The workload that calls; empty where the callee's proxy does not know it.
    pub caller: WorkloadId,
    /// Name of the route; empty when the proxy's configuration gives none.
    pub route: String,
}

/// One step of one route, merged over its series.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteRow {
    /// The route; rows of one answer share it.
    pub route: Arc<RouteId>,
    /// Start of the step.
    pub start: Timestamp,
    /// What was observed.
    pub step: ServiceStep,
}

/// What a gauge is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GaugeSubject {
    /// A node.
    Node(NodeId),
    /// A workload, all its replicas.
    Workload(WorkloadId),
}

/// One reading of a gauge.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// What was measured.
    pub subject: GaugeSubject,
    /// Which quantity.
    pub metric: GaugeMetric,
    /// Who measured.
    pub source: GaugeSource,
    /// When.
    pub at: Timestamp,
    /// How much; readings that are not finite are left out.
    pub value: f64,
}

/// Mean of the readings of one gauge by one source in one step.
#[derive(Clone, Debug, PartialEq)]
pub struct GaugeStep {
    /// What was measured.
    pub subject: GaugeSubject,
    /// Which quantity.
    pub metric: GaugeMetric,
    /// Who measured.
    pub source: GaugeSource,
    /// Start of the step.
    pub start: Timestamp,
    /// Mean of the readings.
    pub mean: f64,
    /// Number of readings.
    pub readings: u64,
    /// When the newest of them was taken.
    pub newest: Timestamp,
}

/// When each gauge was read last.
pub type GaugeMarks = BTreeMap<(GaugeSubject, GaugeMetric), Timestamp>;

/// Which base steps were written since this was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Too many to name: read everything again.
    pub everything: bool,
    /// Base steps in which something changed, and the services that it is about. A reader that keeps histories needs
    /// only these services of these steps: see [`ServiceQuery::services`].
    pub steps: BTreeMap<Timestamp, BTreeSet<ServiceId>>,
    /// Base steps with new gauge readings.
    pub gauge_steps: BTreeSet<Timestamp>,
}

/// Keeps observations by series and step. Implemented by an embedded file and, beyond one machine, by a server.
#[async_trait]
pub trait SeriesStore: Send + Sync + fmt::Debug {
    /// Makes summaries durable; each is counted once however often it is appended.
    ///
    /// # Errors
    /// [`StoreError::Forgotten`] for one that cannot be told from a duplicate any more; any other error means that it
    /// is not durable and must not be acknowledged.
    async fn append(&self, summary: Summary) -> Result<Appended, StoreError>;

    /// Makes gauge readings durable and readable.
    ///
    /// # Errors
    /// When they are not durable.
    async fn append_gauges(&self, gauges: Vec<Gauge>) -> Result<(), StoreError>;

    /// Merges what was appended into steps, so that reads see it; forgets what is over its retention at `now`.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is lost, the next call tries again.
    async fn flush(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Base steps that changed since the last call. There is one reader: a second one would miss what the first took.
    ///
    /// # Errors
    /// When the store is closed.
    async fn changes(&self) -> Result<Changes, StoreError>;

    /// Steps series by series, ordered by start, with their histograms.
    ///
    /// # Errors
    /// When the store cannot be read, or [`StoreError::TooWide`] when that would take too much memory.
    async fn range(&self, query: RangeQuery) -> Result<Vec<SeriesStep>, StoreError>;

    /// Steps service by service, ordered by start.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn service_range(&self, query: ServiceQuery) -> Result<Vec<ServiceRow>, StoreError>;

    /// Steps route by route, ordered by start.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn route_range(&self, query: ServiceQuery) -> Result<Vec<RouteRow>, StoreError>;

    /// Series with an observation in a base step that starts at `from` or later; no histogram is read.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn active_since(&self, from: Timestamp) -> Result<Vec<SeriesKey>, StoreError>;

    /// Gauge steps that start in `from..to`, ordered by start, for one metric and subject or for all. A gauge that several
    /// sources measured has a step for each of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn gauge_range(
        &self,
        level: u8,
        from: Timestamp,
        to: Timestamp,
        metric: Option<GaugeMetric>,
        subject: Option<GaugeSubject>,
    ) -> Result<Vec<GaugeStep>, StoreError>;

    /// When each gauge was read last by this source: what a source that is asked for its past goes on from.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn gauge_marks(&self, source: GaugeSource) -> Result<GaugeMarks, StoreError>;

    /// Every series that was ever observed and is not forgotten.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn series(&self) -> Result<Vec<SeriesKey>, StoreError>;

    /// Every service that was ever called, without the overflow series.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn services(&self) -> Result<Vec<ServiceId>, StoreError>;

    /// Every proxy worker that has sent within the retention.
    ///
    /// # Errors
    /// When the store is closed.
    async fn streams(&self) -> Result<Vec<ProxyStream>, StoreError>;

    /// Steps and retention of each level.
    fn levels(&self) -> &Levels;

    /// Whether appends work.
    fn health(&self) -> Health;
}

#[cfg(test)]
pub(crate) mod tests;
