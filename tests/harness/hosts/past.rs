//! A past for the planner to learn from, so that no test waits for days to pass.
//!
//! It is what the store of a planner holds that watched the same service for some seasons: each season the service was
//! slow for a while, because its host was full. The store's own code writes it, so the planner reads nothing that it
//! could not have written.
use foremesh::{
    clock::Clock,
    store::{
        Gauge, GaugeMetric, GaugeSource, GaugeSubject, Histogram, SeriesStore as _, SqliteStore,
        StoreSettings, Summary, metrics::StoreMetrics,
    },
};
use foremesh_core::{
    ids::NodeId,
    time::{Step, Timestamp},
};
use foremesh_summary::{
    MAJOR, MINOR, encode,
    wire::{Direction, Proxy, RouteWindow, WindowSummary},
};
use futures::future::try_join_all;
use std::path::Path;

/// Length of a step, the same as in the settings.
pub(super) const STEP_MS: i64 = 500;
/// Length of a season.
pub(super) const SEASON_MS: i64 = 60_000;
/// From the end of the past to the next slow time: long enough to start a planner and to have it killed once before
/// the plan is looked at again.
const BREACH_AFTER_MS: i64 = 25_000;
const BREACH_MS: i64 = 20_000;
/// Seasonal models need one season to start from, then a horizon and twenty errors.
const STEPS: i64 = 300;
/// Epoch of the edge's worker in the past; the real ones are random.
pub(super) const PAST_EPOCH: u64 = 1;
/// Requests of one step.
const REQUESTS: u64 = 100;
/// CPU that the service uses in all.
const SERVICE_MILLICORES: f64 = 500.0;

/// Writes the past of `service` up to `end`, of which `home` served a share, beside hosts that were idle.
pub async fn write(state: &Path, service: &str, (home, share): (&str, f64), idle: &[&str], end_unix_ms: u64) {
    let step = Step::from_ms(STEP_MS).expect("the step is positive");
    let settings = StoreSettings::from_base(step);
    let path = state.join("series.db");
    let store = SqliteStore::open(&path, settings, Clock::System, StoreMetrics::default());
    let store = store.expect("the store can be made");
    let end = step.floor(Timestamp::from_unix_ms(end_unix_ms.cast_signed()));
    let starts: Vec<Timestamp> = (1..=STEPS).rev().map(|back| end.plus_ms(-back * STEP_MS)).collect();
    let summaries = starts.iter().zip(1..).map(|(start, sequence)| {
        let message = summary(service, *start, sequence, is_slow(*start, end));
        let body = encode(&message).into();
        store.append(Summary { message, body, received: start.plus_ms(STEP_MS) })
    });
    try_join_all(summaries).await.expect("the past is accepted");
    let gauge = |node: &str, metric: GaugeMetric, at: Timestamp, value: f64| Gauge {
        subject: GaugeSubject::Node(NodeId::new(node)),
        metric,
        source: GaugeSource::Platform,
        at,
        value,
    };
    let gauges = starts.iter().flat_map(|start| {
        let used = if is_slow(*start, end) { 1_998.0 } else { 500.0 };
        // All that and what it is without the service, as a planner keeps them.
        let both = move |node: &str, used: f64, besides: f64| {
            [(GaugeMetric::CpuUsedMillicores, used), (GaugeMetric::CpuBackgroundMillicores, besides)]
                .map(|(metric, value)| gauge(node, metric, *start, value))
        };
        let idle = idle.iter().flat_map(move |node| both(node, 0.0, 0.0));
        idle.chain(both(home, used, used - share * SERVICE_MILLICORES))
    });
    store.append_gauges(gauges.collect()).await.expect("the past is accepted");
    store.flush(end).await.expect("the past can be merged");
}

fn is_slow(at: Timestamp, end: Timestamp) -> bool {
    (at.ms_since(end) - BREACH_AFTER_MS).rem_euclid(SEASON_MS) < BREACH_MS
}

/// As the edge's proxy would have sent it, in an epoch that is over.
fn summary(service: &str, start: Timestamp, sequence: u64, slow: bool) -> WindowSummary {
    let (from_us, by_us) = if slow { (500_000, 4_000) } else { (5_000, 80) };
    let latencies_us = (0..REQUESTS).map(|request| from_us + by_us * request);
    WindowSummary {
        start_unix_ms: start.unix_ms().cast_unsigned(),
        end_unix_ms: start.plus_ms(STEP_MS).unix_ms().cast_unsigned(),
        cumulative: sequence * REQUESTS,
        ..outbound("edge", "edge-0", service, (PAST_EPOCH, sequence), latencies_us)
    }
}

/// A summary of calls of one service, without its window. Nothing came before it in its epoch.
pub fn outbound(
    caller: &str,
    pod: &str,
    service: &str,
    (epoch, sequence): (u64, u64),
    latencies_us: impl Iterator<Item = u64>,
) -> WindowSummary {
    let mut latency = Histogram::new();
    let mut sum_us = 0;
    for latency_us in latencies_us {
        latency.record(latency_us);
        sum_us += latency_us;
    }
    WindowSummary {
        major: MAJOR,
        minor: MINOR,
        proxy: Some(Proxy {
            workload: caller.to_owned(),
            pod: pod.to_owned(),
            node: "edge".to_owned(),
            zone: "edge".to_owned(),
            ..Proxy::default()
        }),
        epoch,
        sequence,
        cumulative: latency.count(),
        routes: vec![RouteWindow {
            direction: Direction::Outbound as i32,
            callee: service.to_owned(),
            route: "default".to_owned(),
            ok: latency.count(),
            sum_us,
            latency_hdr_v2: latency.encode(),
            ..RouteWindow::default()
        }],
        ..WindowSummary::default()
    }
}
