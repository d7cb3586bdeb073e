use super::*;
use crate::recorder::{Class, Frame, Observation, Recorder, RouteKey, Settings};
use proptest::prelude::*;

fn summary() -> WindowSummary {
    let mut recorder = Recorder::new(9, 1000, Settings::default());
    let key = RouteKey { direction: Direction::Outbound, callee: b"cart", route: b"r", peer: b"" };
    recorder.record(&key, Observation { class: Class::Ok, latency_us: 1500, grpc_status: Some(0) });
    let proxy = Proxy { workload: "web".into(), pod: "web-1".into(), ..Proxy::default() };
    recorder.freeze(3000, &Frame { proxy: &proxy, failed_pushes: 0, config_error: "" }).unwrap()
}

type Change = fn(&mut WindowSummary);

#[test]
fn each_bad_field_is_named_with_value_limit_and_remedy() {
    let cases: [(Change, &str); 13] = [
        (|s| s.major = 2, "major is 2, must be 1: use a filter and a planner of the same major version"),
        (|s| s.proxy = None, "proxy is absent, must be given: say who measured"),
        (|s| s.epoch = 0, "epoch is 0, must be not 0: choose a new random epoch at each start of a recorder"),
        (|s| s.sequence = 0, "sequence is 0, must be 1 or more: number the summaries of an epoch from 1"),
        (
            |s| s.end_unix_ms = 1,
            "end_unix_ms is 1, must be start_unix_ms (1000) or later: send end equal to start when the clock went backwards",
        ),
        (
            |s| s.cumulative = 0,
            "cumulative is 0, must be 1 or more, the observations of this window: count all observations of the epoch, this \
             window included",
        ),
        (
            |s| s.routes[0].direction = 3,
            "routes[0].direction is 3, must be 1 (inbound) or 2 (outbound): say which end measured",
        ),
        (
            |s| s.routes[0].callee = String::new(),
            "routes[0].callee is empty, must be a name: name the service that was called",
        ),
        (
            |s| s.routes[0].peer = "a\nb".into(),
            "routes[0].peer is \"a\\nb\" (3 bytes), must be at most 253 bytes without control characters: shorten or clean \
             the name",
        ),
        (
            |s| s.routes[0].ok = 3,
            "routes[0].latency_hdr_v2 is a histogram of 1 values, must be 3, the sum of ok, client_error and server_error: \
             record each answered request once, and no aborted one",
        ),
        (
            |s| {
                s.routes[0].ok = u64::MAX;
                s.routes[0].client_error = 1;
            },
            "routes[0] is counts, must be a sum of ok, client_error, server_error, aborted below 2^64: send true counts",
        ),
        (
            |s| s.routes[0].grpc[0].status = 17,
            "routes[0].grpc.status is 17, must be 0 to 16: count other codes as 2 (UNKNOWN)",
        ),
        (|s| s.routes[0].latency_hdr_v2[0] = 0, "routes[0].latency_hdr_v2 is not usable"),
    ];
    for (change, want) in cases {
        let mut bad = summary();
        change(&mut bad);
        let error = decode(&encode(&bad), &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), want);
        assert!(!error.is_too_large());
    }
}

#[test]
fn limits_are_enforced_before_memory_is_spent() {
    let limits = Limits { body_bytes: 100, ..Limits::default() };
    let error = decode(&[0; 101], &limits).unwrap_err();
    assert!(error.is_too_large());
    assert_eq!(
        error.to_string(),
        "summary body is 101 bytes, limit 100: lower max_keys or interval_ms of the sender"
    );
    // 5000 empty routes, then one route with 100 empty gRPC counts.
    let routes = [0x5a, 0].repeat(5000);
    assert!(
        decode(&routes, &Limits::default()).unwrap_err().to_string().contains("routes is more than 4096")
    );
    let mut grpc = vec![0x5a, 0xc8, 0x01];
    grpc.extend([0x4a, 0].repeat(100));
    assert!(decode(&grpc, &Limits::default()).unwrap_err().to_string().contains("grpc is more than 64"));
}

#[test]
fn newer_minor_versions_and_unknown_fields_are_accepted() {
    let mut newer = summary();
    newer.minor = 40;
    let mut body = encode(&newer);
    // Field 900 as number, 64 bit, text and 32 bit.
    for (wire, content) in [(0, &[0x05][..]), (1, &[1; 8]), (2, &[3, b'a', b'b', b'c']), (5, &[1; 4])] {
        prost::encoding::encode_varint(900 << 3 | wire, &mut body);
        body.extend_from_slice(content);
    }
    assert_eq!(decode(&body, &Limits::default()).unwrap(), newer);
}

/// Observations as (outbound?, callee, route, class, latency, status).
type Raw = (bool, Vec<u8>, String, u8, u64, Option<u32>);

fn recorded(observations: &[Raw], max_keys: usize) -> Option<WindowSummary> {
    let mut recorder = Recorder::new(1 << 60, 5, Settings { max_keys, idle_windows: 2 });
    for (outbound, callee, route, class, latency_us, grpc_status) in observations {
        let direction = if *outbound { Direction::Outbound } else { Direction::Inbound };
        // The filter never records an empty callee.
        let callee = if callee.is_empty() { b"_none" } else { callee.as_slice() };
        let class =
            [Class::Ok, Class::ClientError, Class::ServerError, Class::Aborted][usize::from(*class % 4)];
        recorder.record(
            &RouteKey { direction, callee, route: route.as_bytes(), peer: b"p" },
            Observation { class, latency_us: *latency_us, grpc_status: *grpc_status },
        );
    }
    let proxy = Proxy { workload: "web".into(), pod: "web-1".into(), ..Proxy::default() };
    recorder.freeze(9, &Frame { proxy: &proxy, failed_pushes: 1, config_error: "bad\u{1}" })
}

fn observations() -> impl Strategy<Value = Vec<Raw>> {
    let latency = (0_u32..=64, any::<u64>()).prop_map(|(bits, raw)| raw.checked_shr(64 - bits).unwrap_or(0));
    let one = (
        any::<bool>(),
        prop::collection::vec(any::<u8>(), 0..12),
        "[a-c]{0,1}|\\PC{0,300}",
        any::<u8>(),
        latency,
        prop::option::of(0_u32..40),
    );
    prop::collection::vec(one, 0..60)
}

proptest! {
    #[test]
    fn any_recorder_state_survives_the_wire(observations in observations(), max_keys in 0_usize..20) {
        let Some(summary) = recorded(&observations, max_keys) else {
            prop_assert!(observations.is_empty());
            return Ok(());
        };
        let limits = Limits::default();
        prop_assert_eq!(&decode(&encode(&summary), &limits).unwrap(), &summary);
        #[cfg(feature = "json")]
        prop_assert_eq!(&crate::from_json(crate::to_json(&summary).unwrap().as_bytes(), &limits).unwrap(), &summary);
        let total: u64 = summary.routes.iter().map(RouteWindow::observations).sum();
        prop_assert_eq!(total, observations.len() as u64);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&bytes, &Limits::default()).is_err());
        #[cfg(feature = "json")]
        prop_assert!(crate::from_json(&bytes, &Limits::default()).is_err());
    }

    #[test]
    fn a_damaged_body_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut body = encode(&summary());
        let at = at.index(body.len());
        body[at] = byte;
        body.truncate(cut.index(body.len()) + 1);
        if let Ok(summary) = decode(&body, &Limits::default()) {
            prop_assert!(check(&summary, &Limits::default()).is_ok());
        }
    }
}
