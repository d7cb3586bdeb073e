//! A whole world with real Envoys, and that none of its processes is left behind.
#![allow(
    clippy::unwrap_used,
    reason = "also outside of test functions, a test ends where something is wrong"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use foremesh_demo::envoy::find_binary;
use foremesh_demo::{
    EndpointSource, LoadSpec, Scenario, World, WorldPlace, WorldSpec, outlives_nothing, start_load, unix_ms,
};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);

fn envoy() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    find_binary(None, option_env!("PATH"), &root).unwrap()
}

fn spec(directory: &Path, endpoints: EndpointSource) -> WorldSpec {
    let scenario = Scenario::demo(Duration::from_secs(3_600));
    let place = WorldPlace {
        directory,
        program: Path::new(env!("CARGO_BIN_EXE_foremesh-demo")),
        argv_prefix: &[],
        envoy: &envoy(),
        filter: None,
    };
    scenario.world(&place, endpoints, unix_ms())
}

/// Whether a process runs; one that has ended but is not awaited does not.
fn runs(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn wait_until_gone(ids: &[u32]) {
    let end = Instant::now() + PATIENCE;
    while ids.iter().any(|id| runs(*id)) {
        let left: Vec<_> = ids.iter().filter(|id| runs(**id)).collect();
        assert!(Instant::now() < end, "processes are left behind: {left:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy on the PATH or in build/bin"]
async fn requests_go_through_edge_and_host_and_envoy_counts_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let mut world =
        World::start(&spec(directory.path(), EndpointSource::Host("host-a".to_owned()))).await.unwrap();
    let scenario = Scenario::demo(Duration::from_secs(3_600));
    world.start_service("host-a", scenario.settings, PATIENCE).await.unwrap();
    let address = world.layout().edge.listen;
    let load = LoadSpec { until: Some(Duration::from_secs(2)), ..LoadSpec::constant(address, 50.0) };
    let report = start_load(load).unwrap().finish().await.unwrap();
    assert_eq!(report.failures, []);
    assert!(report.totals.sent > 90, "{:?}", report.totals);
    let counters = [
        (world.edge_admin(), "http.outbound.downstream_rq_2xx"),
        (world.edge_admin(), "cluster.outbound|80||shop.upstream_rq_2xx"),
        (*world.host_envoy("host-a").unwrap().admin(), "cluster.inbound|80||shop.upstream_rq_2xx"),
    ];
    for (admin, name) in counters {
        // Envoy publishes counters a moment after the answer.
        let end = Instant::now() + PATIENCE;
        while admin.counter(name).await.unwrap() != Some(report.totals.sent) {
            let got = admin.counter(name).await.unwrap();
            assert!(Instant::now() < end, "{name} is {got:?}, {} requests were sent", report.totals.sent);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let ids = world.process_ids();
    assert_eq!(ids.len(), 7, "three hosts, three Envoys beside them, one edge");
    world.stop().await.unwrap();
    wait_until_gone(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy on the PATH or in build/bin"]
async fn without_endpoints_the_edge_stands_and_answers_503() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(&spec(directory.path(), EndpointSource::Planner)).await.unwrap();
    let answer = foremesh_demo::request(world.layout().edge.listen, "GET", "/", PATIENCE).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    let ids = world.process_ids();
    drop(world);
    wait_until_gone(&ids).await;
}

fn children(of: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    ids.filter(|id| parent(id) == Some(of)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy on the PATH or in build/bin"]
async fn a_killed_parent_leaves_no_process_behind() {
    assert!(outlives_nothing(), "setpriv (util-linux) is missing");
    let mut parent = Command::new(env!("CARGO_BIN_EXE_foremesh-demo"))
        .args(["baseline", "--days", "1000", "--envoy"])
        .arg(envoy())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE;
    let mut ids = children(parent.id());
    while ids.len() < 7 {
        assert!(Instant::now() < end, "only {} processes started", ids.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
        ids = children(parent.id());
    }
    // SIGKILL: nothing in the parent can run any more.
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until_gone(&ids).await;
}
