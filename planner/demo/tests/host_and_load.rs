//! An emulated host, its agent and a load on it, over real sockets; needs no Envoy.
#![allow(
    clippy::unwrap_used,
    reason = "also outside of test functions, a test ends where something is wrong"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};
use std::time::Duration;

use foremesh_demo::{
    AgentClient, Arrivals, Host, HostArgs, LoadReport, LoadSpec, ServiceSettings, Window, free_ports,
    request, start_load,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    agent: AgentClient,
    address: SocketAddr,
    end: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(args: HostArgs) -> Self {
        let host = Host::bind(args).await.unwrap();
        let address = host.agent_address();
        let (end, ended) = oneshot::channel::<()>();
        let served = tokio::spawn(async move { host.serve(async { drop(ended.await) }).await.unwrap() });
        Self { agent: AgentClient::new(address), address, end, served }
    }

    async fn stop(self) {
        self.end.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.served).await.unwrap().unwrap();
    }
}

fn settings(demand_ms: f64) -> ServiceSettings {
    ServiceSettings { port: free_ports(1).unwrap()[0], demand_ms, variation: 0.5, startup_ms: 0 }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

async fn wait_until_ready(agent: &AgentClient, service: &str) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = agent.ready(service).await {
        assert!(Instant::now() < end, "`{service}` is not ready: {error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn run_load(spec: LoadSpec) -> (Vec<Window>, LoadReport) {
    let mut load = start_load(spec).unwrap();
    let mut windows = Vec::new();
    while let Some(window) = load.windows.recv().await {
        windows.push(window);
    }
    (windows, load.finish().await.unwrap())
}

fn for_seconds(spec: LoadSpec, seconds: u64) -> LoadSpec {
    LoadSpec { until: Some(Duration::from_secs(seconds)), ..spec }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_answered_and_counted_once() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let settings = settings(2.0);
    host.agent.start("shop", settings).await.unwrap();
    wait_until_ready(&host.agent, "shop").await;
    let spec = LoadSpec { arrivals: Arrivals::Poisson, ..LoadSpec::constant(loopback(settings.port), 200.0) };
    let (windows, report) = run_load(for_seconds(spec, 3)).await;
    assert_eq!(report.failures, [], "no request may fail");
    assert!(report.totals.offered > 450, "{:?}", report.totals);
    assert_eq!(report.totals.ok, report.totals.offered);
    assert_eq!(report.totals.sent, report.totals.offered);
    let sum = |of: fn(&Window) -> u64| windows.iter().map(of).sum::<u64>();
    assert_eq!(sum(|window| window.sent), report.totals.sent, "windows and total differ");
    assert_eq!(sum(|window| window.ok), report.totals.ok, "windows and total differ");
    // Requests of 2 ms cannot be answered sooner, however fast the machine is.
    assert!(report.quantile_ms(0.5).unwrap() > 1.0, "P50 is {:?} ms", report.quantile_ms(0.5));
    let usage: serde_json::Value = serde_json::from_str(&host.agent.usage().await.unwrap()).unwrap();
    let used = usage["workloads"]["shop"].as_f64().unwrap();
    assert!((1.0..2_000.0).contains(&used), "{usage}");
    assert_eq!(usage["capacity_millicores"], 2_000.0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_ends_after_its_number_of_requests() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let settings = settings(0.1);
    host.agent.start("shop", settings).await.unwrap();
    wait_until_ready(&host.agent, "shop").await;
    let spec = LoadSpec { requests: Some(37), ..LoadSpec::constant(loopback(settings.port), 500.0) };
    let (_, report) = run_load(spec).await;
    assert_eq!((report.totals.offered, report.totals.ok), (37, 37));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_finishes_its_requests() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let settings = settings(1.0);
    host.agent.start("shop", settings).await.unwrap();
    wait_until_ready(&host.agent, "shop").await;
    host.agent.fault("shop", 1_000, 0.0).await.unwrap();
    let address = loopback(settings.port);
    let slow = tokio::spawn(request(address, "GET", "/", PATIENCE));
    // The request must have reached the service before the stop.
    let end = Instant::now() + PATIENCE;
    loop {
        let usage: serde_json::Value = serde_json::from_str(&host.agent.usage().await.unwrap()).unwrap();
        if usage["in_flight"]["shop"] == 1 || slow.is_finished() {
            break;
        }
        assert!(Instant::now() < end, "the request never reached the service: {usage}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    host.agent.stop("shop").await.unwrap();
    let answer = slow.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"host":"host-a","service":"shop"}"#));
    let text = host.agent.ready("shop").await.unwrap_err().to_string();
    assert_eq!(text, "service `shop` is stopped");
    assert!(request(address, "GET", "/", PATIENCE).await.is_err(), "it still accepts connections");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_say_why_they_are_refused() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let first = settings(1.0);
    let agent = &host.agent;
    assert_eq!(agent.ready("shop").await.unwrap_err().to_string(), "service `shop` is stopped");
    agent.start("shop", first).await.unwrap();
    agent.start("shop", first).await.unwrap();
    let cases = [
        (
            agent.start("shop", ServiceSettings { demand_ms: 9.0, ..first }).await,
            format!(
                "service `shop` runs on port {} of host `host-a` with other settings: stop it first",
                first.port
            ),
        ),
        (
            agent.start("cart", first).await,
            format!("port {} of host `host-a` belongs to service `shop`: choose another port", first.port),
        ),
        (agent.fault("cart", 0, 0.0).await, "host `host-a` runs no service `cart`".to_owned()),
        (
            agent.fault("shop", 0, 2.0).await,
            "error_share of service `shop` is 2: it must be between 0 and 1".to_owned(),
        ),
    ];
    for (result, want) in cases {
        assert_eq!(result.unwrap_err().to_string(), want);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_shows_in_the_readiness() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    host.agent.start("shop", ServiceSettings { port, ..settings(1.0) }).await.unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        let text = host.agent.ready("shop").await.unwrap_err().to_string();
        if text.starts_with(&format!("service `shop` failed: cannot listen on 127.0.0.1:{port}: ")) {
            break;
        }
        assert!(Instant::now() < end, "the reason is not given: {text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_with_their_reason() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let settings = settings(1.0);
    host.agent.start("shop", settings).await.unwrap();
    wait_until_ready(&host.agent, "shop").await;
    host.agent.fault("shop", 0, 1.0).await.unwrap();
    let (_, report) = run_load(for_seconds(LoadSpec::constant(loopback(settings.port), 50.0), 1)).await;
    assert_eq!((report.totals.ok, report.unsent()), (0, 0));
    assert!(report.totals.failed > 0);
    assert!(report.failures.iter().all(|failure| failure.text == "status 500"), "{:?}", report.failures);

    let nobody = loopback(free_ports(1).unwrap()[0]);
    let (_, report) = run_load(for_seconds(LoadSpec::constant(nobody, 50.0), 1)).await;
    assert_eq!((report.totals.ok, report.totals.sent), (0, 0), "nothing was ever written");
    assert_eq!(report.unsent(), report.totals.failed);
    let told = |text: &str| text.starts_with(&format!("no connection to {nobody}: "));
    assert!(report.failures.iter().all(|failure| told(&failure.text)), "{:?}", report.failures);
    host.stop().await;
}

/// A stall of the server must show in all requests that were due meanwhile, not in one.
#[tokio::test(flavor = "multi_thread")]
async fn latency_counts_from_when_a_request_was_due() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let settings = settings(1.0);
    host.agent.start("shop", settings).await.unwrap();
    wait_until_ready(&host.agent, "shop").await;
    host.agent.fault("shop", 200, 0.0).await.unwrap();
    // One connection that is busy for 200 ms per request gets 20 requests per second: they queue at the client.
    let spec = LoadSpec { connections: 1, ..LoadSpec::constant(loopback(settings.port), 20.0) };
    let (_, report) = run_load(for_seconds(spec, 1)).await;
    assert_eq!(report.failures, []);
    let p90 = report.quantile_ms(0.9).unwrap();
    assert!(p90 > 1_500.0, "P90 is {p90} ms: the time in the client's queue is missing");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_neighbour_takes_capacity_and_shows_in_the_usage() {
    let args = HostArgs { neighbour_base: 0.9, neighbour_peak: 0.9, ..HostArgs::new("host-a", 1_000) };
    let host = Running::start(args).await;
    let settings = settings(20.0);
    host.agent.start("shop", settings).await.unwrap();
    wait_until_ready(&host.agent, "shop").await;
    let begin = Instant::now();
    let answers = (0..10).map(|_| request(loopback(settings.port), "GET", "/", PATIENCE));
    for answer in futures::future::join_all(answers).await {
        assert!(answer.unwrap().is_success());
    }
    // About 10 x 20 ms of work on a tenth of a core are 2 s; without the neighbour they would be 0.2 s.
    assert!(begin.elapsed() > Duration::from_secs(1), "it took {:?}", begin.elapsed());
    let usage: serde_json::Value = serde_json::from_str(&host.agent.usage().await.unwrap()).unwrap();
    let used = usage["cpu_used_millicores"].as_f64().unwrap();
    assert!((880.0..1_001.0).contains(&used), "{usage}");
    host.stop().await;
}

#[tokio::test]
async fn a_neighbour_that_takes_everything_is_refused() {
    let args = HostArgs { neighbour_peak: 1.0, ..HostArgs::new("host-a", 1_000) };
    let text = Host::bind(args).await.unwrap_err().to_string();
    assert_eq!(text, "the neighbour's peak of host `host-a` is 1: it must be between 0 and 0.95");
}

/// Runs `foremesh-demo ctl` without blocking the host under test.
async fn ctl(agent: SocketAddr, words: &'static [&'static str]) -> Output {
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_foremesh-demo"))
            .args(["ctl", "--agent", &agent.to_string()])
            .args(words)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_hosts_file_have_exit_codes_and_reasons() {
    let host = Running::start(HostArgs::new("host-a", 2_000)).await;
    let agent = host.address;
    let nobody = loopback(free_ports(1).unwrap()[0]);
    let cases: [(SocketAddr, &'static [&'static str], i32, String); 5] = [
        (agent, &["prepare", "shop"], 0, String::new()),
        (agent, &["ready", "shop"], 1, "service `shop` is stopped\n".to_owned()),
        (agent, &["stop", "shop"], 0, String::new()),
        (agent, &["usage"], 0, String::new()),
        (
            nobody,
            &["ready", "shop"],
            1,
            format!("the agent at {nobody} gave no answer: is the host running?: "),
        ),
    ];
    for (agent, words, code, reason) in cases {
        let output = ctl(agent, words).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {errors}");
        assert!(errors.starts_with(&reason), "{words:?}: {errors}");
    }
    let usage = ctl(agent, &["usage"]).await.stdout;
    let usage: serde_json::Value = serde_json::from_slice(&usage).unwrap();
    let want = serde_json::json!({
        "capacity_millicores": 2_000.0, "cpu_used_millicores": 0.0, "workloads": {}, "in_flight": {},
    });
    assert_eq!(usage, want);
    host.stop().await;
}
