//! Requests that miss an attribute: a compiled attribute list fails for them as a whole, so each kind is counted here.
use foremesh::store::Counts;
use foremesh_demo::{free_ports, request};
use foremesh_tests::backend::{FAIL, HANG, MISSING, TRICKLE};
use foremesh_tests::load::{open, read_head};
use foremesh_tests::{Backend, Rig, Route, Target, until};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Requests of each kind.
const EACH: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(10);
/// Path of the route that has no time to wait for its answer.
const LATE: &str = "/hang-late";

/// A kind of request: route, path, where it leads, the status that the client sees, and its class.
type Kind = (&'static str, &'static str, Target, u16, fn(&Counts) -> u64);

fn kinds(server: SocketAddr, closed: SocketAddr) -> [Kind; 8] {
    let at = Target::Service;
    [
        ("answered", "/", at(server), 200, |counts| counts.ok),
        ("failed", FAIL, at(server), 500, |counts| counts.server_error),
        ("missing", MISSING, at(server), 404, |counts| counts.client_error),
        ("refused", "/refused", at(closed), 503, |counts| counts.server_error),
        ("no-endpoints", "/no-endpoints", Target::NoEndpoints, 503, |counts| counts.server_error),
        ("late", LATE, Target::Hurried(server, 200), 504, |counts| counts.server_error),
        ("direct", "/direct", Target::Direct(200), 200, |counts| counts.ok),
        ("direct-denied", "/denied", Target::Direct(403), 403, |counts| counts.client_error),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_end_is_counted_in_its_class() {
    let closed = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(1).expect("a free port")[0]));
    let backend = Backend::start().await;
    let kinds = kinds(backend.address(), closed);
    let rig = Rig::start(async |spec| {
        spec.routes = kinds.iter().map(|(name, path, target, ..)| Route::new(name, path, *target)).collect();
        spec.routes.push(Route::new("aborted", HANG, Target::Service(backend.address())));
        spec.routes.push(Route::new("left-early", TRICKLE, Target::Service(backend.address())));
    })
    .await;

    for (name, path, _, status, _) in kinds {
        for _ in 0..EACH {
            let answer = request(rig.proxy.address(), "GET", path, PATIENCE).await.expect("an answer");
            assert_eq!(answer.status, status, "the proxy's answer to `{name}`");
        }
    }
    // A request that no route matches has no name, no cluster, and an answer of the proxy itself.
    for _ in 0..EACH {
        let answer = request(rig.proxy.address(), "GET", "/nowhere", PATIENCE).await.expect("an answer");
        assert_eq!(answer.status, 404, "the proxy's answer where no route matches");
    }
    abort(&rig, &backend).await;
    leave_early(&rig).await;

    let stored = rig.settle(EACH * 11, Duration::from_secs(2)).await;
    assert_eq!(rig.proxy.requests().await[0], EACH * 11, "requests that Envoy counted");
    let classes: BTreeMap<&str, fn(&Counts) -> u64> = kinds
        .iter()
        .map(|(name, _, _, _, class)| (*name, *class))
        .chain([
            ("", (|counts: &Counts| counts.client_error) as fn(&Counts) -> u64),
            ("aborted", |counts| counts.aborted),
            ("left-early", |counts| counts.ok),
        ])
        .collect();
    for (route, counts) in &stored.routes {
        println!("{route:>14}: {counts:?}");
    }
    for (route, class) in classes {
        let counts = stored.routes.get(route).copied().unwrap_or_default();
        assert_eq!(
            (class(&counts), counts.all()),
            (EACH, EACH),
            "class and all of route `{route}`: {counts:?}"
        );
    }
}

/// The client gives up after the service got the request and before the proxy got an answer.
async fn abort(rig: &Rig, backend: &Backend) {
    for _ in 0..EACH {
        let before = backend.received();
        let connection = open(rig.proxy.address(), HANG).await;
        let arrived =
            async || if backend.received() > before { Ok(()) } else { Err("it has not".to_owned()) };
        until("the request to reach the service", PATIENCE, arrived).await;
        drop(connection);
    }
}

/// The client leaves in the middle of an answer, the status of which it has seen.
async fn leave_early(rig: &Rig) {
    for _ in 0..EACH {
        let mut connection = open(rig.proxy.address(), TRICKLE).await;
        assert_eq!(read_head(&mut connection).await, 200);
        drop(connection);
    }
}
