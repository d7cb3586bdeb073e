//! What an operator gets wrong, or the machine: the planner does not start, and one error names object, value, limit and
//! remedy.
use foremesh_demo::unix_ms;
use foremesh_tests::{
    hosts::{Turn, write_past},
    place::foremesh_binary,
};
use std::{fs, net::TcpListener, path::Path, time::Duration};
use tokio::process::Command;

const WITHIN: Duration = Duration::from_secs(20);

const SETTINGS: &str = "\
listen: 127.0.0.1:0
stateDirectory: state
platform: {hosts: hosts.yaml}
policies: [policies]
";
const HOSTS: &str = "\
hosts:
  - name: host-a
    address: 127.0.0.1
    capacity: 2000m
    commands: {start: [/bin/true], ready: [/bin/true], stop: [/bin/true]}
workloads:
  - {name: shop, port: 8080, runsOn: [host-a]}
traffic: {edsDirectory: eds}
";
const POLICY: &str = "\
apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {name: shop}
spec:
  selector: {services: [shop]}
  rules:
    - name: slow
      predictedLatency: {quantile: 0.99, above: 250ms}
";

/// One thing that is wrong in a file: what is replaced by what, and what the error says.
struct Wrong {
    name: &'static str,
    file: &'static str,
    good: &'static str,
    bad: &'static str,
    says: &'static [&'static str],
}

const WRONG_FILES: &[Wrong] = &[
    Wrong {
        name: "unknown setting",
        file: "foremesh.yaml",
        good: "policies:",
        bad: "intervall: 30s\npolicies:",
        says: &["foremesh.yaml`: unknown field `intervall`, expected one of `listen`", "at line 4 column 1"],
    },
    Wrong {
        name: "a length of time without a unit",
        file: "foremesh.yaml",
        good: "listen:",
        bad: "interval: \"30\"\nlisten:",
        says: &[
            "foremesh.yaml`: ",
            "`30` is not a duration; write a whole number and a unit, such as 250ms, 30s",
        ],
    },
    Wrong {
        name: "horizon over the season",
        file: "foremesh.yaml",
        good: "listen:",
        bad: "horizon: 48h\nlisten:",
        says: &[
            "`horizon` is 2d, but must be from one step (1m) to one season (1d); 60m suits most policies",
        ],
    },
    Wrong {
        name: "a rollout that would take no data for success",
        file: "foremesh.yaml",
        good: "listen:",
        bad: "rollout: {minSamples: 0}\nlisten:",
        says: &[
            "rollout setting `minSamples` is 0, which is not 1 or more; no data must never count as success",
        ],
    },
    Wrong {
        name: "unknown field of a host",
        file: "hosts.yaml",
        good: "capacity:",
        bad: "capacityy:",
        says: &[
            "hosts.yaml: hosts[0]: unknown field `capacityy`, expected one of `name`, `zone`",
            "at line 4",
        ],
    },
    Wrong {
        name: "a workload on a host that is not there",
        file: "hosts.yaml",
        good: "runsOn: [host-a]",
        bad: "runsOn: [host-x]",
        says: &["workload `shop`, field `runsOn`: there is no host `host-x`; use one of host-a"],
    },
    Wrong {
        name: "a host without a sensible capacity",
        file: "hosts.yaml",
        good: "2000m",
        bad: "0m",
        says: &["host `host-a`, field `capacity`: 0 millicores is not from 1 to 1000000000; write the CPU"],
    },
    Wrong {
        name: "unknown field of a policy",
        file: "policies/shop.yaml",
        good: "rules:",
        bad: "ruls:",
        says: &[
            "policies/shop.yaml`, document 1: spec: unknown field `ruls`, expected one of `selector`",
            "line 6",
        ],
    },
    Wrong {
        name: "two values of a policy, both are named",
        file: "policies/shop.yaml",
        good: "quantile: 0.99, above: 250ms",
        bad: "quantile: 0.42, above: 0ms",
        says: &[
            "policy `shop`:",
            "spec.rules[0].predictedLatency.quantile is 0.42, but latency is kept at 0.5, 0.9, 0.95, 0.99, 0.999; use one",
            "spec.rules[0].predictedLatency.above is `0ms`, but it must be from 1ms to 1h; choose a length in this range",
        ],
    },
    Wrong {
        name: "a policy that acts without a trial and without a waiver",
        file: "policies/shop.yaml",
        good: "  rules:",
        bad: "  mode: auto\n  rules:",
        says: &["policy `shop`:", "spec.trial"],
    },
];

fn write_good(directory: &Path) {
    fs::create_dir_all(directory.join("policies")).expect("directories can be made");
    for (file, text) in [("foremesh.yaml", SETTINGS), ("hosts.yaml", HOSTS), ("policies/shop.yaml", POLICY)] {
        fs::write(directory.join(file), text).expect("files can be written");
    }
}

fn replace(directory: &Path, file: &str, good: &str, bad: &str) {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).expect("the file is there");
    assert!(text.contains(good), "`{good}` is not in {file}");
    fs::write(&path, text.replace(good, bad)).expect("files can be written");
}

/// Runs a command of `foremesh` to its end: exit code, stdout, stderr.
async fn run(command: &str, settings: &Path, case: &str) -> (Option<i32>, String, String) {
    let mut process = Command::new(foremesh_binary());
    process.args([command, "--config"]).arg(settings).kill_on_drop(true);
    let ended = tokio::time::timeout(WITHIN, process.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("case {case}: `foremesh {command}` does not end"));
    let output = output.expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// `foremesh serve` ends with one error that says all of this.
async fn assert_does_not_start(settings: &Path, case: &str, says: &[&str]) {
    let (code, _, stderr) = run("serve", settings, case).await;
    assert_eq!(code, Some(1), "case {case}: {stderr}");
    assert!(!stderr.contains("panicked"), "case {case}: {stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("foremesh: ")).collect();
    assert_eq!(errors.len(), 1, "case {case}: one error, not {stderr}");
    for part in says {
        assert!(stderr.contains(part), "case {case}: `{part}` is missing in {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_with_one_clear_error_each() {
    let turn = Turn::take().await;
    for (number, wrong) in WRONG_FILES.iter().enumerate() {
        let directory = turn.directory().join(number.to_string());
        write_good(&directory);
        replace(&directory, wrong.file, wrong.good, wrong.bad);
        let settings = directory.join("foremesh.yaml");
        assert_does_not_start(&settings, wrong.name, wrong.says).await;
        assert!(!directory.join("state").exists(), "case {}: nothing was made", wrong.name);

        let (code, stdout, stderr) = run("check", &settings, wrong.name).await;
        assert_eq!(code, Some(1), "case {}: {stdout}{stderr}", wrong.name);
        let errors = stdout.lines().filter(|line| line.starts_with("error ")).count();
        assert_eq!(errors, 1, "case {}: {stdout}", wrong.name);
        for part in wrong.says {
            assert!(stdout.contains(part), "case {}: `{part}` is missing in {stdout}", wrong.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named() {
    let turn = Turn::take().await;
    let directory = turn.directory();
    let settings = directory.join("foremesh.yaml");
    let says = ["foremesh.yaml` cannot be read; give an existing file with --config: No such file"];
    assert_does_not_start(&settings, "no settings", &says).await;

    write_good(directory);
    fs::remove_file(directory.join("policies/shop.yaml")).expect("the file is there");
    let says =
        ["there is no policy in", "add a `*.yaml` file with a RelocationPolicy, in mode `observe` to begin"];
    assert_does_not_start(&settings, "no policy", &says).await;

    write_good(directory);
    fs::remove_file(directory.join("hosts.yaml")).expect("the file is there");
    let says =
        ["failed to read hosts file", "hosts.yaml; check that it exists and may be read: No such file"];
    assert_does_not_start(&settings, "no hosts file", &says).await;

    write_good(directory);
    replace(directory, "foremesh.yaml", "stateDirectory: state", "stateDirectory: hosts.yaml");
    let says = ["state directory", "hosts.yaml` cannot be made; check its owner and rights: File exists"];
    assert_does_not_start(&settings, "a file as state directory", &says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_named() {
    let turn = Turn::take().await;
    write_good(turn.directory());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it has an address").to_string();
    replace(turn.directory(), "foremesh.yaml", "127.0.0.1:0", &address);
    let settings = turn.directory().join("foremesh.yaml");
    let remedy = format!("address {address} cannot be listened on; stop what uses it, or change `listen`: ");
    assert_does_not_start(&settings, "port in use", &[&remedy, "Address already in use"]).await;
}

/// State that this planner must not touch: of a newer planner, of another step, or in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_that_is_not_for_this_planner_is_left_alone() {
    let turn = Turn::take().await;
    write_good(turn.directory());
    let (settings, state) = (turn.directory().join("foremesh.yaml"), turn.directory().join("state"));
    let newer = [
        (
            "series.db",
            &["series.db` has schema version 99, but this planner knows", "run the planner that wrote it"][..],
        ),
        (
            "audit.db",
            &["audit.db` has schema version 99, but this planner knows", "run the planner that wrote it"],
        ),
        (
            "rollouts.db",
            &["rollouts.db has schema version 99, this planner knows up to", "run the newer planner"],
        ),
    ];
    for (file, says) in newer {
        fs::create_dir_all(&state).expect("directories can be made");
        let database = rusqlite::Connection::open(state.join(file)).expect("a database can be made");
        database.execute_batch("PRAGMA user_version = 99").expect("its version can be set");
        drop(database);
        assert_does_not_start(&settings, file, says).await;
        let database = rusqlite::Connection::open(state.join(file)).expect("the database is there");
        let version = database.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
        assert_eq!(version.ok(), Some(99), "{file} is as it was");
        fs::remove_dir_all(&state).expect("the directory is there");
    }

    fs::create_dir_all(&state).expect("directories can be made");
    write_past(&state, "shop", ("host-a", 1.0), &[], unix_ms()).await;
    let says =
        ["level 0 of the store", "has steps of 500 ms, but the settings ask for 60000 ms; set the step back"];
    assert_does_not_start(&settings, "another step", &says).await;
}
