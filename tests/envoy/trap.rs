//! A build of the filter that traps: what requests get, what stays stored, and how the planner learns of it.
use foremesh::silence::{Evidence, SilentProxy, silent_proxies};
use foremesh::store::{ProxyStream, RangeQuery};
use foremesh_core::topology::Snapshot;
use foremesh_demo::envoy::{
    EdgeConfig, Endpoints, EnvoyOptions, EnvoyProcess, FilterConfig, HostConfig, Identity,
};
use foremesh_demo::free_ports;
use foremesh_tests::load::hammer;
use foremesh_tests::planner::now;
use foremesh_tests::{Backend, Fleet, Module, Place, PlannerUnderTest, Rig, Route, Target, until};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Path of the route on which the module traps.
const TRAP: &str = "/trap";
/// Longest silence that is no fault: four windows, because a busy machine may delay a push.
const LIMIT_MS: i64 = 4000;
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that surely reach both workers: they are balanced.
const CONNECTIONS: usize = 16;

/// An Envoy on a configuration that is shipped, made for the ports that are given: where it listens, then the admin port.
async fn start_shipped(
    place: &Place,
    name: &str,
    workers: u32,
    config: impl FnOnce(SocketAddr, u16) -> String,
) -> (EnvoyProcess, SocketAddr) {
    let ports = free_ports(2).expect("loopback has free ports");
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
    let options = EnvoyOptions {
        concurrency: workers,
        ..EnvoyOptions::new(name, place.envoy(), place.directory(), ports[1])
    };
    let config = config(listen, ports[1]);
    let mut envoy = EnvoyProcess::start(&config, &options).await.expect("Envoy starts");
    envoy.wait_until_ready(PATIENCE).await.expect("Envoy gets ready");
    (envoy, listen)
}

fn identity(workload: &str) -> Identity {
    Identity {
        workload: workload.to_owned(),
        pod: format!("{workload}-1"),
        node: "host-0".to_owned(),
        zone: "zone-1".to_owned(),
    }
}

fn filter(module: Module, planner: SocketAddr) -> FilterConfig {
    FilterConfig { module: module.path(), interval_ms: 1000, planner, discovery: None, peers: false }
}

/// The shipped configuration of an edge before `shop`.
fn edge_config(
    route: &str,
    (listen, admin_port): (SocketAddr, u16),
    shop: SocketAddr,
    filter: FilterConfig,
) -> String {
    let config = EdgeConfig {
        identity: identity("edge"),
        service: "shop".to_owned(),
        route: route.to_owned(),
        listen,
        admin_port,
        endpoints: Endpoints::Static(shop),
        filter: Some(filter),
    };
    config.render().expect("the configuration is valid")
}

/// The streams of one workload.
async fn streams_of(planner: &PlannerUnderTest, workload: &str) -> Vec<ProxyStream> {
    let streams = planner.stored().await.streams;
    streams.into_iter().filter(|stream| stream.proxy.workload == workload).collect()
}

/// What the planner reports as silent now.
async fn silent(planner: &PlannerUnderTest) -> Vec<SilentProxy> {
    let (store, now) = (planner.store(), now());
    let streams = planner.stored().await.streams;
    let known = store.series().await.expect("the series can be listed");
    let (from, to) = (now.plus_ms(-LIMIT_MS), now.plus_ms(LIMIT_MS));
    let steps =
        store.range(RangeQuery { from, to, ..RangeQuery::default() }).await.expect("steps can be read");
    let recent: BTreeSet<_> = steps.iter().map(|step| (*step.key).clone()).collect();
    silent_proxies(&Evidence {
        streams: &streams,
        known: &known,
        recent: &recent,
        snapshot: &Snapshot::empty(now),
        now,
        limit_ms: LIMIT_MS,
    })
}

/// Waits for exactly one report about the proxy with the trapped filter.
async fn one_report(rig: &Rig, what: &str, wanted: impl Fn(&SilentProxy) -> bool) -> SilentProxy {
    let look = async || {
        let mut reports = silent(&rig.planner).await;
        match (reports.len(), reports.pop()) {
            (1, Some(report)) if wanted(&report) => Ok(report),
            (_, last) => Err(format!("the last report is {last:?}")),
        }
    };
    until(what, PATIENCE, look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_traps_fails_no_request_and_is_reported_silent() {
    let rig = Rig::start(async |spec| {
        spec.module = Module::Trapping;
        let Target::Service(server) = spec.routes[0].target else { panic!("routes lead to the service") };
        spec.routes.push(Route::new("trap", TRAP, Target::Service(server)));
    })
    .await;
    let (_edge, edge) = start_shipped(&rig.place, "edge-1", 1, |listen, admin_port| {
        let filter = filter(Module::Filter, rig.planner.address());
        edge_config("all", (listen, admin_port), rig.proxy.address(), filter)
    })
    .await;
    let paths: Vec<String> = rig.proxy.paths().into_iter().filter(|path| path != TRAP).collect();
    let fleet = Fleet::start(edge, &paths, 200.0);
    // A worker of which a single summary is known looks like one that its sibling has replaced, so each sends some.
    let both = async || {
        let (shop, edge) = (streams_of(&rig.planner, "shop").await, streams_of(&rig.planner, "edge").await);
        let several = shop.iter().all(|stream| stream.summaries >= 3);
        if (shop.len(), edge.len(), several) == (2, 1, true) {
            Ok(())
        } else {
            Err(rig.planner.stored().await.describe())
        }
    };
    until("both workers and the edge to deliver", PATIENCE, both).await;

    // One connection stays with one worker: the request that traps, and those after it in the same worker, are
    // answered with 200.
    let trap_then_more = [TRAP.to_owned(), paths[0].clone(), paths[1].clone()];
    hammer(rig.proxy.address(), &trap_then_more, 1, 9).await;
    let one = one_report(&rig, "the report of one silent worker", |report| report.worker.is_some()).await;
    assert_eq!((one.workload.as_str(), one.pod.as_str()), ("shop", "shop-1"));
    println!("one worker: {one:?}");

    hammer(rig.proxy.address(), &trap_then_more, CONNECTIONS, 9 * CONNECTIONS).await;
    let all = one_report(&rig, "the report of the silent proxy", |report| report.worker.is_none()).await;
    assert_eq!((all.workload.as_str(), all.pod.as_str()), ("shop", "shop-1"));
    assert!(all.detail.contains("`edge` reports calls to it"), "how that is known: {}", all.detail);
    println!("all workers: {all:?}");

    let before = streams_of(&rig.planner, "shop").await;
    let [counted_before, ..] = rig.proxy.requests().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let [counted_after, ..] = rig.proxy.requests().await;
    assert!(
        counted_after > counted_before + 200,
        "traffic flows: {counted_before}, then {counted_after} requests"
    );
    assert_eq!(
        streams_of(&rig.planner, "shop").await,
        before,
        "what was stored stays, and nothing more comes"
    );

    // No request of the load failed, before, during and after the traps; the edge's filter counted each of them.
    let sent = fleet.finish().await.all_ok();
    let edge_is_exact = async || {
        let seen: u64 = streams_of(&rig.planner, "edge").await.iter().map(|stream| stream.observations).sum();
        if seen == sent { Ok(()) } else { Err(format!("{seen} of {sent} are stored")) }
    };
    until("what the edge observed", PATIENCE, edge_is_exact).await;
    let kept: u64 = before.iter().map(|stream| stream.observations).sum();
    println!("{sent} requests, all answered; the trapped filter had delivered {kept} and the edge's all");
}

/// Requests that are in flight in the worker whose filter traps are failed by `failure_policy: FAIL_OPEN` (with 503, in
/// Envoy 1.40), and not by `fail_open: true`; so each configuration that is shipped is put to the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipped_configurations_fail_no_request_when_the_filter_traps() {
    let place = Place::new();
    let backend = Backend::start().await;
    let planner = PlannerUnderTest::start(place.directory()).await;
    let trapping = || filter(Module::Trapping, planner.address());
    // Every route is the one that traps, so each worker traps with its first request, while others are in flight.
    let (host, host_address) = start_shipped(&place, "shop-1", 2, |listen, admin_port| {
        let config = HostConfig {
            identity: identity("shop"),
            service: "shop".to_owned(),
            route: "trap".to_owned(),
            listen,
            service_port: backend.address().port(),
            admin_port,
            filter: Some(trapping()),
        };
        config.render().expect("the configuration is valid")
    })
    .await;
    let (edge, edge_address) = start_shipped(&place, "edge-1", 2, |listen, admin_port| {
        edge_config("trap", (listen, admin_port), backend.address(), trapping())
    })
    .await;
    for (envoy, address) in [(host, host_address), (edge, edge_address)] {
        hammer(address, &["/".to_owned()], 2 * CONNECTIONS, 20 * CONNECTIONS).await;
        let log = std::fs::read_to_string(envoy.log()).expect("Envoy writes its log");
        let traps = log.matches("trap on purpose").count();
        assert!((1..=2).contains(&traps), "{traps} workers trapped; the log:\n{log}");
        println!("{}: {traps} workers trapped, no request failed", envoy.log().display());
    }
}
