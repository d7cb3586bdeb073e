//! The past of a fleet and the traffic that goes on, for benchmarks of a planner that has both.
//!
//! The store's own code writes the past, and what is sent afterwards is what an edge's proxy would send, so the planner
//! reads nothing that it could not have stored itself.
use super::ingest::{BenchError, connect, push, window};
use crate::{
    clock::Clock,
    store::{
        Gauge, GaugeMetric, GaugeSource, GaugeSubject, SeriesStore as _, SqliteStore, StoreSettings, Summary,
        metrics::StoreMetrics,
    },
};
use foremesh_core::{
    ids::{NodeId, WorkloadId},
    time::{Step, Timestamp},
};
use foremesh_models::SplitMix;
use foremesh_summary::{
    MAJOR, MINOR, encode,
    wire::{Direction, Proxy, RouteWindow, WindowSummary},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Windows that the proxy repeats in turn.
const WINDOWS: usize = 8;
/// Steps between two flushes, as many as a planner may have to write at once after a minute that went badly.
const FLUSH_EVERY: i64 = 10;
/// Time between two summaries that are sent, as the filter's is by default.
const PUSH_EVERY: Duration = Duration::from_secs(2);
/// CPU of a workload and of a host without any, in millicores.
const WORKLOAD_MILLICORES: f64 = 50.0;
const IDLE_MILLICORES: f64 = 100.0;

/// What to write and where to send.
#[derive(Clone, Debug)]
pub struct FleetBench {
    /// The planner's store, which is made.
    pub file: PathBuf,
    /// Hosts `h0`, `h1`, and so on.
    pub hosts: usize,
    /// Workloads `w0`, `w1`, and so on, which run on the hosts in turn.
    pub workloads: usize,
    /// Length of the past, in steps that end now.
    pub steps: i64,
    /// Seed of the latencies.
    pub seed: u64,
    /// Length of a step.
    pub step: Step,
}

/// The edge's proxy, which calls every workload.
#[derive(Debug)]
pub struct Edge {
    windows: Vec<Vec<RouteWindow>>,
    message: WindowSummary,
}

impl Edge {
    /// As it begins; `epoch` is another one after each start.
    pub fn new(bench: &FleetBench, epoch: u64) -> Self {
        let mut random = SplitMix::new(bench.seed);
        let route = |random: &mut SplitMix, number: usize| RouteWindow {
            direction: Direction::Outbound as i32,
            callee: format!("w{number}"),
            route: "default".to_owned(),
            peer: String::new(),
            ..window(random, number, number)
        };
        let mut all = || (0..bench.workloads).map(|number| route(&mut random, number)).collect();
        let windows = (0..WINDOWS).map(|_| all()).collect();
        let proxy = Proxy {
            workload: "edge".to_owned(),
            pod: "edge-0".to_owned(),
            node: "edge".to_owned(),
            zone: "edge".to_owned(),
            ..Proxy::default()
        };
        let message = WindowSummary {
            major: MAJOR,
            minor: MINOR,
            proxy: Some(proxy),
            epoch,
            ..WindowSummary::default()
        };
        Self { windows, message }
    }

    /// The summary of a window.
    fn summary(&mut self, start: Timestamp, end: Timestamp) -> &WindowSummary {
        let message = &mut self.message;
        if let Some(routes) = self.windows.get(message.sequence as usize % WINDOWS) {
            message.routes.clone_from(routes);
        }
        message.sequence += 1;
        message.start_unix_ms = start.unix_ms().max(0).unsigned_abs();
        message.end_unix_ms = end.unix_ms().max(0).unsigned_abs();
        message.cumulative += message.routes.iter().map(RouteWindow::observations).sum::<u64>();
        message
    }

    /// Sends a summary of each two seconds for as long as they are taken.
    ///
    /// # Errors
    /// When nobody answers there any more, or a summary is refused.
    pub async fn send(mut self, server: SocketAddr) -> Result<(), BenchError> {
        let mut sender = connect(server).await?;
        let mut ticks = tokio::time::interval(PUSH_EVERY);
        loop {
            ticks.tick().await;
            let now = Clock::System.now();
            let start = now.plus_ms(-i64::try_from(PUSH_EVERY.as_millis()).unwrap_or_default());
            push(&mut sender, self.summary(start, now)).await?;
        }
    }
}

/// Writes the past that ends at `now`.
///
/// # Errors
/// When the store cannot be made or does not take it.
pub async fn write(bench: &FleetBench, now: Timestamp) -> Result<(), BenchError> {
    let settings = StoreSettings::from_base(bench.step);
    let store = SqliteStore::open(&bench.file, settings, Clock::System, StoreMetrics::default())?;
    let end = bench.step.floor(now);
    let mut edge = Edge::new(bench, 1);
    for back in (1..=bench.steps).rev() {
        let start = end.plus_ms(-back * bench.step.ms());
        let received = start.plus_ms(bench.step.ms());
        let message = edge.summary(start, received).clone();
        store.append(Summary { body: encode(&message).into(), message, received }).await?;
        store.append_gauges(gauges(bench, start)).await?;
        if back % FLUSH_EVERY == 1 {
            store.flush(received).await?;
        }
    }
    store.flush(end).await?;
    Ok(())
}

/// What the hosts' own commands would have told.
fn gauges(bench: &FleetBench, at: Timestamp) -> Vec<Gauge> {
    let gauge = |subject, metric, value| Gauge { subject, metric, source: GaugeSource::Platform, at, value };
    let hosts = (0..bench.hosts).flat_map(|host| {
        let here = (host..bench.workloads).step_by(bench.hosts).count();
        let used = IDLE_MILLICORES + WORKLOAD_MILLICORES * here as f64;
        [(GaugeMetric::CpuUsedMillicores, used), (GaugeMetric::CpuBackgroundMillicores, IDLE_MILLICORES)]
            .map(|(metric, value)| gauge(GaugeSubject::Node(NodeId::new(format!("h{host}"))), metric, value))
    });
    let workloads = (0..bench.workloads).map(|workload| {
        let subject = GaugeSubject::Workload(WorkloadId::new(format!("w{workload}")));
        gauge(subject, GaugeMetric::CpuUsedMillicores, WORKLOAD_MILLICORES)
    });
    hosts.chain(workloads).collect()
}
