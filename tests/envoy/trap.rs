//! A build of the filter that traps: what requests get, what stays stored, and how the planner learns of it.
use foremesh::silence::{Evidence, SilentProxy, silent_proxies};
use foremesh::store::{ProxyStream, RangeQuery};
use foremesh_demo::envoy::{EdgeConfig, Endpoints, EnvoyOptions, EnvoyProcess, FilterConfig, Identity};
use foremesh_demo::free_ports;
use foremesh_tests::load::hammer;
use foremesh_tests::planner::now;
use foremesh_tests::{Fleet, Module, PlannerUnderTest, Rig, Route, Target, until};
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

/// An edge with the shipped filter and the shipped configuration, which calls the proxy whose filter traps.
async fn start_edge(rig: &Rig) -> (EnvoyProcess, SocketAddr) {
    let ports = free_ports(2).expect("loopback has free ports");
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
    let name = |text: &str| text.to_owned();
    let config = EdgeConfig {
        identity: Identity {
            workload: name("edge"),
            pod: name("edge-1"),
            node: name("host-0"),
            zone: name("zone-1"),
        },
        service: name("shop"),
        route: name("all"),
        listen,
        admin_port: ports[1],
        endpoints: Endpoints::Static(rig.proxy.address()),
        filter: Some(FilterConfig {
            module: Module::Filter.path(),
            interval_ms: 1000,
            planner: rig.planner.address(),
            discovery: None,
        }),
    };
    let options = EnvoyOptions::new("edge-1", rig.place.envoy(), rig.place.directory(), ports[1]);
    let config = config.render().expect("the configuration is valid");
    let mut envoy = EnvoyProcess::start(&config, &options).await.expect("the edge starts");
    envoy.wait_until_ready(PATIENCE).await.expect("the edge gets ready");
    (envoy, listen)
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
    silent_proxies(&Evidence { streams: &streams, known: &known, recent: &recent, now, limit_ms: LIMIT_MS })
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
    let (_edge, edge) = start_edge(&rig).await;
    let paths: Vec<String> = rig.proxy.paths().into_iter().filter(|path| path != TRAP).collect();
    let fleet = Fleet::start(edge, &paths, 200.0);
    let both = async || {
        let (shop, edge) = (streams_of(&rig.planner, "shop").await, streams_of(&rig.planner, "edge").await);
        if (shop.len(), edge.len()) == (2, 1) { Ok(()) } else { Err(rig.planner.stored().await.describe()) }
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
