//! One mesh under test: hosts, proxies, load, planner.
use super::{
    executor::give_endpoints,
    files::{self, Proof},
    past::{self, PAST_EPOCH},
    place::{Turn, foremesh_binary},
    planner::Planner,
};
use foremesh::hosts::eds;
use foremesh_demo::{
    AgentClient, EndpointSource, FilterSpec, HostArgs, HostLayout, HostSpec, LoadHandle, LoadReport,
    LoadSpec, ServiceSettings, World, WorldSpec, request, start_load, unix_ms,
};
use foremesh_tests::{place::module, until};
use std::{collections::BTreeMap, time::Duration};

/// The service, which is its workload too.
pub(crate) const SERVICE: &str = "shop";
/// Where it runs at first.
pub(crate) const HOME: &str = "host-a";
/// The best place to go.
pub(crate) const TARGET: &str = "host-b";
/// The second best.
pub(crate) const SPARE: &str = "host-c";
/// Promised P95.
pub(super) const OBJECTIVE_MS: u32 = 200;

/// 0.5 of 2 cores: quiet on every host.
const REQUESTS_PER_SECOND: f64 = 200.0;
const SETTINGS: ServiceSettings =
    ServiceSettings { port: 0, demand_ms: 2.5, variation: 0.5, startup_ms: 200 };
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long the load runs before the planner looks, so that hosts are as busy as they were.
const WARM: Duration = Duration::from_millis(1_500);
const PUSH_INTERVAL_MS: u64 = 200;

/// A running mesh. Everything in it dies when it is dropped.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) planner: Planner,
    world: World,
    load: Option<LoadHandle>,
    /// Requests that were answered besides the load's: by whom matters not, the edge saw them.
    probes: Probes,
    _turn: Turn,
}

/// Answers of the edge before the load.
#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    all: u64,
    by_the_service: u64,
}

impl Mesh {
    /// A mesh with a planner that predicts a breach on [`HOME`] and may move the service, under load.
    pub(crate) async fn start() -> Self {
        Self::start_on(&[HOME]).await
    }

    /// The same with a replica on each of these hosts. The load runs before the planner looks for the first time, as it did
    /// in the past: hosts that are idle for a moment would be a change that leaves the forecast in doubt.
    pub(crate) async fn start_on(homes: &[&str]) -> Self {
        Self::under_load(Self::prepare_on("auto", homes).await).await
    }

    /// The same with a trial before the move.
    pub(crate) async fn start_tried() -> Self {
        Self::under_load(Self::prepare_with(("auto", Proof::Trial), &[HOME]).await).await
    }

    async fn under_load(mut mesh: Self) -> Self {
        give_endpoints(mesh.planner.files()).await;
        mesh.start_load().await;
        mesh.run_for(WARM).await;
        mesh.planner.start().await;
        mesh
    }

    /// The same without planner and load. `mode` is the policy's.
    pub(crate) async fn prepare(mode: &str) -> Self {
        Self::prepare_on(mode, &[HOME]).await
    }

    /// The same with a replica on each of these hosts.
    pub(crate) async fn prepare_on(mode: &str, homes: &[&str]) -> Self {
        Self::prepare_with((mode, Proof::Waived), homes).await
    }

    async fn prepare_with(how: (&str, Proof), homes: &[&str]) -> Self {
        let turn = Turn::take().await;
        let world = World::start(&spec(&turn)).await.expect("the world starts");
        for home in homes {
            world.start_service(home, SETTINGS, READY_WITHIN).await.expect("the service starts");
        }
        let files = files::write(world.layout(), &SETTINGS, how, homes);
        let share = 1.0 / homes.len() as f64;
        past::write(&files.state, SERVICE, (HOME, share), &[TARGET, SPARE], unix_ms()).await;
        let planner = Planner::new(files, world.layout().planner);
        Self { planner, world, load: None, probes: Probes::default(), _turn: turn }
    }

    /// Waits until the edge has the planner's endpoints, then sends an open load until [`Self::end_load`].
    pub(crate) async fn start_load(&mut self) {
        let edge = self.world.layout().edge.listen;
        let mut probes = self.probes;
        until("the edge to have endpoints", READY_WITHIN, async || {
            let answer =
                request(edge, "GET", "/", Duration::from_secs(5)).await.map_err(|e| e.to_string())?;
            probes.all += 1;
            probes.by_the_service += u64::from(answer.is_success());
            if answer.is_success() { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        self.probes = probes;
        let load = LoadSpec { host: SERVICE.to_owned(), ..LoadSpec::constant(edge, REQUESTS_PER_SECOND) };
        self.load = Some(start_load(load).expect("the load starts"));
    }

    /// Ends the load; no request of it may have failed.
    pub(crate) async fn end_load(&mut self) -> LoadReport {
        let report = self.end_shaken_load().await;
        let failures: Vec<_> = report.failures.iter().take(5).collect();
        assert_eq!(report.totals.failed, 0, "of {} requests; the first: {failures:#?}", report.totals.sent);
        assert_eq!(report.totals.ok, report.totals.offered, "every request is answered");
        report
    }

    /// Ends a load of which requests may have failed.
    pub(crate) async fn end_shaken_load(&mut self) -> LoadReport {
        let load = self.load.take().expect("the load runs");
        load.stop();
        load.finish().await.expect("the load ends")
    }

    /// Waits until the planner has every observation of a load that is over: what the edge saw of all requests, and
    /// what the hosts' own proxies saw. None is lost and none is counted twice.
    pub(crate) async fn assert_all_observed(&self, report: &LoadReport) {
        self.assert_all_observed_but(report, "").await;
    }

    /// The same when a test sends summaries of its own, as the proxy of `other`.
    pub(crate) async fn assert_all_observed_but(&self, report: &LoadReport, other: &str) {
        let edge = report.totals.ok + self.probes.all;
        let hosts = report.totals.ok + self.probes.by_the_service;
        until("every observation to be stored", Duration::from_secs(40), async || {
            let answer = self.planner.json("/api/v1/proxies").await?;
            let proxies = answer["proxies"].as_array().cloned().unwrap_or_default();
            let (mut seen_by_edge, mut seen_by_hosts) = (0, 0);
            for proxy in proxies.iter().filter(|proxy| proxy["workload"] != other) {
                if proxy["epoch"] == PAST_EPOCH {
                    continue;
                }
                assert_eq!(proxy["lost"], 0, "{proxy:#}");
                assert_eq!(proxy["config_error"], "", "{proxy:#}");
                let observations = proxy["observations"].as_u64().unwrap_or_default();
                let from_edge = proxy["workload"] == "edge";
                *(if from_edge { &mut seen_by_edge } else { &mut seen_by_hosts }) += observations;
            }
            assert!(seen_by_edge <= edge && seen_by_hosts <= hosts, "counted twice: {proxies:#?}");
            if (seen_by_edge, seen_by_hosts) == (edge, hosts) {
                return Ok(());
            }
            Err(format!(
                "of {edge} at the edge {seen_by_edge} are there, of {hosts} at the hosts {seen_by_hosts}"
            ))
        })
        .await;
    }

    /// Part of the next `requests` that the edge's Envoy gives to each host; the load must run.
    pub(crate) async fn shares_of_next(&self, requests: u64) -> BTreeMap<String, f64> {
        let before = self.given().await.expect("the edge's Envoy answers");
        until("requests to be given to hosts", Duration::from_secs(60), async || {
            let after = self.given().await?;
            let given = |host: &String| after[host] - before.get(host).copied().unwrap_or(0);
            let all: u64 = after.keys().map(given).sum();
            if all < requests {
                return Err(format!("{all} of {requests} were given"));
            }
            Ok(after.keys().map(|host| (host.clone(), given(host) as f64 / all as f64)).collect())
        })
        .await
    }

    /// Requests that the edge's Envoy has given to each host since it has it as an endpoint. Not from the planner: what
    /// waits for one that was down arrives later, from some hosts sooner than from others.
    async fn given(&self) -> Result<BTreeMap<String, u64>, String> {
        let clusters = self.world.edge_admin().get("/clusters").await.map_err(|error| error.to_string())?;
        let layout = self.world.layout();
        let of = |host: &HostLayout| {
            let counter = format!("{}::{}::rq_total::", layout.edge.cluster, host.listen);
            clusters.lines().find_map(|line| line.strip_prefix(&counter)?.trim().parse::<u64>().ok())
        };
        Ok(layout.hosts.iter().filter_map(|host| Some((host.name.clone(), of(host)?))).collect())
    }

    /// Lets the load run for a while.
    pub(crate) async fn run_for(&self, time: Duration) {
        assert!(self.load.is_some(), "time passes only under load");
        tokio::time::sleep(time).await;
    }

    /// The agent of a host.
    pub(crate) fn agent(&self, host: &str) -> AgentClient {
        self.world.agent(host).expect("the host is in the world")
    }

    /// Kills a host: its agent and whatever runs on it.
    pub(crate) fn kill_host(&self, host: &str) {
        let index = self.world.layout().hosts.iter().position(|place| place.name == host);
        let index = index.expect("the host is in the world");
        let pid = self.world.process_ids()[index];
        let killed = std::process::Command::new("/bin/sh")
            .args(["-c", "kill -KILL \"$0\"", &pid.to_string()])
            .status();
        assert!(
            killed.is_ok_and(|status| status.success()),
            "host {host} with process {pid} cannot be killed"
        );
    }

    /// A host that was killed comes back; its init system starts what ran on it, or does not.
    pub(crate) async fn boot_host(&mut self, host: &str, with_service: bool) {
        self.world.reboot_host(host).await.expect("the host starts");
        if with_service {
            let port = self.world.layout().host(host).expect("the host is in the world").service_port;
            // Whether it is ever ready is not waited for: it may have to be stopped at once.
            let settings = ServiceSettings { port, ..SETTINGS };
            self.agent(host).start(SERVICE, settings).await.expect("the service starts");
        }
    }

    /// Hosts on which the service answers its ready check.
    pub(crate) async fn answering(&self) -> Vec<&'static str> {
        self.answering_as(SERVICE).await
    }

    /// The same of anything by its name.
    pub(crate) async fn answering_as(&self, name: &str) -> Vec<&'static str> {
        let mut answering = Vec::new();
        for host in [HOME, TARGET, SPARE] {
            if self.agent(host).ready(name).await.is_ok() {
                answering.push(host);
            }
        }
        answering
    }

    /// Weight of each host in the endpoint file.
    pub(crate) fn weights(&self) -> BTreeMap<String, u32> {
        let layout = self.world.layout();
        let bytes = std::fs::read(&layout.edge.eds_file).expect("the endpoint file is there");
        let file = eds::decode(&bytes).expect("the endpoint file can be read");
        let name = |address| {
            let host = layout.hosts.iter().find(|host| host.listen == address);
            host.map_or_else(|| address.to_string(), |host| host.name.clone())
        };
        file.endpoints.into_iter().map(|(address, (_, weight))| (name(address), weight)).collect()
    }

    /// The service answers on this host alone, and all traffic goes there.
    pub(crate) async fn assert_only_on(&self, host: &str) {
        assert_eq!(self.answering().await, [host], "exactly one replica answers");
        let weights = self.weights();
        assert_eq!(weights.keys().collect::<Vec<_>>(), [host], "weights: {weights:?}");
    }
}

fn spec(turn: &Turn) -> WorldSpec {
    let host = |name: &str, zone: &str, capacity: u32, seed: u64| HostSpec {
        zone: zone.to_owned(),
        args: HostArgs { seed, ..HostArgs::new(name, capacity) },
    };
    WorldSpec {
        directory: turn.directory().to_owned(),
        program: foremesh_binary(),
        argv_prefix: vec!["demo-part".to_owned()],
        envoy: turn.envoy().to_owned(),
        service: SERVICE.to_owned(),
        hosts: vec![
            host(HOME, "zone-1", 2_000, 11),
            host(TARGET, "zone-1", 2_000, 12),
            host(SPARE, "zone-1", 1_600, 13),
        ],
        endpoints: EndpointSource::Planner,
        filter: Some(FilterSpec {
            module: module("foremesh_filter.wasm", "scripts/build-filter"),
            interval_ms: PUSH_INTERVAL_MS,
        }),
        planner: None,
        edge_concurrency: 1,
        ready_within: READY_WITHIN,
    }
}
