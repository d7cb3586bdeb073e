//! Tests of the store, and the summaries that other tests send.
mod crash;
mod exactly_once;
mod files;
mod located;
mod streams;
mod views;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    store::metrics::StoreMetrics,
};
use foremesh_core::time::Step;
use foremesh_summary::wire::{GrpcCount, Proxy, RouteWindow};
use std::path::Path;

/// Some Tuesday, at a whole hour.
pub(crate) const NOON: i64 = 1_763_985_600_000;
pub(crate) const MINUTE: i64 = 60_000;

/// A count of milliseconds that fits.
pub(crate) fn ms(count: u64) -> i64 {
    i64::try_from(count).unwrap()
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

pub(crate) fn proxy(workload: &str, node: &str) -> Proxy {
    Proxy {
        mesh: "mesh1".into(),
        cluster: "c1".into(),
        namespace: "shop".into(),
        workload: workload.into(),
        pod: format!("{workload}-0"),
        node: node.into(),
        zone: "z1".into(),
    }
}

/// A route window with these latencies, of which the first `server_errors` are the service's failures.
pub(crate) fn route(
    direction: Direction,
    callee: &str,
    latencies_us: &[u64],
    server_errors: u64,
) -> RouteWindow {
    let mut latency = Histogram::default();
    for us in latencies_us {
        latency.record(*us);
    }
    RouteWindow {
        direction: direction as i32,
        callee: callee.into(),
        route: "default".into(),
        peer: "edge".into(),
        ok: latencies_us.len() as u64 - server_errors,
        client_error: 0,
        server_error: server_errors,
        aborted: 0,
        grpc: Vec::new(),
        sum_us: latencies_us.iter().sum(),
        latency_hdr_v2: latency.encode(),
        peer_node: String::new(),
    }
}

/// A summary of the two seconds before `end_ms`.
pub(crate) fn summary(
    proxy: Proxy,
    epoch: u64,
    sequence: u64,
    end_ms: i64,
    cumulative: u64,
    routes: Vec<RouteWindow>,
) -> Summary {
    let message = WindowSummary {
        major: foremesh_summary::MAJOR,
        minor: foremesh_summary::MINOR,
        proxy: Some(proxy),
        epoch,
        sequence,
        start_unix_ms: (end_ms - 2000) as u64,
        end_unix_ms: end_ms as u64,
        cumulative,
        overflow: 0,
        failed_pushes: 0,
        routes,
        config_error: String::new(),
        fallbacks: 0,
    };
    foremesh_summary::check(&message, &foremesh_summary::Limits::default()).unwrap();
    Summary { body: foremesh_summary::encode(&message).into(), message, received: at(end_ms + 100) }
}

pub(crate) fn settings() -> StoreSettings {
    StoreSettings::from_base(Step::from_ms(MINUTE).unwrap())
}

/// Opens a store whose timers never flush, so that tests decide when.
pub(crate) fn open_with(
    folder: &Path,
    change: impl FnOnce(&mut StoreSettings),
) -> Result<SqliteStore, StoreError> {
    let mut settings = StoreSettings { flush_after_ms: u64::from(u32::MAX), ..settings() };
    change(&mut settings);
    let clock = Clock::Manual(ManualClock::new(at(NOON)));
    SqliteStore::open(&folder.join("store.db"), settings, clock, StoreMetrics::default())
}

pub(crate) fn open(folder: &Path) -> SqliteStore {
    open_with(folder, |_| ()).unwrap()
}

/// All steps of a level.
pub(crate) async fn all(store: &SqliteStore, level: u8) -> Vec<SeriesStep> {
    store.range(RangeQuery { level, from: at(0), to: at(i64::MAX), ..RangeQuery::default() }).await.unwrap()
}

#[tokio::test]
async fn a_series_says_who_called_whom_and_where_it_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut inbound = route(Direction::Inbound, "cart", &[1000, 2000], 1);
    inbound.aborted = 3;
    inbound.grpc = vec![GrpcCount { status: 0, count: 1 }, GrpcCount { status: 14, count: 1 }];
    let outbound = route(Direction::Outbound, "payment", &[5000], 0);
    let sent = summary(proxy("cart", "n1"), 7, 1, NOON, 6, vec![inbound, outbound]);
    assert_eq!(store.append(sent).await.unwrap(), Appended::Stored);
    assert!(all(&store, 0).await.is_empty(), "reads see what was flushed");
    store.flush(at(NOON + 1)).await.unwrap();

    let steps = all(&store, 0).await;
    let names: Vec<_> =
        steps.iter().map(|s| (s.key.direction, s.key.caller.as_str(), s.key.callee.as_str())).collect();
    assert_eq!(names, [(Direction::Inbound, "edge", "cart"), (Direction::Outbound, "cart", "payment")]);
    let cart = &steps[0];
    assert_eq!(
        (cart.key.node.as_str(), cart.key.zone.as_str(), cart.key.route.as_str()),
        ("n1", "z1", "default")
    );
    assert_eq!(cart.start, at(NOON - MINUTE), "the step that holds the midpoint of the window");
    assert_eq!(cart.counts, Counts { ok: 1, client_error: 0, server_error: 1, aborted: 3, sum_us: 3000 });
    assert_eq!(cart.grpc, BTreeMap::from([(0, 1), (14, 1)]));
    assert_eq!(cart.latency.count(), 2);
    assert_eq!(store.services().await.unwrap(), [ServiceId::from("cart"), ServiceId::from("payment")]);
}

#[tokio::test]
async fn data_that_is_late_joins_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (sequence, late_ms) in [(1, 0), (2, 10 * MINUTE)] {
        let routes = vec![route(Direction::Outbound, "cart", &[1000, 9000], 1)];
        let mut sent = summary(proxy("edge", "n1"), 7, sequence, NOON - 5000, 2 * sequence, routes);
        sent.received = at(NOON + late_ms);
        store.append(sent).await.unwrap();
        store.flush(at(NOON + late_ms)).await.unwrap();
    }
    for level in 0..3 {
        let steps = all(&store, level).await;
        assert_eq!(steps.len(), 1, "level {level}");
        assert_eq!((steps[0].counts.ok, steps[0].counts.server_error, steps[0].latency.count()), (2, 2, 4));
    }
    let changes = store.changes().await.unwrap();
    assert_eq!(
        changes.steps,
        BTreeMap::from([(at(NOON - MINUTE), BTreeSet::from([ServiceId::from("cart")]))])
    );
    assert_eq!(store.changes().await.unwrap(), Changes::default(), "changes are told once");
}

#[tokio::test]
async fn a_clock_that_is_ahead_does_not_write_the_future() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut sent = summary(
        proxy("edge", "n1"),
        7,
        1,
        NOON + 3_600_000,
        1,
        vec![route(Direction::Outbound, "cart", &[5], 0)],
    );
    sent.received = at(NOON + 1);
    store.append(sent).await.unwrap();
    store.flush(at(NOON + 2)).await.unwrap();
    assert_eq!(all(&store, 0).await[0].start, at(NOON));
    assert_eq!(store.streams().await.unwrap()[0].ahead, 1);
}

#[tokio::test]
async fn roll_ups_are_the_exact_sum_of_base_steps() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut cumulative = 0;
    for sequence in 1..=150_u64 {
        let end = NOON + ms(sequence) * 29_000;
        let latencies: Vec<u64> = (0..=sequence % 7).map(|n| 300 + n * n * 777 + sequence * 13).collect();
        let routes =
            ["cart", "payment"].map(|callee| route(Direction::Outbound, callee, &latencies, sequence % 2));
        cumulative += 2 * latencies.len() as u64;
        store
            .append(summary(proxy("edge", "n1"), 7, sequence, end, cumulative, routes.to_vec()))
            .await
            .unwrap();
        // Steps are written in pieces, some of them twice.
        if sequence % 4 == 0 {
            store.flush(at(end + 200)).await.unwrap();
        }
    }
    let end = at(NOON + 151 * 29_000);
    store.flush(end).await.unwrap();
    let base = all(&store, 0).await;
    assert_eq!(base.iter().map(|s| s.counts.all()).sum::<u64>(), cumulative);
    for (number, level) in store.levels().iter().skip(1) {
        let mut want: BTreeMap<(Timestamp, String), (Counts, Histogram)> = BTreeMap::new();
        for step in &base {
            let sum = want.entry((level.step.floor(step.start), step.key.callee.clone())).or_default();
            sum.0.add(&step.counts);
            sum.1.merge(&step.latency);
        }
        let got: BTreeMap<_, _> = all(&store, number)
            .await
            .into_iter()
            .map(|s| ((s.start, s.key.callee.clone()), (s.counts, s.latency)))
            .collect();
        assert_eq!(got.len(), want.len(), "level {number}");
        for (key, (counts, latency)) in want {
            let (got_counts, got_latency) = &got[&key];
            assert_eq!(*got_counts, counts, "level {number}, {key:?}");
            for quantile in [0.01, 0.5, 0.99, 1.0] {
                assert_eq!(
                    got_latency.quantile(quantile),
                    latency.quantile(quantile),
                    "level {number}, {key:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn each_level_is_forgotten_at_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store
        .append(summary(
            proxy("edge", "n1"),
            7,
            1,
            NOON,
            1,
            vec![route(Direction::Outbound, "cart", &[5], 0)],
        ))
        .await
        .unwrap();
    let cpu = Gauge {
        subject: GaugeSubject::Node("n1".into()),
        metric: GaugeMetric::CpuUsedMillicores,
        source: GaugeSource::Platform,
        at: at(NOON),
        value: 700.0,
    };
    store.append_gauges(vec![cpu]).await.unwrap();
    let day = 24 * 60 * MINUTE;
    for (days, want) in [(0, [1, 1, 1]), (3, [0, 1, 1]), (15, [0, 0, 1]), (401, [0, 0, 0])] {
        let now = at(NOON + days * day);
        store.flush(now).await.unwrap();
        let mut kept = [0; 3];
        for (level, kept) in (0..).zip(&mut kept) {
            *kept = all(&store, level).await.len();
            let gauges = store
                .gauge_range(level, at(0), at(i64::MAX), Some(GaugeMetric::CpuUsedMillicores), None)
                .await
                .unwrap();
            assert_eq!(gauges.len(), *kept, "gauges of level {level} after {days} days");
        }
        assert_eq!(kept, want, "steps after {days} days");
    }
}

#[tokio::test]
async fn gauges_are_means_of_their_readings() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let reading = |subject: GaugeSubject, after_ms, value| Gauge {
        subject,
        metric: GaugeMetric::CpuUsedMillicores,
        source: GaugeSource::Platform,
        at: at(NOON + after_ms),
        value,
    };
    let node = GaugeSubject::Node("n1".into());
    let workload = GaugeSubject::Workload("n1".into());
    store
        .append_gauges(vec![
            reading(node.clone(), 0, 100.0),
            reading(node.clone(), 30_000, 300.0),
            reading(node.clone(), 30_000, f64::NAN),
            reading(workload, 0, 50.0),
            reading(node.clone(), MINUTE, 900.0),
        ])
        .await
        .unwrap();
    let read = |level| {
        store.gauge_range(
            level,
            at(0),
            at(i64::MAX),
            Some(GaugeMetric::CpuUsedMillicores),
            Some(node.clone()),
        )
    };
    let base: Vec<_> = read(0).await.unwrap().into_iter().map(|g| (g.start, g.mean, g.readings)).collect();
    assert_eq!(base, [(at(NOON), 200.0, 2), (at(NOON + MINUTE), 900.0, 1)]);
    let rolled: Vec<_> = read(1).await.unwrap().into_iter().map(|g| (g.mean, g.readings)).collect();
    assert_eq!(rolled, [(1300.0 / 3.0, 3)]);
    assert_eq!(store.changes().await.unwrap().gauge_steps, BTreeSet::from([at(NOON), at(NOON + MINUTE)]));
}

#[tokio::test]
async fn above_the_series_limit_observations_are_kept_without_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), |settings| settings.max_series = 3).unwrap();
    let routes: Vec<_> =
        (0..10).map(|n| route(Direction::Outbound, &format!("service-{n}"), &[100 * n + 1], 0)).collect();
    store.append(summary(proxy("edge", "n1"), 7, 1, NOON, 10, routes)).await.unwrap();
    store.flush(at(NOON)).await.unwrap();
    let steps = all(&store, 0).await;
    assert_eq!(steps.len(), 4);
    assert_eq!(steps.iter().map(|s| s.counts.all()).sum::<u64>(), 10, "no observation is lost");
    assert_eq!(store.services().await.unwrap().len(), 3, "the overflow is no service");
}

#[test]
fn one_pass_merges_as_two_do() {
    let (mut once, mut twice) = (Histogram::default(), Histogram::default());
    for number in 0..200_u64 {
        let mut latency = Histogram::default();
        (0..number * number % 97).for_each(|n| (0..=n % 7 * 40).for_each(|_| latency.record(n * number * 7)));
        let bytes = latency.encode();
        let added = foremesh_summary::merge_checked(&mut once, &bytes);
        assert_eq!(added, foremesh_summary::merge_v2(&mut twice, &bytes));
        assert_eq!(once, twice);
    }
    assert!(foremesh_summary::merge_checked(&mut once, &[1, 2, 3]).is_err());
}

#[test]
fn several_quantiles_are_those_asked_one_by_one() {
    let mut latency = Histogram::default();
    assert_eq!(latency.quantiles([0.5, 0.99]), None);
    for number in 1..=700_u64 {
        latency.record(number * number);
        let several = [0.0, 0.001, 0.5, 0.9, 0.9, 0.999, 1.0];
        let want = several.map(|quantile| latency.quantile(quantile).unwrap());
        assert_eq!(latency.quantiles(several), Some(want), "{number} values");
    }
}
