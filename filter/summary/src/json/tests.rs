use super::*;
use crate::recorder::{Class, Frame, Observation, Recorder, RouteKey, Settings};

fn summary() -> WindowSummary {
    let mut recorder = Recorder::new(u64::MAX - 1, 1_700_000_000_000, Settings::default());
    let key = RouteKey { direction: Direction::Inbound, callee: b"cart", route: b"default", peer: b"web" };
    for (class, status) in [(Class::Ok, Some(0)), (Class::ServerError, Some(13)), (Class::Aborted, None)] {
        recorder.record(&key, Observation { class, latency_us: 1500, grpc_status: status });
    }
    let proxy = Proxy { workload: "cart".into(), pod: "cart-1".into(), zone: "a".into(), ..Proxy::default() };
    recorder.freeze(1_700_000_002_000, &Frame { proxy: &proxy, failed_pushes: 3, config_error: "x" }).unwrap()
}

#[test]
fn the_text_is_what_people_read() {
    let text = to_json(&summary()).unwrap();
    for part in [
        r#""epoch":"18446744073709551614""#,
        r#""direction":"inbound""#,
        r#""grpc":[{"status":0,"count":1},{"status":13,"count":1}]"#,
        r#""latency_hdr_v2":"HISTEw"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(from_json(text.as_bytes(), &Limits::default()).unwrap(), summary());
}

#[test]
fn a_small_hand_written_summary_is_enough_and_unknown_fields_are_ignored() {
    let text = r#"{"major":1,"minor":9,"proxy":{"workload":"edge","pod":"e1","colour":"red"},"epoch":5,"sequence":"1",
        "start_unix_ms":1,"end_unix_ms":2,"cumulative":2,"new":[1,{"a":2}],
        "routes":[{"direction":"outbound","callee":"cart","aborted":2,"more":null}]}"#;
    let summary = from_json(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!((summary.sequence, summary.routes[0].aborted, summary.minor), (1, 2, 9));
}

#[test]
fn more_entries_than_allowed_stop_the_reader() {
    let many = |entry: &str, n: usize| vec![entry; n].join(",");
    let routes = format!(r#"{{"routes":[{}]}}"#, many("{}", MAX_ROUTES + 1));
    let grpc = format!(r#"{{"routes":[{{"grpc":[{}]}}]}}"#, many("{}", MAX_GRPC_COUNTS + 1));
    for text in [routes, grpc] {
        let error = from_json(text.as_bytes(), &Limits::default()).unwrap_err();
        let DecodeError::Json(cause) = error else { panic!("{error}") };
        assert!(cause.to_string().contains("a list of at most"), "{cause}");
    }
}

#[test]
fn broken_values_are_refused() {
    for text in [
        r#"{"epoch":-1}"#,
        r#"{"epoch":"x"}"#,
        r#"{"routes":[{"direction":"up"}]}"#,
        r#"{"routes":[{"latency_hdr_v2":"*"}]}"#,
        "",
        "5",
        "nul",
    ] {
        assert!(
            matches!(from_json(text.as_bytes(), &Limits::default()), Err(DecodeError::Json(_))),
            "{text}"
        );
    }
}
