use super::*;
use crate::store::{
    Gauge, GaugeMetric, GaugeSource, SqliteStore,
    tests::{MINUTE, NOON, at, open, open_with, proxy, route, summary},
};
use crate::{
    clock::{Clock, ManualClock},
    gates::StoreGates,
    rollout::GateSource as _,
};
use foremesh_core::{history::Metric, units::Quantile};
use foremesh_summary::wire::Direction;

const SETTINGS: ObservedSettings = ObservedSettings { keep_ms: 60 * MINUTE, settle_ms: 5000, tail_steps: 60 };

/// Sends what a proxy saw in the two seconds before `end_ms`; the epoch makes each one a stream of its own.
async fn send(
    store: &SqliteStore,
    epoch: u64,
    workload: &str,
    node: &str,
    end_ms: i64,
    routes: Vec<foremesh_summary::RouteWindow>,
) {
    let count = routes.iter().map(foremesh_summary::RouteWindow::observations).sum();
    store.append(summary(proxy(workload, node), epoch, 1, end_ms, count, routes)).await.unwrap();
}

fn requests(observed: &Observed, service: &str) -> (i64, Vec<Option<u64>>) {
    let history = observed.service(&service.into()).expect("the service has a history");
    let first = history.start.ms_since(at(NOON)) / MINUTE;
    (first, history.steps.iter().map(|step| step.map(|s| u64::from(s.requests))).collect())
}

#[tokio::test]
async fn steps_appear_when_they_have_settled_and_change_when_data_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let out = |latencies: &[u64]| vec![route(Direction::Outbound, "cart", latencies, 0)];
    send(&store, 1, "edge", "n1", NOON + 30_000, out(&[1000, 2000])).await;
    let mut observed = Observed::backfill(store.clone(), SETTINGS, at(NOON + MINUTE + 4999)).await.unwrap();
    assert!(observed.service(&"cart".into()).is_none(), "the step has not settled");
    observed.refresh(at(NOON + MINUTE + 5000)).await.unwrap();
    assert_eq!(requests(&observed, "cart"), (0, vec![Some(2)]));

    send(&store, 2, "edge", "n1", NOON + 3 * MINUTE + 30_000, out(&[1000])).await;
    observed.refresh(at(NOON + 3 * MINUTE + 40_000)).await.unwrap();
    assert_eq!(requests(&observed, "cart"), (0, vec![Some(2), None, None]), "gaps stay gaps");
    // One for a step that is shown already, and one from before the first.
    send(&store, 3, "edge", "n1", NOON + 50_000, out(&[1000])).await;
    send(&store, 4, "edge", "n1", NOON - 30_000, out(&[1000, 1000, 1000])).await;
    observed.refresh(at(NOON + 4 * MINUTE + 5000)).await.unwrap();
    assert_eq!(requests(&observed, "cart"), (-1, vec![Some(3), Some(3), None, None, Some(1)]));

    let again = Observed::backfill(store, SETTINGS, at(NOON + 4 * MINUTE + 5000)).await.unwrap();
    assert_eq!(requests(&again, "cart"), requests(&observed, "cart"), "a restart sees the same");
    assert_eq!(again.end(), at(NOON + 4 * MINUTE));
}

#[tokio::test]
async fn a_restart_sees_what_many_refreshes_saw() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let mut observed = Observed::backfill(store.clone(), SETTINGS, at(NOON)).await.unwrap();
    // Twice as long as is kept, with a service that ends and one that begins.
    for minute in 0..120_i64 {
        let service = if minute < 50 { "cart" } else { "payment" };
        let latencies = [1000, 1000 + minute as u64 * 10];
        let end = NOON + minute * MINUTE + 30_000;
        send(
            &store,
            minute as u64 + 1,
            "edge",
            "n1",
            end,
            vec![route(Direction::Outbound, service, &latencies, 0)],
        )
        .await;
        let cpu = Gauge {
            subject: GaugeSubject::Node("n1".into()),
            metric: GaugeMetric::CpuUsedMillicores,
            source: GaugeSource::Platform,
            at: at(end),
            value: minute as f64,
        };
        store.append_gauges(vec![cpu]).await.unwrap();
        observed.refresh(at(end + 40_000)).await.unwrap();
    }
    let again = Observed::backfill(store, SETTINGS, at(NOON + 119 * MINUTE + 70_000)).await.unwrap();
    assert!(observed.service(&"cart".into()).is_none(), "nothing of it is in the last hour");
    let newest = |observed: &Observed| {
        let history = observed.service(&"payment".into()).unwrap();
        assert!(history.steps.len() <= 64, "at most the hour and a little more, not {}", history.steps.len());
        history.steps.iter().rev().take(60).copied().collect::<Vec<_>>()
    };
    assert_eq!(newest(&observed).len(), 60);
    assert_eq!(newest(&observed), newest(&again));
    let cpu = |observed: &Observed| {
        let series = observed.node(&"n1".into()).unwrap().cpu_used_millicores().unwrap().clone();
        assert_eq!(series.end(), observed.end());
        series.values().iter().rev().take(60).copied().collect::<Vec<_>>()
    };
    assert_eq!(cpu(&observed).first(), Some(&119.0));
    assert_eq!(cpu(&observed), cpu(&again));
}

#[tokio::test]
async fn the_callers_view_counts_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let inbound = |latencies: &[u64]| route(Direction::Inbound, "cart", latencies, 0);
    let outbound = |latencies: &[u64], errors| route(Direction::Outbound, "cart", latencies, errors);
    send(&store, 1, "cart", "n2", NOON + 10_000, vec![inbound(&[1000; 5])]).await;
    send(&store, 2, "edge", "n1", NOON + 20_000, vec![outbound(&[4000; 2], 1)]).await;
    send(&store, 3, "shop", "n1", NOON + 30_000, vec![outbound(&[8000; 2], 0)]).await;
    send(&store, 4, "cart", "n2", NOON + MINUTE + 10_000, vec![inbound(&[1000; 7])]).await;
    let observed = Observed::backfill(store, SETTINGS, at(NOON + 3 * MINUTE)).await.unwrap();
    let history = observed.service(&"cart".into()).unwrap();
    let shown: Vec<_> = history.steps.iter().map(|s| s.map(|s| (s.requests, s.server_errors))).collect();
    assert_eq!(shown, [Some((4, 1)), Some((7, 0))]);
    let p50 = history.series(Metric::latency(0.5).unwrap());
    let p99 = history.series(Metric::latency(0.99).unwrap());
    let near = |got: f64, want: f64| (got / want - 1.0).abs() < 0.008;
    assert!(near(p50.values()[0], 4.0) && near(p99.values()[0], 8.0), "merged over callers: {p50:?} {p99:?}");
    assert!(near(p50.values()[1], 1.0), "{p50:?}");
}

#[tokio::test]
async fn a_gate_sees_one_service_on_one_node() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let inbound = |latencies: &[u64], errors| vec![route(Direction::Inbound, "cart", latencies, errors)];
    send(&store, 1, "cart", "n1", NOON + 10_000, inbound(&[1000; 98], 2)).await;
    send(&store, 2, "cart", "n1", NOON + MINUTE + 10_000, inbound(&[50_000; 2], 0)).await;
    send(&store, 3, "cart", "n2", NOON + 10_000, inbound(&[7000; 9], 9)).await;
    send(&store, 4, "edge", "n1", NOON + 10_000, vec![route(Direction::Outbound, "cart", &[9000; 9], 0)])
        .await;
    store.flush(at(NOON + 2 * MINUTE)).await.unwrap();
    let gates =
        StoreGates { store: Arc::new(store), clock: Clock::Manual(ManualClock::new(at(NOON + 2 * MINUTE))) };
    let window = |node: &'static str, from, to| {
        let gates = &gates;
        let p99 = Quantile::new(0.99).unwrap();
        async move { gates.sample(&"cart".into(), &node.into(), p99, at(from), at(to)).await }
    };
    let both = window("n1", NOON, NOON + MINUTE + 20_000).await.unwrap();
    assert_eq!((both.requests, both.server_errors), (100, 2));
    assert!((50.0..50.4).contains(&both.latency_ms), "{both:?}");
    assert_eq!(window("n1", NOON, NOON + MINUTE).await.unwrap().requests, 98);
    assert_eq!(window("n2", NOON, NOON + MINUTE).await.unwrap().server_errors, 9);
    assert_eq!(window("n3", NOON, NOON + MINUTE).await.unwrap().requests, 0, "watched, and nothing was seen");
    let later = NOON + 60 * MINUTE;
    assert_eq!(window("n1", later, later + MINUTE).await, None, "nobody watched");
}

#[tokio::test]
async fn half_second_steps_work_as_minutes_do() {
    let folder = tempfile::tempdir().unwrap();
    let levels = crate::store::Levels::from_base(Step::from_ms(500).unwrap());
    let store = Arc::new(open_with(folder.path(), |settings| settings.levels = levels).unwrap());
    let out = || vec![route(Direction::Outbound, "cart", &[1000], 0)];
    // Midpoints one second before the ends.
    send(&store, 1, "edge", "n1", NOON + 1000, out()).await;
    send(&store, 2, "edge", "n1", NOON + 2000, out()).await;
    let settings = ObservedSettings { keep_ms: 10_000, settle_ms: 200, tail_steps: 2 };
    let observed = Observed::backfill(store, settings, at(NOON + 1750)).await.unwrap();
    let history = observed.service(&"cart".into()).unwrap();
    assert_eq!(history.start, at(NOON));
    assert_eq!(history.steps.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn the_preferred_source_counts_and_each_number_has_its_age() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let gauge = |subject: GaugeSubject, metric, source, after_ms, value| Gauge {
        subject,
        metric,
        source,
        at: at(NOON + after_ms),
        value,
    };
    let node = || GaugeSubject::Node("n1".into());
    let (cpu, memory) = (GaugeMetric::CpuUsedMillicores, GaugeMetric::MemoryUsedBytes);
    let readings = vec![
        gauge(node(), cpu, GaugeSource::Platform, 10_000, 100.0),
        gauge(node(), cpu, GaugeSource::Prometheus, 30_000, 300.0),
        gauge(node(), cpu, GaugeSource::NodeExporter, 40_000, 200.0),
        gauge(node(), cpu, GaugeSource::Platform, MINUTE + 10_000, 110.0),
        gauge(node(), memory, GaugeSource::NodeExporter, 40_000, 1e9),
        gauge(GaugeSubject::Workload("cart".into()), memory, GaugeSource::Otlp, 20_000, 5e8),
    ];
    store.append_gauges(readings).await.unwrap();
    let mut observed = Observed::backfill(store.clone(), SETTINGS, at(NOON + 3 * MINUTE)).await.unwrap();
    let shown = |observed: &Observed, metric| {
        let history = &observed.node(&"n1".into()).unwrap().gauges[&metric];
        let finite: Vec<f64> = history.series.values().iter().copied().filter(|v| v.is_finite()).collect();
        (finite, history.source, history.newest.ms_since(at(NOON)))
    };
    assert_eq!(shown(&observed, cpu), (vec![300.0, 110.0], GaugeSource::Platform, MINUTE + 10_000));
    assert_eq!(shown(&observed, memory), (vec![1e9], GaugeSource::NodeExporter, 40_000));
    let cart = observed.workload(&"cart".into()).unwrap();
    assert_eq!(cart.gauges[&memory].source, GaugeSource::Otlp);

    // What comes late from the preferred source takes the place of the other's number.
    let late = gauge(node(), cpu, GaugeSource::Prometheus, MINUTE + 30_000, 310.0);
    store.append_gauges(vec![late]).await.unwrap();
    observed.refresh(at(NOON + 3 * MINUTE)).await.unwrap();
    assert_eq!(shown(&observed, cpu), (vec![300.0, 310.0], GaugeSource::Prometheus, MINUTE + 30_000));
    let marks = store.gauge_marks(GaugeSource::Prometheus).await.unwrap();
    assert_eq!(marks, BTreeMap::from([((node(), cpu), at(NOON + MINUTE + 30_000))]));
}
