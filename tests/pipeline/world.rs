//! A small world in simulated time: one service on three hosts, a neighbour that takes the CPU of the first one for a
//! part of each hour, and proxies that report what requests would have seen.
use crate::load::{Load, MINUTE_MS, START_MS, TICK_MS};
use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use foremesh::{
    app::{Assembled, PlatformPorts},
    clock::{Clock, ManualClock},
    control::Control,
    platform::{Inventory, PlatformError, Relocator, TrafficShifter},
    policies::{self, Policies},
    rollout::Rollouts,
    settings::Settings,
    signals::Signals,
};
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    policy::RelocationPolicy,
    time::Timestamp,
    topology::{Node, Replica, Snapshot, Workload},
    units::Millicores,
};
use foremesh_summary::{
    Accumulator, encode,
    wire::{Direction, Proxy, RouteWindow, WindowSummary},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::sync::watch;
use tower::ServiceExt as _;

const HOSTS: [(&str, f64); 3] = [("host-a", 4000.0), ("host-b", 4000.0), ("host-c", 1000.0)];
/// CPU of one request in core-milliseconds, and requests per second.
const DEMAND_MS: f64 = 10.0;
const RATE: f64 = 100.0;
const OBJECTIVE_MS: f64 = 250.0;

/// What the platform knows and what was done to it.
#[derive(Debug)]
struct State {
    clock: ManualClock,
    running: BTreeSet<String>,
    weights: BTreeMap<ReplicaId, u32>,
    broken: BTreeSet<String>,
    load: Load,
}

/// The platform of the simulated world.
#[derive(Clone, Debug)]
struct FakePlatform(Arc<Mutex<State>>);

impl State {
    fn now_ms(&self) -> i64 {
        Clock::Manual(self.clock.clone()).now().unix_ms()
    }

    /// Share of the service's requests that a host gets, 0 to 1.
    fn share(&self, host: &str) -> f64 {
        let whole: u32 = self.weights.values().sum();
        let own = self.weights.get(&replica(host)).copied().unwrap_or(0);
        if whole == 0 { 0.0 } else { f64::from(own) / f64::from(whole) }
    }

    fn used(&self, host: &str) -> f64 {
        let at_ms = self.now_ms();
        self.load.others(host, at_ms) + self.share(host) * self.load.rate(at_ms) * DEMAND_MS
    }

    /// Mean time of a request on a host under processor sharing, in milliseconds.
    fn response_ms(&self, host: &str) -> f64 {
        let capacity = HOSTS.iter().find(|(name, _)| *name == host).expect("the host exists").1;
        DEMAND_MS / (1.0 - self.used(host) / capacity).max(0.02)
    }
}

fn replica(host: &str) -> ReplicaId {
    ReplicaId::new(format!("shop@{host}"))
}

impl FakePlatform {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().expect("no test thread has panicked with the lock"))
    }
}

#[async_trait]
impl Inventory for FakePlatform {
    async fn snapshot(&self) -> Result<Snapshot, PlatformError> {
        Ok(self.with(|state| {
            let cpu = |value| Millicores::new(value).expect("CPU is never negative");
            let nodes = HOSTS.iter().map(|(name, capacity)| {
                let node = Node { used: Some(cpu(state.used(name))), ..Node::new(cpu(*capacity)) };
                (NodeId::new(*name), node)
            });
            let replicas = state
                .running
                .iter()
                .map(|host| (replica(host), Replica::new(NodeId::new(host), true)))
                .collect();
            let shop = Workload {
                replicas,
                used: Some(cpu(RATE * DEMAND_MS)),
                ..Workload::new(ServiceId::new("shop"))
            };
            Snapshot {
                nodes: nodes.collect(),
                workloads: BTreeMap::from([(WorkloadId::new("shop"), shop)]),
                ..Snapshot::empty(Timestamp::from_unix_ms(state.now_ms()))
            }
        }))
    }
}

#[async_trait]
impl Relocator for FakePlatform {
    async fn prepare(&self, _: &WorkloadId, _: &NodeId) -> Result<(), PlatformError> {
        Ok(())
    }

    async fn place(
        &self,
        _: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        self.with(|state| {
            if state.broken.contains(node.as_str()) {
                return Err(PlatformError::Refused {
                    object: format!("start of `shop` on `{node}`"),
                    problem: format!("{node} has no disk"),
                    remedy: "repair it".to_owned(),
                });
            }
            state.running.insert(node.to_string());
            Ok(replica(node.as_str()))
        })
    }

    async fn is_ready(&self, _: &WorkloadId, node: &NodeId, _: &ReplicaId) -> Result<bool, PlatformError> {
        Ok(self.with(|state| state.running.contains(node.as_str())))
    }

    async fn retire(
        &self,
        _: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<(), PlatformError> {
        self.with(|state| {
            assert!(state.share(node.as_str()) == 0.0, "a replica with traffic is never stopped");
            state.running.remove(node.as_str());
        });
        Ok(())
    }
}

#[async_trait]
impl TrafficShifter for FakePlatform {
    async fn weights(&self, _: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        Ok(self.with(|state| state.weights.clone()))
    }

    async fn set_weights(
        &self,
        _: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        self.with(|state| {
            for (id, weight) in weights.iter().filter(|(_, weight)| **weight > 0) {
                let host = id.as_str().trim_start_matches("shop@");
                assert!(state.running.contains(host), "{weight} % for `{id}`, which does not run");
            }
            state.weights.clone_from(weights);
        });
        Ok(())
    }

    async fn restore(&self, _: &ServiceId) -> Result<(), PlatformError> {
        Ok(())
    }
}

/// The world with its planner.
#[derive(Debug)]
pub(crate) struct World {
    clock: ManualClock,
    platform: FakePlatform,
    /// Settings and policies of the planner.
    made_of: (Settings, Vec<RelocationPolicy>),
    router: Router,
    control: Control,
    rollouts: Arc<Rollouts>,
    signals: Option<Signals>,
    /// Dropped with the world, which ends what reads its signals.
    reading: Option<watch::Sender<bool>>,
    minutes: i64,
    sequences: BTreeMap<String, (u64, u64)>,
    sent: u64,
    muted: bool,
    slow: Vec<i64>,
    /// Minutes in which there are three times as many requests.
    busy: Vec<std::ops::Range<i64>>,
    directory: tempfile::TempDir,
}

const SETTINGS: &str = "
stateDirectory: state
platform: {hosts: hosts.yaml}
policies: [policies]
step: 1m
season: 1h
horizon: 20m
interval: 15s
staleAfter: 5m
retention: {step: 12h}
rollout: {revalidateAfter: 30s, holdPerStep: 2m, settle: 2m, gateWait: 5m, drainQuiet: 1m, minSamples: 200}
";

fn policy(mode: &str) -> String {
    format!(
        "
apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {{name: shop}}
spec:
  selector: {{services: [shop]}}
  mode: {mode}
  rules:
    - name: slow-soon
      predictedLatency: {{quantile: 0.99, above: {OBJECTIVE_MS}ms, for: {{steps: 3, of: 5}}, within: 15m, probability: 0.5}}
  ramp: [50, 100]
  trial: {{waivedBy: the test, reason: there is no staging mesh}}
"
    )
}

async fn assemble(
    (settings, policies): &(Settings, Vec<RelocationPolicy>),
    platform: &FakePlatform,
    clock: &ManualClock,
) -> Assembled {
    let ports = PlatformPorts {
        inventory: Arc::new(platform.clone()),
        relocator: Arc::new(platform.clone()),
        traffic: Arc::new(platform.clone()),
        staging: None,
    };
    Assembled::new(
        settings,
        Arc::new(Policies::of_files(policies.clone())),
        ports,
        Clock::Manual(clock.clone()),
    )
    .await
    .expect("the planner can be assembled")
}

impl World {
    /// A new world at its first minute, with a policy in this mode.
    pub(crate) async fn new(mode: &str) -> Self {
        Self::with(mode, SETTINGS, &[], Load::Neighbour).await
    }

    /// A world whose day has two hours, with these lines in the settings and these files beside them.
    pub(crate) async fn with_short_days(lines: &str, files: &[(&str, &str)], load: Load) -> Self {
        let settings = SETTINGS.replace("season: 1h", "season: 2h").replace("horizon: 20m", "horizon: 40m");
        Self::with("observe", &format!("{settings}{lines}"), files, load).await
    }

    async fn with(mode: &str, settings: &str, files: &[(&str, &str)], load: Load) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).expect("a file");
        }
        let file = directory.path().join("foremesh.yaml");
        let settings = Settings::parse(&file, settings).expect("the settings are good");
        std::fs::create_dir_all(&settings.state_directory).expect("a state directory");
        let policies = policies::parse(Path::new("shop.yaml"), &policy(mode)).expect("the policy is good");
        let clock = ManualClock::new(Timestamp::from_unix_ms(START_MS));
        let platform = FakePlatform(Arc::new(Mutex::new(State {
            clock: clock.clone(),
            running: BTreeSet::from(["host-a".to_owned()]),
            weights: BTreeMap::from([(replica("host-a"), 100)]),
            broken: BTreeSet::new(),
            load,
        })));
        let made_of = (settings, policies);
        let assembled = assemble(&made_of, &platform, &clock).await;
        let Assembled { router, control, rollouts, signals, .. } = assembled;
        Self {
            clock,
            platform,
            made_of,
            router,
            control,
            rollouts,
            signals: Some(signals),
            reading: None,
            minutes: 0,
            sequences: BTreeMap::new(),
            sent: 0,
            muted: false,
            slow: Vec::new(),
            busy: Vec::new(),
            directory,
        }
    }

    /// The planner ends and is started again, with what it has on disk and with a policy in this mode.
    pub(crate) async fn restart(self, mode: &str) -> Self {
        let Self { router, control, rollouts, signals, mut made_of, .. } = self;
        drop((router, control, rollouts, signals));
        made_of.1 = policies::parse(Path::new("shop.yaml"), &policy(mode)).expect("the policy is good");
        let assembled = assemble(&made_of, &self.platform, &self.clock).await;
        let Assembled { router, control, rollouts, signals, .. } = assembled;
        Self { router, control, rollouts, signals: Some(signals), made_of, ..self }
    }

    /// Lets time go on.
    pub(crate) async fn run(&mut self, minutes: i64) {
        for _ in 0..minutes * MINUTE_MS / TICK_MS {
            self.tick().await;
            self.control.pass().await.expect("a pass comes to a decision");
            // Rollouts look several times in a tick, as they would between two passes.
            for _ in 0..4 {
                self.rollouts.tick().await;
            }
        }
    }

    /// Time goes by, and the planner makes no pass.
    pub(crate) async fn stand_still(&mut self, minutes: i64) {
        for _ in 0..minutes * MINUTE_MS / TICK_MS {
            self.tick().await;
        }
    }

    /// One more pass, with something that happens while it runs.
    pub(crate) async fn pass_beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        self.tick().await;
        let (passed, done) = tokio::join!(self.control.pass(), other);
        passed.expect("a pass comes to a decision");
        done
    }

    /// The time between two passes goes by.
    async fn tick(&mut self) {
        let now_ms = Clock::Manual(self.clock.clone()).now().unix_ms() + TICK_MS;
        self.clock.set(Timestamp::from_unix_ms(now_ms));
        self.minutes = (now_ms - START_MS) / MINUTE_MS;
        if !self.muted {
            self.report(now_ms).await;
        }
    }

    /// What every proxy saw in the tick that ends now: half of the requests near the mean, the rest spread to five
    /// times the mean, so that the 99th percentile is far from the median.
    async fn report(&mut self, now_ms: i64) {
        for (host, _) in HOSTS {
            let (rate, mean_ms) = self
                .platform
                .with(|state| (state.load.rate(now_ms) * state.share(host), state.response_ms(host)));
            let minute = (now_ms - TICK_MS - START_MS) / MINUTE_MS;
            let factor = if self.busy.iter().any(|busy| busy.contains(&minute)) { 3.0 } else { 1.0 };
            let count = (rate * factor * TICK_MS as f64 / 1e3) as u64;
            if count == 0 {
                continue;
            }
            if mean_ms * 5.0 > OBJECTIVE_MS {
                self.slow.push(self.minutes);
            }
            let mut latency = Accumulator::new();
            let mut sum_us = 0;
            for at in 0..count {
                let spread = 0.2 + 4.8 * (at as f64 / count as f64).powi(4);
                let us = (mean_ms * spread * 1e3) as u64;
                latency.record(us);
                sum_us += us;
            }
            let route = RouteWindow {
                direction: Direction::Inbound.into(),
                callee: "shop".to_owned(),
                route: "default".to_owned(),
                ok: count,
                sum_us,
                latency_hdr_v2: latency.encode(),
                ..RouteWindow::default()
            };
            self.push(host, now_ms, count, vec![route]).await;
        }
    }

    async fn push(&mut self, host: &str, now_ms: i64, count: u64, routes: Vec<RouteWindow>) {
        let (sequence, cumulative) = self.sequences.entry(host.to_owned()).or_default();
        *sequence += 1;
        *cumulative += count;
        self.sent += count;
        let summary = WindowSummary {
            major: foremesh_summary::MAJOR,
            minor: foremesh_summary::MINOR,
            proxy: Some(Proxy {
                workload: "shop".to_owned(),
                pod: format!("shop-{host}"),
                node: host.to_owned(),
                ..Proxy::default()
            }),
            epoch: 1 + host.bytes().map(u64::from).sum::<u64>(),
            sequence: *sequence,
            start_unix_ms: (now_ms - TICK_MS) as u64,
            end_unix_ms: now_ms as u64,
            cumulative: *cumulative,
            routes,
            ..WindowSummary::default()
        };
        let request = Request::post("/v1/summaries")
            .header("content-type", foremesh_summary::CONTENT_TYPE)
            .body(Body::from(encode(&summary)))
            .expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }

    /// A proxy of another workload reports calls by so many routes, to a few services.
    pub(crate) async fn report_routes(&mut self, routes: usize) {
        let now_ms = Clock::Manual(self.clock.clone()).now().unix_ms();
        let mut latency = Accumulator::new();
        latency.record(1000);
        let windows: Vec<RouteWindow> = (0..routes)
            .map(|number| RouteWindow {
                direction: Direction::Outbound.into(),
                callee: format!("service-{}", number % 20),
                route: format!("route-{number}"),
                ok: 1,
                sum_us: 1000,
                latency_hdr_v2: latency.encode(),
                ..RouteWindow::default()
            })
            .collect();
        for (number, part) in windows.chunks(2500).enumerate() {
            self.push(&format!("edge-{number}"), now_ms, part.len() as u64, part.to_vec()).await;
        }
    }

    /// Begins to read who else measures, in real time.
    pub(crate) fn read_signals(&mut self) {
        let (stop, stopped) = watch::channel(false);
        if let Some(signals) = self.signals.take() {
            signals.start(&stopped);
        }
        self.reading = Some(stop);
    }

    /// Everything that is served, for tests that need a real port.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Something else brings the service back to the first host.
    pub(crate) fn take_back(&self) {
        self.platform.with(|state| {
            state.running = BTreeSet::from(["host-a".to_owned()]);
            state.weights = BTreeMap::from([(replica("host-a"), 100)]);
        });
    }

    /// There are three times as many requests in these minutes.
    pub(crate) fn busy_in(&mut self, minutes: std::ops::Range<i64>) {
        self.busy.push(minutes);
    }

    /// Proxies send nothing any more.
    pub(crate) fn mute(&mut self) {
        self.muted = true;
    }

    /// Replicas cannot be started there.
    pub(crate) fn break_host(&mut self, host: &str) {
        self.platform.with(|state| state.broken.insert(host.to_owned()));
    }

    /// Hosts with a replica.
    pub(crate) fn running(&self) -> Vec<String> {
        self.platform.with(|state| state.running.iter().cloned().collect())
    }

    /// Traffic shares that are not 0.
    pub(crate) fn weights(&self) -> Vec<(String, u32)> {
        let weights = self.platform.with(|state| state.weights.clone());
        weights.into_iter().filter(|(_, w)| *w > 0).map(|(id, w)| (id.to_string(), w)).collect()
    }

    /// Ticks over the objective since a minute.
    pub(crate) fn slow_minutes_after(&self, minute: i64) -> usize {
        self.slow.iter().filter(|slow| **slow >= minute).count()
    }

    /// Observations that were acknowledged.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Observations that the planner has.
    pub(crate) async fn stored(&self) -> u64 {
        let proxies = self.get("/api/v1/proxies").await;
        proxies["proxies"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|proxy| proxy["observations"].as_u64())
            .sum()
    }

    /// The whole audit trail, newest first.
    pub(crate) async fn trail(&self) -> Vec<Value> {
        let mut trail: Vec<Value> = Vec::new();
        loop {
            let before = trail.last().map_or(String::new(), |entry| format!("&before={}", entry["entry"]));
            let page = self.get(&format!("/api/v1/decisions?limit=1000{before}")).await;
            let entries = page["entries"].as_array().expect("a list");
            if entries.is_empty() {
                return trail;
            }
            trail.extend(entries.iter().cloned());
        }
    }

    /// A file of the state directory, which may not be there.
    pub(crate) fn state_file(&self, name: &str) -> PathBuf {
        self.directory.path().join("state").join(name)
    }

    /// An answer as text.
    pub(crate) async fn get_text(&self, path: &str) -> String {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Status of an answer.
    pub(crate) async fn status(&self, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        self.router.clone().oneshot(request).await.expect("an answer").status()
    }

    /// Status of an answer to a body.
    pub(crate) async fn post(&self, path: &str, kind: &str, body: &str) -> StatusCode {
        let request = Request::post(path).header("content-type", kind).body(Body::from(body.to_owned()));
        self.router.clone().oneshot(request.expect("a request")).await.expect("an answer").status()
    }

    /// What the API answers.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 64 << 20).await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }
}
