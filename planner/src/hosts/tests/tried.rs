//! Trials with real copies: small servers that the hosts' own commands start and stop.
use super::*;
use crate::{platform::StagingMesh, rollout::RolloutSettings};
use foremesh_core::{
    ids::RolloutId,
    policy::{Callees, TrialRequest},
    trial::{TrialOrder, TrialReport, TrialVerdict, judge},
    units::Quantile,
};

/// A server that answers every request after a while, until it is killed.
const SERVER: &str = r#"
import http.server, socketserver, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(float(sys.argv[3]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
Server((sys.argv[1], int(sys.argv[2])), Answer).serve_forever()
"#;

struct Tried {
    fixture: Fixture,
    yaml: String,
}

impl Tried {
    /// Hosts with commands for copies, which are this much slower on h2; none where there is no Python.
    fn new(slower_s: f64) -> Option<Self> {
        let python = ["/usr/bin/python3", "/usr/local/bin/python3"]
            .into_iter()
            .find(|at| fs::exists(at).unwrap_or(false))?;
        let fixture = Fixture::new();
        let (server, pids) = (fixture.path("server.py"), fixture.path("{instance}@{host}.pid"));
        fs::write(&server, SERVER).unwrap();
        let (server, pids) = (server.display(), pids.display());
        let start = |delay: f64| {
            format!(
                "start: [sh, -c, \"{python} {server} $0 $1 {delay} >/dev/null 2>&1 & echo $! > $2\", \"{{address}}\", \
                 \"{{port}}\", \"{pids}\"]"
            )
        };
        // The words of a pid file that is gone make both fail, which is how they tell.
        let stop = format!(
            "stop: [sh, -c, \"test ! -e $0 || {{ kill $(cat $0); rm $0; sleep 0.2; }}\", \"{pids}\"]"
        );
        let ready = format!(
            "ready: [{python}, -c, \"import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)\", \"{{address}}\", \"{{port}}\"]"
        );
        let trial = |delay: f64| format!("    commands:\n      trial: {{{}, {ready}, {stop}}}", start(delay));
        let yaml = fixture.yaml().replacen("    commands:", &trial(0.0), 2);
        let (first, second) = yaml.split_once("  - name: h2").unwrap();
        let second = second.replacen(" 0 >/dev/null", &format!(" {slower_s} >/dev/null"), 1);
        let port = std::net::TcpListener::bind("127.0.0.11:0").unwrap().local_addr().unwrap().port();
        let yaml =
            format!("{first}  - name: h2{second}staging: {{ports: {port}, load: {{startWithin: 20s}}}}\n")
                .replace("deadlines:\n", "deadlines:\n  start: 20s\n  stop: 20s\n");
        Some(Self { fixture, yaml })
    }

    async fn open(&self) -> HostsPlatform {
        self.fixture.open_with(&self.yaml).await.unwrap()
    }

    /// Process ids of copies that were started and not stopped.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.fixture.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".pid")).collect()
    }
}

pub(super) fn order() -> TrialOrder {
    let request = TrialRequest {
        path: "/".to_owned(),
        method: "GET".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        weight: 1,
    };
    TrialOrder {
        workload: cart(),
        service: service(),
        source: "h1".into(),
        target: "h2".into(),
        requests: vec![request],
        port: None,
        callees: Callees::None,
        copy_secrets: false,
        rate_rps: 40.0,
        peak_rps: 40.0,
        pairs: 120,
        most_pairs: 120,
        warm_up_ms: 100,
        start_within_ms: 20_000,
        quantile: Quantile::new(0.5).unwrap(),
        // The machine of a test has other things to do.
        objective_ms: 1_500.0,
        error_margin: 0.05,
        latency_factor: 1.2,
        seed: 3,
    }
}

pub(super) fn id() -> RolloutId {
    RolloutId::new("plan-1.0")
}

/// Tries a move and clears it; again where this machine was too busy to send the load.
pub(super) async fn judged(trials: &HostTrials, order: &TrialOrder, meanwhile: impl Fn()) -> TrialReport {
    let mut tries = 1;
    loop {
        let samples = trials.try_move(&id(), order).await.unwrap();
        meanwhile();
        trials.clear(&id()).await.unwrap();
        let report = judge(order, &samples, Timestamp::from_unix_ms(0));
        if report.verdict != TrialVerdict::Inconclusive || tries == 5 {
            return report;
        }
        eprintln!("try {tries}: {}", report.why);
        tries += 1;
    }
}

#[tokio::test]
async fn a_good_target_passes_a_slow_one_fails_and_nothing_is_left() {
    for (slower_s, want) in [(0.0, TrialVerdict::Pass), (3.0, TrialVerdict::Fail)] {
        let Some(tried) = Tried::new(slower_s) else { return eprintln!("not run: there is no Python") };
        let trials = tried.open().await.staging(&RolloutSettings::default()).unwrap();
        let report =
            judged(&trials, &order(), || assert_eq!(tried.left().len(), 2, "one copy on each host")).await;
        assert_eq!(report.verdict, want, "{}", report.why);
        assert!(tried.left().is_empty(), "{:?}", tried.left());
        assert!(tried.fixture.path("cart@h1").exists(), "production runs on");
    }
}

#[tokio::test]
async fn a_planner_that_is_killed_in_a_trial_leaves_nothing_to_the_next() {
    let Some(tried) = Tried::new(0.0) else { return eprintln!("not run: there is no Python") };
    let trials = tried.open().await.staging(&RolloutSettings::default()).unwrap();
    let endless = TrialOrder { pairs: 1_000_000, most_pairs: 1_000_000, ..order() };
    let copies = async {
        while tried.left().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let id = id();
    tokio::select! {
        ended = trials.try_move(&id, &endless) => panic!("it ended: {ended:?}"),
        copied = timeout(Duration::from_secs(30), copies) => copied.expect("copies are there"),
    }
    // Nobody clears. The next planner finds on disk what it has to stop, at its first look if nobody sweeps.
    let platform = tried.open().await;
    assert_eq!(platform.owed().await.len(), 2);
    platform.snapshot().await.unwrap();
    let paid = async {
        while !platform.owed().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), paid).await.expect("copies are stopped");
    assert!(tried.left().is_empty(), "{:?}", tried.left());
}

#[tokio::test]
async fn there_is_no_trial_without_room_or_a_free_port() {
    let Some(tried) = Tried::new(0.0) else { return eprintln!("not run: there is no Python") };
    let error = async |yaml: &str| {
        let trials =
            tried.fixture.open_with(yaml).await.unwrap().staging(&RolloutSettings::default()).unwrap();
        let error = trials.try_move(&id(), &order()).await.unwrap_err().to_string();
        assert!(tried.left().is_empty(), "nothing was started: {:?}", tried.left());
        error
    };
    let busy = r#"{"cpu_used_millicores": 1500, "memory_used_bytes": 8e8, "workloads": {"cart": 250}}"#;
    fs::write(tried.fixture.path("usage.h2"), busy).unwrap();
    let said = error(&tried.yaml).await;
    assert!(
        said.contains(
            "trial of `cart` on host `h2`: 1500 millicores are in use, and a trial may fill it to 1400"
        ),
        "{said}"
    );

    let roomy = tried.yaml.replace("load: {", "load: {maxCpuShare: 0.9, ");
    let small = roomy
        .replace("    capacity: 2000m\n", "    capacity: 2000m\n    memory: 1000M\n")
        .replace("    runsOn: [h1]", "    runsOn: [h1]\n    requests: {memory: 200M}");
    let said = error(&small).await;
    assert!(
        said.contains("800000000 of 1000000000 bytes of memory are in use, and a copy needs 200000000 more"),
        "{said}"
    );

    let port: u16 = roomy.split_once("ports: ").unwrap().1.split(',').next().unwrap().parse().unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.12", port)).await.unwrap();
    let said = error(&roomy).await;
    assert!(said.contains(&format!("something answers already at port {port}")), "{said}");
    drop(listener);
}
