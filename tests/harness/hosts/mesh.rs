//! One mesh under test: hosts, proxies, load, planner.
use super::{
    files::{self, Proof},
    past::{self, PAST_EPOCH},
    planner::Planner,
    turn::Turn,
};
use crate::{
    hand_over::{Files, Goes, hand_over},
    place::{foremesh_binary, module},
    until,
};
use foremesh::{
    clock::Clock,
    endpoints,
    hosts::{HostsPlatform, config::Hosts},
    settings::Platform,
};
use foremesh_core::plan::Traffic;
use foremesh_demo::{
    AgentClient, EndpointSource, FilterSpec, HostArgs, HostLayout, HostSpec, LoadHandle, LoadReport,
    LoadSpec, ServiceSettings, Window, World, WorldSpec, free_ports, request, start_load, unix_ms,
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

/// The service, which is its workload too.
pub const SERVICE: &str = "shop";
/// Where it runs at first.
pub const HOME: &str = "host-a";
/// The best place to go.
pub const TARGET: &str = "host-b";
/// The second best.
pub const SPARE: &str = "host-c";
/// Promised P95.
pub const OBJECTIVE_MS: u32 = 200;

/// 0.5 of 2 cores: quiet on every host.
const REQUESTS_PER_SECOND: f64 = 200.0;
const SETTINGS: ServiceSettings =
    ServiceSettings { port: 0, demand_ms: 2.5, variation: 0.5, startup_ms: 200 };
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long the load runs before the planner looks, so that hosts are as busy as they were.
const WARM: Duration = Duration::from_millis(1_500);
const PUSH_INTERVAL_MS: u64 = 200;

/// How the service goes in a plan that is made by hand.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// Where it goes from.
    pub from: &'a str,
    /// Where it goes to.
    pub to: &'a str,
    /// How its traffic goes over.
    pub traffic: Traffic,
    /// Only traffic goes, to the replica that runs there.
    pub shift: bool,
}

/// A running mesh. Everything in it dies when it is dropped.
#[derive(Debug)]
pub struct Mesh {
    /// The planner, which is not always running.
    pub planner: Planner,
    world: World,
    load: Option<LoadHandle>,
    /// Requests that were answered besides the load's: by whom matters not, the edge saw them.
    probes: Probes,
    edge_only: bool,
    settings: ServiceSettings,
    _turn: Turn,
}

/// What differs between meshes.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The policy's.
    pub mode: &'a str,
    /// What stands before a move.
    pub proof: Proof,
    /// Hosts that the service runs on.
    pub homes: &'a [&'a str],
    /// The edge gets its endpoints from the planner's server instead of the file.
    pub served: bool,
    /// Only the edge's Envoy has the filter.
    pub edge_only: bool,
    /// Core-milliseconds of a request.
    pub demand_ms: f64,
}

impl<'a> Setup<'a> {
    /// Endpoints by file, a filter in each Envoy, a trial that is waived.
    pub const fn usual(mode: &'a str, homes: &'a [&'a str]) -> Self {
        Self {
            mode,
            proof: Proof::Waived,
            homes,
            served: false,
            edge_only: false,
            demand_ms: SETTINGS.demand_ms,
        }
    }
}

/// Answers of the edge before the load.
#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    all: u64,
    by_the_service: u64,
}

impl Mesh {
    /// A mesh with a planner that predicts a breach on [`HOME`] and may move the service, under load.
    pub async fn start() -> Self {
        Self::start_on(&[HOME]).await
    }

    /// The same with a replica on each of these hosts. The load runs before the planner looks for the first time, as it did
    /// in the past: hosts that are idle for a moment would be a change that leaves the forecast in doubt.
    pub async fn start_on(homes: &[&str]) -> Self {
        Self::under_load(Self::prepare_on("auto", homes).await).await
    }

    /// The same with a trial before the move.
    pub async fn start_tried() -> Self {
        let setup = Setup { proof: Proof::Trial, ..Setup::usual("auto", &[HOME]) };
        Self::under_load(Self::prepare_as(setup).await).await
    }

    async fn under_load(mut mesh: Self) -> Self {
        give_endpoints(mesh.planner.files()).await;
        mesh.start_load().await;
        mesh.run_for(WARM).await;
        mesh.planner.start().await;
        mesh
    }

    /// The same without planner and load. `mode` is the policy's.
    pub async fn prepare(mode: &str) -> Self {
        Self::prepare_on(mode, &[HOME]).await
    }

    /// The same with a replica on each of these hosts.
    pub async fn prepare_on(mode: &str, homes: &[&str]) -> Self {
        Self::prepare_as(Setup::usual(mode, homes)).await
    }

    /// The same, set up in this way.
    pub async fn prepare_as(setup: Setup<'_>) -> Self {
        let mesh = Self::without_past(setup).await;
        let share = 1.0 / setup.homes.len() as f64;
        let state = &mesh.planner.files().state;
        past::write(state, SERVICE, (HOME, share), &[TARGET, SPARE], unix_ms()).await;
        mesh
    }

    /// The same with a planner that has seen nothing yet, and a service that hosts have room for at 500 requests a second.
    pub async fn prepare_without_past(mode: &str, homes: &[&str]) -> Self {
        Self::without_past(Setup { demand_ms: 1.0, ..Setup::usual(mode, homes) }).await
    }

    async fn without_past(setup: Setup<'_>) -> Self {
        let Setup { mode, proof, homes, served, edge_only, demand_ms } = setup;
        let settings = ServiceSettings { demand_ms, ..SETTINGS };
        let turn = Turn::take().await;
        let port = || free_ports(1).expect("loopback has free ports")[0];
        let ads = served.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port())));
        let world = World::start(&spec(&turn, ads, edge_only)).await.expect("the world starts");
        for home in homes {
            world.start_service(home, settings, READY_WITHIN).await.expect("the service starts");
        }
        let files = files::write(world.layout(), &settings, (mode, proof), homes, ads);
        let planner = Planner::new(files, world.layout().planner);
        Self { planner, world, load: None, probes: Probes::default(), edge_only, settings, _turn: turn }
    }

    /// Leaves a plan for the planner, which does not run, as its own loop would.
    pub async fn hand_over(&self, way: Way<'_>) {
        let replica = |host: &str| format!("{SERVICE}@{host}");
        let goes = Goes {
            plan: "plan-by-hand",
            generation: 1,
            workload: SERVICE,
            service: SERVICE,
            replica: &replica(way.from),
            from: way.from,
            to: way.to,
            traffic: way.traffic,
            shift_to: way.shift.then(|| replica(way.to)),
            policy: SERVICE,
            objective_ms: OBJECTIVE_MS,
        };
        hand_over(self.planner.files(), &goes).await;
    }

    /// Waits until the edge has the planner's endpoints, then sends an open load until [`Self::end_load`].
    pub async fn start_load(&mut self) {
        self.start_load_of(REQUESTS_PER_SECOND).await;
    }

    /// The same with so many requests a second.
    pub async fn start_load_of(&mut self, rate: f64) {
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
        let load = LoadSpec { host: SERVICE.to_owned(), ..LoadSpec::constant(edge, rate) };
        self.load = Some(start_load(load).expect("the load starts"));
    }

    /// Ends the load, whatever became of its requests; with its seconds.
    pub async fn finish_load(&mut self) -> (LoadReport, Vec<Window>) {
        let mut load = self.load.take().expect("the load runs");
        load.stop();
        let mut seconds = Vec::new();
        while let Some(window) = load.windows.recv().await {
            seconds.push(window);
        }
        (load.finish().await.expect("the load ends"), seconds)
    }

    /// Ends the load; no request of it may have failed.
    pub async fn end_load(&mut self) -> LoadReport {
        let (report, _) = self.finish_load().await;
        let failures: Vec<_> = report.failures.iter().take(5).collect();
        assert_eq!(report.totals.failed, 0, "of {} requests; the first: {failures:#?}", report.totals.sent);
        assert_eq!(report.totals.ok, report.totals.offered, "every request is answered");
        report
    }

    /// Waits until the planner has every observation of a load that is over: what the edge saw of all requests, and
    /// what the hosts' own proxies saw. None is lost and none is counted twice.
    pub async fn assert_all_observed(&self, report: &LoadReport) {
        self.assert_all_observed_but(report, "").await;
    }

    /// The same when a test sends summaries of its own, as the proxy of `other`.
    pub async fn assert_all_observed_but(&self, report: &LoadReport, other: &str) {
        let edge = report.totals.ok + self.probes.all;
        let hosts = if self.edge_only { 0 } else { report.totals.ok + self.probes.by_the_service };
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
    pub async fn shares_of_next(&self, requests: u64) -> BTreeMap<String, f64> {
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
    pub async fn run_for(&self, time: Duration) {
        assert!(self.load.is_some(), "time passes only under load");
        tokio::time::sleep(time).await;
    }

    /// The agent of a host.
    pub fn agent(&self, host: &str) -> AgentClient {
        self.world.agent(host).expect("the host is in the world")
    }

    /// Kills a host: its agent and whatever runs on it.
    pub fn kill_host(&self, host: &str) {
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
    pub async fn boot_host(&mut self, host: &str, with_service: bool) {
        self.world.reboot_host(host).await.expect("the host starts");
        if with_service {
            let port = self.world.layout().host(host).expect("the host is in the world").service_port;
            // Whether it is ever ready is not waited for: it may have to be stopped at once.
            let settings = ServiceSettings { port, ..self.settings };
            self.agent(host).start(SERVICE, settings).await.expect("the service starts");
        }
    }

    /// Hosts on which the service answers its ready check.
    pub async fn answering(&self) -> Vec<&'static str> {
        self.answering_as(SERVICE).await
    }

    /// The same of anything by its name.
    pub async fn answering_as(&self, name: &str) -> Vec<&'static str> {
        let mut answering = Vec::new();
        for host in [HOME, TARGET, SPARE] {
            if self.agent(host).ready(name).await.is_ok() {
                answering.push(host);
            }
        }
        answering
    }

    /// The endpoint file of the edge.
    pub fn eds_file(&self) -> &Path {
        &self.world.layout().edge.eds_file
    }

    /// Weight of each host in the endpoint file.
    pub fn weights(&self) -> BTreeMap<String, u32> {
        let layout = self.world.layout();
        let bytes = std::fs::read(&layout.edge.eds_file).expect("the endpoint file is there");
        let file = endpoints::decode(&bytes).expect("the endpoint file can be read");
        let name = |address| {
            let host = layout.hosts.iter().find(|host| host.listen == address);
            host.map_or_else(|| address.to_string(), |host| host.name.clone())
        };
        file.endpoints.into_iter().map(|(address, endpoint)| (name(address), endpoint.weight)).collect()
    }

    /// The service answers on this host alone, and all traffic goes there.
    pub async fn assert_only_on(&self, host: &str) {
        assert_eq!(self.answering().await, [host], "exactly one replica answers");
        let weights = self.weights();
        assert_eq!(weights.keys().collect::<Vec<_>>(), [host], "weights: {weights:?}");
    }
}

/// Gives the edge its endpoints, as a planner does when it starts.
pub async fn give_endpoints(files: &Files) {
    let Platform::Hosts(file) = files.read().platform else { panic!("the rig is made of hosts") };
    let hosts = Hosts::read(&file).expect("the hosts file can be read");
    HostsPlatform::open(hosts, &files.state, Clock::System).await.expect("the platform opens");
}

fn spec(turn: &Turn, ads: Option<SocketAddr>, edge_only: bool) -> WorldSpec {
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
        endpoints: ads.map_or(EndpointSource::Planner, EndpointSource::Served),
        filter: Some(FilterSpec {
            module: module("foremesh_filter.wasm", "scripts/build-filter"),
            interval_ms: PUSH_INTERVAL_MS,
            edge_only,
        }),
        planner: None,
        edge_concurrency: 1,
        ready_within: READY_WITHIN,
    }
}
