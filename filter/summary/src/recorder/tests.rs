use super::*;
use crate::{Limits, check, decode_histogram};
use std::collections::HashMap;

fn proxy() -> Proxy {
    Proxy { workload: "cart".into(), pod: "cart-1".into(), ..Proxy::default() }
}

fn key(route: &str) -> RouteKey<'_> {
    RouteKey { direction: Direction::Outbound, callee: b"cart", route: route.as_bytes(), peer: b"" }
}

fn ok(latency_us: u64) -> Observation {
    Observation { class: Class::Ok, latency_us, grpc_status: None }
}

fn freeze(recorder: &mut Recorder, end: u64) -> Option<WindowSummary> {
    let frame = Frame { proxy: &proxy(), failed_pushes: 0, config_error: "" };
    let summary = recorder.freeze(end, &frame);
    if let Some(summary) = &summary {
        check(summary, &Limits::default()).unwrap();
    }
    summary
}

#[test]
fn counts_by_class_and_leaves_aborted_out_of_the_histogram() {
    let mut recorder = Recorder::new(7, 1000, Settings::default());
    for class in [Class::Ok, Class::Ok, Class::ClientError, Class::ServerError, Class::Aborted] {
        recorder.record(&key("r"), Observation { class, latency_us: 50, grpc_status: None });
    }
    let summary = freeze(&mut recorder, 3000).unwrap();
    assert_eq!((summary.epoch, summary.sequence, summary.cumulative), (7, 1, 5));
    assert_eq!((summary.start_unix_ms, summary.end_unix_ms), (1000, 3000));
    let [route] = &summary.routes[..] else { panic!("{:?}", summary.routes) };
    assert_eq!([route.ok, route.client_error, route.server_error, route.aborted], [2, 1, 1, 1]);
    assert_eq!(route.sum_us, 200);
    assert_eq!(decode_histogram(&route.latency_hdr_v2).unwrap().len(), 4);
}

#[test]
fn a_window_without_observations_is_no_summary() {
    let mut recorder = Recorder::new(7, 0, Settings::default());
    assert_eq!(freeze(&mut recorder, 10), None);
    recorder.record(&key("r"), ok(1));
    assert_eq!(freeze(&mut recorder, 20).map(|s| s.sequence), Some(1));
    assert_eq!(freeze(&mut recorder, 30), None);
    recorder.record(&key("r"), ok(1));
    assert_eq!(freeze(&mut recorder, 40).map(|s| (s.sequence, s.start_unix_ms)), Some((2, 20)));
}

#[test]
fn over_the_key_limit_nothing_is_lost_and_the_overflow_is_counted() {
    let mut recorder = Recorder::new(7, 0, Settings { max_keys: 2, idle_windows: 10 });
    for route in ["a", "b", "c", "d", "a"] {
        recorder.record(&key(route), ok(10));
    }
    recorder.record(&RouteKey { direction: Direction::Inbound, ..key("e") }, ok(10));
    let summary = freeze(&mut recorder, 1).unwrap();
    let got: HashMap<_, _> =
        summary.routes.iter().map(|r| ((r.callee.as_str(), r.route.as_str(), r.direction), r.ok)).collect();
    let (inbound, outbound) = (i32::from(Direction::Inbound), i32::from(Direction::Outbound));
    let want = HashMap::from([
        (("cart", "a", outbound), 2),
        (("cart", "b", outbound), 1),
        (("_other", "", outbound), 2),
        (("_other", "", inbound), 1),
    ]);
    assert_eq!(got, want);
    assert_eq!((summary.overflow, summary.cumulative), (3, 6));
}

#[test]
fn idle_routes_make_room_for_new_ones() {
    let mut recorder = Recorder::new(7, 0, Settings { max_keys: 2, idle_windows: 2 });
    recorder.record(&key("old"), ok(1));
    for window in 0..3 {
        recorder.record(&key("busy"), ok(1));
        freeze(&mut recorder, window);
    }
    assert_eq!(recorder.routes(), 1);
    recorder.record(&key("new"), ok(1));
    recorder.record(&key("busy"), ok(1));
    let summary = freeze(&mut recorder, 9).unwrap();
    let mut routes: Vec<_> = summary.routes.iter().map(|r| r.route.as_str()).collect();
    routes.sort_unstable();
    assert_eq!((routes, summary.overflow), (vec!["busy", "new"], 0));
}

#[test]
fn foreign_names_are_cleaned_and_share_one_route() {
    let mut recorder = Recorder::new(7, 0, Settings::default());
    let long = "x".repeat(400);
    for route in ["a\nb", "a\tb", "a_b", long.as_str(), &long[..300]] {
        recorder.record(&key(route), ok(1));
    }
    let summary = freeze(&mut recorder, 1).unwrap();
    let got: Vec<_> = summary.routes.iter().map(|r| (r.route.clone(), r.ok)).collect();
    assert_eq!(got, [("a_b".to_owned(), 3), ("x".repeat(253), 2)]);
}

#[test]
fn grpc_statuses_are_counted_and_unknown_codes_are_unknown() {
    let mut recorder = Recorder::new(7, 0, Settings::default());
    for status in [Some(0), Some(0), Some(14), Some(99), None] {
        recorder.record(&key("r"), Observation { class: Class::Ok, latency_us: 1, grpc_status: status });
    }
    let summary = freeze(&mut recorder, 1).unwrap();
    let got: Vec<_> = summary.routes[0].grpc.iter().map(|g| (g.status, g.count)).collect();
    assert_eq!(got, [(0, 2), (2, 1), (14, 1)]);
    recorder.record(&key("r"), ok(1));
    assert!(freeze(&mut recorder, 2).unwrap().routes[0].grpc.is_empty(), "counts belong to one window");
}

#[test]
fn a_clock_that_goes_back_and_an_endless_stream_stay_valid() {
    let mut recorder = Recorder::new(0, 5000, Settings::default());
    recorder.record(&key("r"), ok(u64::MAX));
    let summary = freeze(&mut recorder, 1).unwrap();
    assert_eq!((summary.epoch, summary.start_unix_ms, summary.end_unix_ms), (1, 5000, 5000));
    assert_eq!(summary.routes[0].sum_us, MAX_LATENCY_US);
}

#[test]
fn changed_settings_lose_nothing() {
    let mut recorder = Recorder::new(7, 0, Settings::default());
    for route in ["a", "b", "c"] {
        recorder.record(&key(route), ok(1));
    }
    recorder.configure(Settings { max_keys: 1, idle_windows: 1 });
    recorder.record(&key("b"), ok(1));
    recorder.record(&key("z"), ok(1));
    let summary = freeze(&mut recorder, 1).unwrap();
    let total: u64 = summary.routes.iter().map(RouteWindow::observations).sum();
    assert_eq!((total, summary.cumulative, summary.overflow), (5, 5, 1));
}
