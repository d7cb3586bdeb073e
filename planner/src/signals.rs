//! Numbers that others measure: a Prometheus-compatible server, node-exporters, and what is pushed by OTLP.
//!
//! Every reading keeps its source, and every source its age. A source that fails never stops the planner: the failure
//! is counted and shown, and the age of its newest number grows.
mod node_exporter;
mod otlp;
pub mod prometheus;
mod rates;
pub mod settings;
pub mod status;

pub use node_exporter::ScrapeError;

use crate::{clock::Clock, store::SeriesStore};
use axum::Router;
use foremesh_core::ids::NodeId;
use node_exporter::NodeExporter;
use prometheus::{PrometheusError, PrometheusSource};
use settings::SignalSettings;
use status::Statuses;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};

/// Names of the sources that there is one of.
const PROMETHEUS: &str = "prometheus";

/// All sources, connected and not yet read.
#[derive(Debug)]
pub struct Signals {
    prometheus: Option<(PrometheusSource, Duration)>,
    exporters: Vec<(String, NodeExporter, Duration)>,
    store: Arc<dyn SeriesStore>,
    clock: Clock,
    statuses: Statuses,
    router: Router,
}

impl Signals {
    /// The sources of the settings. `addresses` are the platform's nodes by address, for labels that name an address.
    ///
    /// # Errors
    /// When a client cannot be made, such as for certificates that cannot be read. No source is asked.
    pub fn new(
        settings: &SignalSettings,
        addresses: &BTreeMap<String, NodeId>,
        store: Arc<dyn SeriesStore>,
        clock: Clock,
        statuses: Statuses,
    ) -> Result<Self, PrometheusError> {
        let step = store.levels().base().step;
        let prometheus = match &settings.prometheus {
            None => None,
            Some(how) => {
                statuses.known(PROMETHEUS);
                let (store, statuses) = (Arc::clone(&store), statuses.clone());
                let client = prometheus::client(how)?;
                let source =
                    PrometheusSource::new(PROMETHEUS.to_owned(), how, client, addresses, store, statuses);
                Some((source, how.interval.duration()))
            }
        };
        let mut exporters = Vec::new();
        for how in &settings.node_exporters {
            let name = format!("node_exporter/{}", how.node);
            statuses.known(&name);
            let http = prometheus::http_client(&how.url, how.timeout.duration(), None)?;
            let node = NodeId::new(how.node.clone());
            let exporter = NodeExporter::new(node, how.url.clone(), how.timeout.duration(), http, step);
            exporters.push((name, exporter, how.interval.duration()));
        }
        let mut router = Router::new();
        if settings.otlp.enabled {
            let (store, clock, statuses) = (Arc::clone(&store), clock.clone(), statuses.clone());
            router = router.merge(otlp::router(store, clock, statuses, step, settings.otlp.max_body_bytes));
        }
        Ok(Self { prometheus, exporters, store, clock, statuses, router })
    }

    /// The receiver of OTLP, where it is enabled.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Reads every source in its interval until `stopped` says so; a read that is under way is cut off then, because
    /// what it did not store is read again.
    pub fn start(self, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let Self { prometheus, exporters, store, clock, statuses, .. } = self;
        let mut tasks = Vec::new();
        if let Some((source, interval)) = prometheus {
            let task = read_prometheus(source, interval, clock.clone(), statuses.clone());
            tasks.push(tokio::spawn(until_stopped(stopped.clone(), task)));
        }
        for (name, exporter, interval) in exporters {
            let task = scrape(name, exporter, interval, Arc::clone(&store), clock.clone(), statuses.clone());
            tasks.push(tokio::spawn(until_stopped(stopped.clone(), task)));
        }
        tasks
    }
}

async fn until_stopped(mut stopped: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => {}
        () = task => {}
    }
}

/// Ticks that do not pile up while a read takes longer than the interval.
fn ticks(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn read_prometheus(mut source: PrometheusSource, interval: Duration, clock: Clock, statuses: Statuses) {
    let mut ticks = ticks(interval);
    loop {
        ticks.tick().await;
        match source.read(clock.now()).await {
            Ok(warnings) => statuses.succeeded(PROMETHEUS, clock.now(), warnings),
            Err(error) => statuses.failed(PROMETHEUS, &error),
        }
    }
}

async fn scrape(
    name: String,
    mut exporter: NodeExporter,
    interval: Duration,
    store: Arc<dyn SeriesStore>,
    clock: Clock,
    statuses: Statuses,
) {
    let mut ticks = ticks(interval);
    loop {
        ticks.tick().await;
        let gauges = match exporter.scrape(&clock).await {
            Ok(gauges) => gauges,
            Err(error) => {
                statuses.failed(&name, &error);
                continue;
            }
        };
        let (count, newest) = (gauges.len(), gauges.iter().map(|gauge| gauge.at).max());
        match store.append_gauges(gauges).await {
            Ok(()) => {
                statuses.took(&name, count, 0, newest);
                statuses.succeeded(&name, clock.now(), Vec::new());
            }
            Err(error) => statuses.failed(&name, &error),
        }
    }
}
