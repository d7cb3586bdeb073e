use super::*;
use crate::fake::FakeHost;
use foremesh_summary::{Frame, Proxy, RouteWindow, Settings};
use proptest::prelude::*;

fn context(peer: Peer) -> Context<'static> {
    Context { expression: Some([1, 2, 3, 4]), peer, direction_default: Direction::Outbound, workload: "cart" }
}

/// Observes the stream that the host describes; gives its route and the number of fallbacks.
fn observed(host: &FakeHost, context: &Context<'_>) -> (RouteWindow, u64) {
    let mut recorder = Recorder::new(1, 0, Settings::default());
    observe(host, context, &mut recorder);
    let proxy = Proxy { workload: "w".into(), pod: "p".into(), ..Proxy::default() };
    let summary = recorder.freeze(1, &Frame { proxy: &proxy, failed_pushes: 0, config_error: "" }).unwrap();
    let [route] = &summary.routes[..] else { panic!("{:?}", summary.routes) };
    (route.clone(), summary.fallbacks)
}

fn numbers<const N: usize>(numbers: [u64; N]) -> [[u8; 8]; N] {
    numbers.map(u64::to_le_bytes)
}

#[test]
fn the_list_gives_route_callee_class_and_latency() {
    let host = FakeHost::new();
    let [duration, code] = numbers([1_500_900, 200]);
    host.answer(&[b"checkout", &duration, &code, b"outbound|8080|v1|cart.shop", b"14"]);
    let (route, fallbacks) = observed(&host, &context(Peer::Off));
    assert_eq!((route.callee.as_str(), route.route.as_str()), ("cart.shop", "checkout"));
    assert_eq!((route.direction(), route.server_error, route.sum_us), (Direction::Outbound, 1, 1500));
    assert_eq!((route.grpc[0].status, route.grpc[0].count, fallbacks), (14, 1, 0));
}

#[test]
fn a_stream_without_a_response_is_aborted_only_when_the_client_left() {
    for (flags, aborted) in [(1 << 14, 1), (1 << 28, 1), (1 << 5, 0)] {
        for code in [0, 499] {
            let host = FakeHost::new();
            let [duration, code, flags] = numbers([1, code, flags]);
            host.answer(&[b"r", &duration, &code, b"cart", b""]);
            host.set("response.flags", &flags);
            let (route, fallbacks) = observed(&host, &context(Peer::Off));
            assert_eq!((route.aborted, fallbacks), (aborted, 0));
        }
    }
}

#[test]
fn the_peer_is_that_of_the_other_end() {
    let host = FakeHost::new();
    let [duration, code] = numbers([1, 200]);
    for (cluster, want) in [("inbound|80||", "caller"), ("outbound|80||cart", "callee")] {
        host.answer(&[b"", &duration, &code, cluster.as_bytes(), b"", b"caller", b"callee"]);
        assert_eq!(observed(&host, &context(Peer::Workload)).0.peer, want);
    }
}

#[test]
fn the_endpoint_tells_which_replica_answered() {
    let host = FakeHost::new();
    let [duration, code] = numbers([1, 200]);
    host.answer(&[b"", &duration, &code, b"outbound|80||cart", b"", b"cart@h2"]);
    assert_eq!(observed(&host, &context(Peer::Endpoint)).0.peer, "cart@h2");
    let one_by_one = FakeHost::new();
    one_by_one.set("response.code", &code);
    one_by_one.set("xds.cluster_name", b"outbound|80||cart");
    one_by_one.set("xds.upstream_host_metadata.filter_metadata.foremesh.replica", b"cart@h1");
    let (route, fallbacks) = observed(&one_by_one, &context(Peer::Endpoint));
    assert_eq!((route.peer.as_str(), fallbacks), ("cart@h1", 1));
    assert_eq!(observed(&one_by_one, &context(Peer::Off)).0.peer, "");
}

/// Name, attributes that can be read, callee, counts by class.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a str, [u64; 4]);

#[test]
fn when_the_list_fails_attributes_are_read_one_by_one_and_counted() {
    let [duration, code, flags] = numbers([2_000_000, 503, 2]);
    let cases: [Case<'_>; 4] = [
        (
            "no endpoint",
            &[
                ("xds.route_name", b"r"),
                ("request.duration", &duration),
                ("response.code", &code),
                ("xds.cluster_name", b"outbound|80||cart"),
                ("response.flags", &flags),
            ],
            "cart",
            [0, 0, 1, 0],
        ),
        (
            "direct response",
            &[("xds.route_name", b"r"), ("response.code", &numbers([404])[0])],
            "_none",
            [0, 1, 0, 0],
        ),
        (
            "client gone",
            &[("xds.cluster_name", b"outbound|80||cart"), ("response.flags", &numbers([1 << 14])[0])],
            "cart",
            [0, 0, 0, 1],
        ),
        ("nothing can be read", &[], "_none", [0, 0, 1, 0]),
    ];
    for (name, properties, callee, counts) in cases {
        let host = FakeHost::new();
        for (path, value) in properties {
            host.set(path, value);
        }
        let (route, fallbacks) = observed(&host, &context(Peer::Off));
        assert_eq!(route.callee, callee, "{name}");
        assert_eq!([route.ok, route.client_error, route.server_error, route.aborted], counts, "{name}");
        assert_eq!(fallbacks, 1, "{name}");
    }
}

#[test]
fn one_by_one_reads_the_peer_and_the_grpc_status_as_the_list_does() {
    let host = FakeHost::new();
    host.set("response.code", &numbers([200])[0]);
    host.set("xds.cluster_name", b"inbound|80||");
    host.set("response.headers.grpc-status", b"5");
    host.set("filter_state.downstream_peer.workload", b"web");
    let context = Context { expression: None, ..context(Peer::Workload) };
    let (route, _) = observed(&host, &context);
    assert_eq!((route.peer.as_str(), route.client_error, route.grpc[0].status), ("web", 1, 5));
    host.set("response.trailers.grpc-status", b"13");
    assert_eq!(observed(&host, &context).0.grpc[0].status, 13);
}

#[test]
fn direction_and_callee_come_from_the_cluster_name() {
    use Direction::{Inbound, Outbound};
    let cases = [
        ("outbound|8080||cart.shop.svc.cluster.local", Outbound, "cart.shop.svc.cluster.local"),
        ("outbound|8080|v2|cart.shop", Outbound, "cart.shop"),
        ("inbound|8080||", Inbound, "cart"),
        ("inbound|8080|http|mgmt.shop", Inbound, "mgmt.shop"),
        ("outbound|80|", Outbound, "outbound|80|"),
        ("payments", Outbound, "payments"),
        ("PassthroughCluster", Outbound, "PassthroughCluster"),
        ("", Outbound, "_none"),
    ];
    for (cluster, direction, callee_name) in cases {
        let got = callee(cluster.as_bytes(), &context(Peer::Off));
        assert_eq!(got, (direction, callee_name.as_bytes()), "{cluster}");
    }
    let inbound = Context { direction_default: Inbound, ..context(Peer::Off) };
    assert_eq!(callee(b"payments", &inbound), (Inbound, b"payments".as_slice()));
}

#[test]
fn classes() {
    let gone = DOWNSTREAM_TERMINATION;
    let cases = [
        (200, 0, None, Class::Ok),
        (101, 0, None, Class::Ok),
        (304, 0, None, Class::Ok),
        (404, 0, None, Class::ClientError),
        (499, 0, None, Class::ClientError),
        (499, gone, None, Class::Aborted),
        (500, 0, None, Class::ServerError),
        (599, 0, None, Class::ServerError),
        (0, 0, None, Class::ServerError),
        (0, gone, None, Class::Aborted),
        (0, DOWNSTREAM_RESET, None, Class::Aborted),
        (200, gone, None, Class::Ok),
        (503, gone, None, Class::ServerError),
        (200, 0, Some(0), Class::Ok),
        (503, 0, Some(0), Class::ServerError),
    ];
    for (code, flags, grpc, want) in cases {
        assert_eq!(class(code, flags, grpc), want, "{code} {flags} {grpc:?}");
    }
    let server = [2, 4, 12, 13, 14, 15, 17, 99];
    for status in 1..100 {
        let want = if server.contains(&status) { Class::ServerError } else { Class::ClientError };
        if status < 17 || server.contains(&status) {
            assert_eq!(class(200, 0, Some(status)), want, "gRPC status {status}");
        }
    }
}

#[test]
fn a_list_of_another_shape_is_not_trusted() {
    let host = FakeHost::new();
    let [duration, code] = numbers([1, 200]);
    let elements: [&[u8]; 5] = [b"r", &duration, &code, b"c", b""];
    host.answer(&elements);
    let good = host.list.borrow().clone().unwrap();
    assert!(Attributes::of_list(&good, Peer::Off).is_some());
    for peer in [Peer::Workload, Peer::Endpoint] {
        assert!(Attributes::of_list(&good, peer).is_none(), "five elements are not six or seven");
    }
    for end in 0..good.len() {
        assert!(Attributes::of_list(&good[..end], Peer::Off).is_none(), "cut at {end}");
    }
    host.answer(&[b"r", &duration[..4], &code, b"c", b""]);
    assert!(Attributes::of_list(host.list.borrow().as_deref().unwrap(), Peer::Off).is_none());
}

proptest! {
    #[test]
    fn hostile_answers_never_panic(blob in prop::collection::vec(any::<u8>(), 0..200), peer in prop_oneof![Just(Peer::Off), Just(Peer::Workload), Just(Peer::Endpoint)]) {
        let host = FakeHost::new();
        *host.list.borrow_mut() = Some(blob);
        let (route, _) = observed(&host, &context(peer));
        prop_assert_eq!(route.observations(), 1);
    }
}
