//! Services and routes as they are read back: merged, with tails, and with rates where they are known.
use super::*;
use foremesh_core::history::ServiceStep;

fn named(direction: Direction, callee: &str, name: &str, peer: &str, latencies: &[u64]) -> RouteWindow {
    RouteWindow { route: name.into(), peer: peer.into(), ..route(direction, callee, latencies, 0) }
}

/// Sends what a proxy saw in the window before `end_ms`; each is a stream of its own.
async fn send(
    store: &SqliteStore,
    from: (&str, &str),
    window_ms: i64,
    end_ms: i64,
    routes: Vec<RouteWindow>,
) {
    static EPOCHS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let epoch = EPOCHS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let count = routes.iter().map(RouteWindow::observations).sum();
    let mut sent = summary(proxy(from.0, from.1), epoch, 1, end_ms, count, routes);
    sent.message.start_unix_ms = (end_ms - window_ms) as u64;
    sent.body = foremesh_summary::encode(&sent.message).into();
    assert_eq!(store.append(sent).await.unwrap(), Appended::Stored);
}

fn every(level: u8) -> ServiceQuery {
    ServiceQuery::new(level, at(0), at(i64::MAX))
}

#[tokio::test]
async fn routes_follow_their_service_and_add_up_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (out, inb) = (Direction::Outbound, Direction::Inbound);
    // Two replicas of one caller on two nodes, a second caller, and the callee's own view.
    send(&store, ("edge", "n1"), 2000, NOON + 9000, vec![named(out, "cart", "get", "", &[1000; 3])]).await;
    send(&store, ("edge", "n2"), 2000, NOON + 9000, vec![named(out, "cart", "get", "", &[3000; 4])]).await;
    let of_shop = vec![named(out, "cart", "get", "", &[500; 2]), named(out, "cart", "put", "", &[9000; 5])];
    send(&store, ("shop", "n1"), 2000, NOON + 9000, of_shop).await;
    let own =
        vec![named(inb, "cart", "default", "edge", &[800; 7]), named(inb, "cart", "default", "", &[700; 9])];
    send(&store, ("cart", "n3"), 2000, NOON + 9000, own).await;
    // A minute later only the callee reports.
    send(
        &store,
        ("cart", "n3"),
        2000,
        NOON + MINUTE + 9000,
        vec![named(inb, "cart", "default", "edge", &[1; 6])],
    )
    .await;
    send(&store, ("edge", "n1"), 2000, NOON + 9000, vec![named(out, "other", "get", "", &[1000; 30])]).await;
    store.flush(at(NOON + 2 * MINUTE)).await.unwrap();

    let read = |query: ServiceQuery| {
        let store = &store;
        async move {
            let rows = store.route_range(query.of("cart".into())).await.unwrap();
            let shown = |row: RouteRow| {
                let id = (row.route.caller.to_string(), row.route.route.clone());
                (row.start.ms_since(at(NOON)) / MINUTE, id.0, id.1, row.step.requests)
            };
            let mut rows: Vec<_> = rows.into_iter().map(shown).collect();
            rows.sort();
            rows
        }
    };
    let row =
        |minute, caller: &str, name: &str, requests| (minute, caller.to_owned(), name.to_owned(), requests);
    let by_callers = [
        row(0, "edge", "get", 7),
        row(0, "shop", "get", 2),
        row(0, "shop", "put", 5),
        row(1, "edge", "default", 6),
    ];
    assert_eq!(read(every(0)).await, by_callers);
    let own = [row(0, "", "default", 9), row(0, "edge", "default", 7), row(1, "edge", "default", 6)];
    assert_eq!(
        read(ServiceQuery { measured_by: Some(inb), ..every(0) }).await,
        own,
        "what its replicas measured"
    );

    for (name, query) in [("as told", every(0)), ("own", ServiceQuery { measured_by: Some(inb), ..every(0) })]
    {
        let mut sums: BTreeMap<(Timestamp, ServiceId), u32> = BTreeMap::new();
        for row in store.route_range(query.clone()).await.unwrap() {
            *sums.entry((row.start, row.route.callee.clone())).or_default() += row.step.requests;
        }
        let services: BTreeMap<_, _> = store
            .service_range(query)
            .await
            .unwrap()
            .into_iter()
            .map(|row| ((row.start, row.service), row.step.requests))
            .collect();
        assert_eq!(sums, services, "case {name}");
    }
}

#[tokio::test]
async fn a_few_series_are_found_among_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for minute in [0, 1, 7] {
        let routes =
            (0..20).map(|n| route(Direction::Outbound, &format!("service-{n}"), &[1000; 3], 0)).collect();
        send(&store, ("edge", "n1"), 2000, NOON + minute * MINUTE + 9000, routes).await;
    }
    store.flush(at(NOON + 8 * MINUTE)).await.unwrap();
    let all = store.service_range(every(0)).await.unwrap();
    assert_eq!(all.len(), 60);
    let some = BTreeSet::from(["service-3".into(), "service-11".into(), "unheard-of".into()]);
    let few = store.service_range(ServiceQuery { services: Some(some.clone()), ..every(0) }).await.unwrap();
    let want: Vec<_> = all.into_iter().filter(|row| some.contains(&row.service)).collect();
    assert_eq!((few.len(), few), (6, want));
    let one = RangeQuery {
        from: at(0),
        to: at(i64::MAX),
        callee: Some("service-3".into()),
        ..RangeQuery::default()
    };
    assert_eq!(store.range(one).await.unwrap().len(), 3);
}

#[tokio::test]
async fn ten_thousand_active_series_are_named_without_reading_their_histograms() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for minute in 0..3 {
        let routes: Vec<_> =
            (0..10_000).map(|n| route(Direction::Outbound, &format!("service-{n}"), &[1000], 0)).collect();
        for part in routes.chunks(4000) {
            send(&store, ("edge", "n1"), 2000, NOON + minute * MINUTE + 9000, part.to_vec()).await;
        }
    }
    store.flush(at(NOON + 3 * MINUTE)).await.unwrap();
    let query = RangeQuery { from: at(NOON), to: at(i64::MAX), ..RangeQuery::default() };
    assert!(
        matches!(store.range(query).await, Err(StoreError::TooWide { .. })),
        "more than can be read whole"
    );
    assert_eq!(store.active_since(at(NOON)).await.unwrap().len(), 10_000);
    assert_eq!(store.active_since(at(NOON + 2 * MINUTE + 1)).await.unwrap(), []);
}

/// The tail of each step by its definition: the steps of the window merged in memory.
fn by_hand(base: &[SeriesStep], start: Timestamp, window: std::ops::Range<i64>) -> f64 {
    let mut merged = Histogram::default();
    for step in base.iter().filter(|step| window.contains(&(step.start.ms_since(start) / MINUTE))) {
        merged.merge(&step.latency);
    }
    let [p50, p99] = merged.quantiles([0.5, 0.99]).unwrap();
    (p99 as f64 / p50 as f64).ln()
}

#[tokio::test]
async fn tails_are_those_of_the_merged_window_and_see_no_future() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for minute in (0..100_i64).filter(|minute| minute % 13 != 5) {
        let n = minute as u64;
        let latencies: Vec<u64> = (0..40).map(|k| 1000 + n * 17 % 400 + k * k * (n * 7 % 31)).collect();
        send(
            &store,
            ("edge", "n1"),
            2000,
            NOON + minute * MINUTE + 9000,
            vec![route(Direction::Outbound, "cart", &latencies, 0)],
        )
        .await;
    }
    store.flush(at(NOON + 100 * MINUTE)).await.unwrap();
    let base = all(&store, 0).await;
    for (tail_steps, from) in [(0, 0), (1, 3), (4, 0), (4, 33), (19, 7), (20, 0), (60, 0), (60, 73), (55, 41)]
    {
        let query =
            ServiceQuery { tail_steps, ..ServiceQuery::new(0, at(NOON + from * MINUTE), at(i64::MAX)) };
        let rows = store.service_range(query).await.unwrap();
        assert!(rows.iter().all(|row| row.start >= at(NOON + from * MINUTE)));
        assert!(rows.len() as i64 > (100 - from) * 9 / 10 - 1, "{} rows from {from}", rows.len());
        for row in rows {
            let into_block = row.start.ms_since(at(0)) / MINUTE % 10;
            let first = match tail_steps {
                0 | 1 => 0,
                2..20 => 1 - tail_steps as i64,
                _ => -into_block - 10 * ((tail_steps as i64 + 9) / 10 - 1),
            };
            let want = by_hand(&base, row.start, first..1);
            let got = row.step.tail.log_ratio(3).unwrap();
            assert!((got - want).abs() < 2e-4, "{tail_steps} steps, {row:?}: {got} is not {want}");
            // The step's own quantiles are its own.
            let own = by_hand(&base, row.start, 0..1);
            let [p50, p99] = [row.step.latency_ms[0], row.step.latency_ms[3]].map(f64::from);
            assert!(((p99 / p50).ln() - own).abs() < 2e-4);
        }
    }
    // A range may be read in pieces.
    let read = |from: i64, to: i64| {
        store.service_range(ServiceQuery {
            tail_steps: 60,
            ..ServiceQuery::new(0, at(NOON + from * MINUTE), at(NOON + to * MINUTE))
        })
    };
    let whole = read(0, 100).await.unwrap();
    let mut pieces: Vec<ServiceRow> = Vec::new();
    for from in (0..100).step_by(7) {
        pieces.extend(read(from, (from + 7).min(100)).await.unwrap());
    }
    assert_eq!(whole, pieces);
}

#[tokio::test]
async fn a_long_window_keeps_its_counts_and_leaves_the_rate_unknown_where_it_covers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let calls = |callee: &str| vec![route(Direction::Outbound, callee, &[1000; 60], 0)];
    for minute in 0..30 {
        send(&store, ("shop", "n2"), 2000, NOON + minute * MINUTE + 9000, calls("cart")).await;
        send(&store, ("shop", "n2"), 2000, NOON + minute * MINUTE + 9000, calls("payment")).await;
    }
    store.flush(at(NOON + 30 * MINUTE)).await.unwrap();
    drop(store.changes().await.unwrap());
    // The planner did not answer this proxy from 10:30 to 14:10 after noon; the second window is not long.
    send(&store, ("edge", "n1"), 220_000, NOON + 14 * MINUTE + 10_000, calls("cart")).await;
    send(&store, ("edge", "n1"), 90_000, NOON + 20 * MINUTE, calls("payment")).await;
    store.flush(at(NOON + 30 * MINUTE)).await.unwrap();

    let changed = store.changes().await.unwrap().steps;
    let of_cart: Vec<i64> = changed
        .iter()
        .filter(|(_, services)| services.contains(&"cart".into()))
        .map(|(start, _)| start.ms_since(at(NOON)) / MINUTE)
        .collect();
    assert_eq!(of_cart, [10, 11, 12, 13, 14], "readers learn of all steps whose rate is not known any more");
    rates_are_known_but_in_the_outage(&store).await;
    drop(store);
    let store = open(folder.path());
    rates_are_known_but_in_the_outage(&store).await;
    // Marks go with the steps that they are about.
    store.flush(at(NOON + 3 * 24 * 60 * MINUTE)).await.unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let left: i64 = connection.query_row("SELECT count(*) FROM long_windows", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

async fn rates_are_known_but_in_the_outage(store: &SqliteStore) {
    let unknown = |rows: &[ServiceRow], service: &str| -> Vec<i64> {
        rows.iter()
            .filter(|row| row.service.as_str() == service && !row.step.rate_known)
            .map(|row| row.start.ms_since(at(NOON)) / MINUTE)
            .collect()
    };
    let base = store.service_range(every(0)).await.unwrap();
    assert_eq!(base.iter().map(|row| u64::from(row.step.requests)).sum::<u64>(), 62 * 60);
    assert_eq!(unknown(&base, "cart"), [10, 11, 12, 13, 14]);
    assert_eq!(unknown(&base, "payment"), [0_i64; 0]);
    let rolled = store.service_range(every(1)).await.unwrap();
    assert_eq!(unknown(&rolled, "cart"), [0_i64; 0], "less than half of a roll-up is told well");
}

#[tokio::test]
async fn a_proxy_whose_clock_was_set_costs_the_rate_of_one_step_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let calls = || vec![route(Direction::Outbound, "cart", &[1000; 6], 0)];
    for minute in 0..5 {
        send(&store, ("shop", "n2"), 2000, NOON + minute * MINUTE + 9000, calls()).await;
    }
    send(&store, ("edge", "n1"), NOON + 4 * MINUTE, NOON + 4 * MINUTE, calls()).await;
    store.flush(at(NOON + 5 * MINUTE)).await.unwrap();
    let known: Vec<ServiceStep> =
        store.service_range(every(0)).await.unwrap().into_iter().map(|row| row.step).collect();
    assert_eq!(known.len(), 5);
    assert!(known.iter().all(|step| step.rate_known), "{known:?}");
}

/// Figures for the split: how far the tail that is read is from the true one, per step and merged over an hour.
mod accuracy {
    use super::*;
    use foremesh_models::SplitMix;

    /// Mean absolute errors of log(p99/p50) for requests that are log-normal with a standard deviation of 0.5 around a
    /// median that drifts by up to `drift` (a share) over two hours: of the step alone, and of the hour.
    fn errors(requests: usize, drift: f64) -> (f64, f64) {
        let mut random = SplitMix::new(requests as u64);
        // The 0.99 quantile of the standard normal distribution is 2.3263.
        let truth = 0.5 * 2.3263;
        let log_ratio = |latency: &Histogram| {
            let [p50, p99] = latency.quantiles([0.5, 0.99]).unwrap();
            (p99 as f64 / p50 as f64).ln()
        };
        let mut steps: Vec<Histogram> = Vec::new();
        let (mut alone, mut hour, mut count) = (0.0, 0.0, 0.0);
        for number in 0..240 {
            let phase = std::f64::consts::TAU * f64::from(number) / 120.0;
            let median_us = 20_000.0 * (1.0 + drift * phase.sin());
            let mut step = Histogram::default();
            for _ in 0..requests {
                step.record((median_us * (0.5 * random.normal()).exp()) as u64);
            }
            steps.push(step);
            if steps.len() < 60 {
                continue;
            }
            let mut merged = Histogram::default();
            steps[steps.len() - 60..].iter().for_each(|step| merged.merge(step));
            alone += (log_ratio(&steps[steps.len() - 1]) - truth).abs();
            hour += (log_ratio(&merged) - truth).abs();
            count += 1.0;
        }
        (alone / count, hour / count)
    }

    #[test]
    fn an_hour_tells_the_tail_better_than_a_step_where_requests_are_few() {
        let mut lines = Vec::new();
        let mut gains = Vec::new();
        for drift in [0.0, 0.2] {
            for requests in [30, 300, 3000] {
                let (alone, hour) = errors(requests, drift);
                lines.push(format!("{requests} requests, drift {drift}: step {alone:.3}, hour {hour:.3}"));
                gains.push(alone / hour);
            }
        }
        let shown = lines.join("\n");
        println!("{shown}");
        let [few, some, many, few_drifting, some_drifting, _] = gains[..] else { panic!("six cases") };
        assert!(few > 5.0 && some > 4.0 && many > 3.0, "without drift:\n{shown}");
        assert!(few_drifting > 3.0 && some_drifting > 1.5, "with drift:\n{shown}");
    }
}
