//! The platform with real commands and real files, in a directory of its own.
use super::*;
use crate::{
    clock::ManualClock,
    platform::{Inventory, Relocator, TrafficShifter},
};
use foremesh_core::{ids::ServiceId, time::Timestamp, topology::NodeState};
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

mod asked;
mod moves;
mod owed;
mod ssh;
mod tried;

/// Two hosts whose replicas are files: a started one is there, a ready one has a second file beside it.
struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { directory: TempDir::new().unwrap() };
        for host in ["h1", "h2"] {
            fs::write(
                fixture.path(&format!("usage.{host}")),
                r#"{"cpu_used_millicores": 700, "workloads": {"cart": 250.5}, "capacity_millicores": 1}"#,
            )
            .unwrap();
        }
        fs::write(fixture.path("cart@h1"), "").unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn yaml(&self) -> String {
        let replica = self.path("{workload}@{host}").display().to_string();
        let usage = self.path("usage.{host}").display().to_string();
        let host = |name: &str, address: &str| {
            format!(
                "  - name: {name}\n    zone: rack-{name}\n    address: {address}\n    capacity: 2000m\n    commands:\n      \
                 start: [touch, \"{replica}\"]\n      ready: [test, -e, \"{replica}\"]\n      stop: [rm, -f, \"{replica}\"]\n      \
                 usage: [cat, \"{usage}\"]\n"
            )
        };
        format!(
            "hosts:\n{}{}workloads:\n  - name: cart\n    port: 8080\n    runsOn: [h1]\ntraffic:\n  edsDirectory: eds\n\
             deadlines:\n  ready: 20s\n  usage: 20s\n",
            host("h1", "127.0.0.11"),
            host("h2", "127.0.0.12")
        )
    }

    async fn open(&self) -> HostsPlatform {
        self.open_with(&self.yaml()).await.unwrap()
    }

    async fn open_with(&self, yaml: &str) -> Result<HostsPlatform, PlatformError> {
        let hosts = Hosts::parse(&self.path("hosts.yaml"), yaml).unwrap();
        let clock = Clock::Manual(ManualClock::new(Timestamp::from_unix_ms(1_000)));
        HostsPlatform::open(hosts, &self.path("state"), clock).await
    }
}

fn cart() -> WorkloadId {
    WorkloadId::from("cart")
}

fn service() -> ServiceId {
    ServiceId::from("cart")
}

fn weights(of: &[(&str, u32)]) -> BTreeMap<ReplicaId, u32> {
    of.iter().map(|(replica, weight)| (ReplicaId::from(*replica), *weight)).collect()
}

#[tokio::test]
async fn a_snapshot_shows_what_runs_and_what_it_uses() {
    let fixture = Fixture::new();
    let snapshot = fixture.open().await.snapshot().await.unwrap();
    let h1 = &snapshot.nodes[&NodeId::from("h1")];
    assert_eq!(h1.state, NodeState::Ready);
    assert_eq!(h1.used.map(foremesh_core::units::Millicores::get), Some(700.0));
    let workload = &snapshot.workloads[&cart()];
    assert_eq!(workload.used.map(foremesh_core::units::Millicores::get), Some(250.5));
    let replicas: Vec<_> = workload.replicas.iter().map(|(id, r)| (id.as_str(), r.ready)).collect();
    assert_eq!(replicas, [("cart@h1", true)]);
    assert_eq!(snapshot.taken_at, Timestamp::from_unix_ms(1_000));
}

#[tokio::test]
async fn weights_are_in_the_snapshot_and_outlive_the_planner() {
    let fixture = Fixture::new();
    let seen = async |platform: &HostsPlatform| {
        let snapshot = platform.snapshot().await.unwrap();
        let replicas = &snapshot.workloads[&cart()].replicas;
        let of: Vec<_> = replicas.iter().map(|(id, replica)| (id.to_string(), replica.weight)).collect();
        (snapshot.capabilities.weights, of)
    };
    let pair = |h1, h2| vec![("cart@h1".to_owned(), h1), ("cart@h2".to_owned(), h2)];
    let platform = fixture.open().await;
    assert_eq!(seen(&platform).await, (true, vec![("cart@h1".to_owned(), 100)]));
    platform.place(&cart(), &NodeId::from("h2"), None).await.unwrap();
    assert_eq!(seen(&platform).await, (true, pair(100, 0)), "one that was just started has no traffic");
    for (h1, h2) in [(75, 25), (50, 150), (1, 7)] {
        platform.set_weights(&service(), &weights(&[("cart@h1", h1), ("cart@h2", h2)])).await.unwrap();
        for again in 0..2 {
            let platform = fixture.open().await;
            assert_eq!(seen(&platform).await, (true, pair(h1, h2)), "start {again}");
            platform.place(&cart(), &NodeId::from("h2"), None).await.unwrap();
            assert_eq!(seen(&platform).await, (true, pair(h1, h2)), "a start that finds it running");
        }
    }
    fs::remove_file(fixture.path("cart@h1")).unwrap();
    assert_eq!(seen(&platform).await, (true, pair(1, 7)), "one that does not answer keeps its weight");
}

#[tokio::test]
async fn unknown_weights_are_not_offered() {
    let fixture = Fixture::new();
    for content in [None, Some(""), Some("resources: []")] {
        let platform = fixture.open().await;
        platform.place(&cart(), &NodeId::from("h2"), None).await.unwrap();
        platform.set_weights(&service(), &weights(&[("cart@h1", 50), ("cart@h2", 150)])).await.unwrap();
        let file = fixture.path("eds/cart.pb");
        match content {
            None => fs::remove_file(&file).unwrap(),
            Some(content) => fs::write(&file, content).unwrap(),
        }
        let snapshot = platform.snapshot().await.unwrap();
        assert!(!snapshot.capabilities.weights, "{content:?}");
        let all: Vec<_> =
            snapshot.workloads[&cart()].replicas.values().map(|replica| replica.weight).collect();
        assert_eq!(all, [100, 100], "{content:?}");
        fs::remove_file(&file).ok();
    }
}

#[tokio::test]
async fn changes_made_by_hand_are_seen() {
    let fixture = Fixture::new();
    let platform = fixture.open().await;
    fs::remove_file(fixture.path("cart@h1")).unwrap();
    fs::write(fixture.path("cart@h2"), "").unwrap();
    let snapshot = platform.snapshot().await.unwrap();
    let replicas: Vec<_> =
        snapshot.workloads[&cart()].replicas.iter().map(|(id, r)| (id.as_str(), r.ready)).collect();
    assert_eq!(replicas, [("cart@h1", false), ("cart@h2", true)]);
}

#[tokio::test]
async fn a_host_that_cannot_be_asked_is_unreachable_with_the_reason() {
    let fixture = Fixture::new();
    let cases = [
        (
            "ready: [test, -e,",
            "ready: [sh, -c, \"echo no route >&2; exit 255\",",
            "ended with exit code 255: no route",
        ),
        (
            "ready: [test, -e,",
            "ready: [/nowhere/ready,",
            "could not be started; check that the program exists",
        ),
        ("usage: [cat,", "usage: [\"false\",", "ended with exit code 1: nothing on standard error"),
        ("usage: [cat,", "usage: [echo,", "which is not one line of JSON such as"),
        ("usage: 20s", "usage: 20s\n  stop: 1m", ""),
    ];
    for (from, to, want) in cases {
        let yaml = fixture.yaml();
        assert!(yaml.contains(from), "{from}");
        let snapshot =
            fixture.open_with(&yaml.replacen(from, to, 1)).await.unwrap().snapshot().await.unwrap();
        let (h1, h2) = (&snapshot.nodes[&NodeId::from("h1")], &snapshot.nodes[&NodeId::from("h2")]);
        assert_eq!(h2.state, NodeState::Ready, "the other host is not touched by: {to}");
        match &h1.state {
            NodeState::Unreachable(reason) => assert!(!want.is_empty() && reason.contains(want), "{reason}"),
            other => assert!(want.is_empty(), "{to}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_move_survives_a_restart_after_each_action() {
    let fixture = Fixture::new();
    let (h1, h2) = (NodeId::from("h1"), NodeId::from("h2"));
    assert_eq!(fixture.open().await.weights(&service()).await.unwrap(), weights(&[("cart@h1", 100)]));
    for again in [false, true] {
        let placed = fixture.open().await.place(&cart(), &h2, None).await.unwrap();
        assert_eq!(placed, ReplicaId::from("cart@h2"), "again: {again}");
    }
    assert!(fixture.open().await.is_ready(&cart(), &h2, &ReplicaId::from("cart@h2")).await.unwrap());
    fixture
        .open()
        .await
        .set_weights(&service(), &weights(&[("cart@h1", 75), ("cart@h2", 25)]))
        .await
        .unwrap();
    let platform = fixture.open().await;
    assert_eq!(platform.weights(&service()).await.unwrap(), weights(&[("cart@h1", 75), ("cart@h2", 25)]));
    let early = platform.retire(&cart(), &h1, None).await.unwrap_err().to_string();
    assert_eq!(
        early,
        "stop of workload `cart` on host `h1`: it still has traffic (weight 75); give its traffic to another replica first"
    );
    platform.set_weights(&service(), &weights(&[("cart@h1", 0), ("cart@h2", 100)])).await.unwrap();
    for _ in 0..2 {
        fixture.open().await.retire(&cart(), &h1, None).await.unwrap();
    }
    let snapshot = fixture.open().await.snapshot().await.unwrap();
    let replicas: Vec<_> = snapshot.workloads[&cart()].replicas.keys().map(ReplicaId::as_str).collect();
    assert_eq!(replicas, ["cart@h2"]);
    let file = crate::endpoints::decode(&fs::read(fixture.path("eds/cart.pb")).unwrap()).unwrap();
    assert_eq!((file.version, file.cluster.as_str()), (3, "outbound|80||cart"));
    let (address, endpoint) = file.endpoints.first_key_value().unwrap();
    assert_eq!(address.to_string(), "127.0.0.12:8080");
    assert_eq!(endpoint.replica, Some(ReplicaId::from("cart@h2")), "the metadata tells who answers there");
    assert_eq!((&endpoint.node, &endpoint.zone), (&Some(h2), &Some("rack-h2".into())));
    let left: Vec<_> = fs::read_dir(fixture.path("eds")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["cart.pb"], "nothing is left beside the file");
}

#[tokio::test]
async fn a_service_never_loses_its_last_endpoint() {
    let fixture = Fixture::new();
    let platform = fixture.open().await;
    for none in [weights(&[]), weights(&[("cart@h1", 0)])] {
        let error = platform.set_weights(&service(), &none).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "weights of service `cart`: no replica would get traffic; give at least one replica that is ready a weight \
             above 0"
        );
    }
    assert_eq!(platform.weights(&service()).await.unwrap(), weights(&[("cart@h1", 100)]));
}

#[tokio::test]
async fn an_endpoint_added_by_hand_stays() {
    let fixture = Fixture::new();
    let platform = fixture.open().await;
    let mut all = platform.weights(&service()).await.unwrap();
    all.insert(ReplicaId::from("192.0.2.1:9"), 100);
    platform.set_weights(&service(), &all).await.unwrap();
    assert_eq!(fixture.open().await.weights(&service()).await.unwrap(), all);
}

#[tokio::test]
async fn a_file_of_an_older_planner_is_told_who_is_behind_its_endpoints() {
    let fixture = Fixture::new();
    let platform = fixture.open().await;
    let all = weights(&[("cart@h1", 30), ("cart@h2", 70), ("192.0.2.1:9", 5)]);
    platform.set_weights(&service(), &all).await.unwrap();
    let path = fixture.path("eds/cart.pb");
    let written = crate::endpoints::decode(&fs::read(&path).unwrap()).unwrap();
    let mut older = written.clone();
    older.endpoints.values_mut().for_each(|endpoint| (endpoint.replica, endpoint.node) = (None, None));
    fs::write(&path, crate::endpoints::encode(&older)).unwrap();
    for again in 0..2 {
        assert_eq!(fixture.open().await.weights(&service()).await.unwrap(), all);
        let read = crate::endpoints::decode(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read.endpoints, written.endpoints);
        assert_eq!(read.version, written.version + 1, "once, not again: {again}");
    }
}

#[tokio::test]
async fn damaged_files_are_named_with_a_remedy() {
    let fixture = Fixture::new();
    fixture.open().await;
    let placements = fixture.path("state/placements.json");
    fs::write(&placements, "{").unwrap();
    let error = fixture.open_with(&fixture.yaml()).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}: it makes no sense (EOF while parsing an object at line 1 column 1); restore the file from a copy, or delete \
             it so that `runsOn` of the hosts file counts again",
            placements.display()
        )
    );
    fs::remove_file(&placements).unwrap();
    fs::write(fixture.path("eds/cart.pb"), "resources: []").unwrap();
    let error = fixture.open_with(&fixture.yaml()).await.unwrap_err().to_string();
    assert!(error.contains("it is not a DiscoveryResponse with a ClusterLoadAssignment"), "{error}");
    assert!(error.ends_with("which writes it anew"), "{error}");
}

#[tokio::test]
async fn a_stop_that_stops_nothing_is_an_error() {
    let fixture = Fixture::new();
    let platform =
        fixture.open_with(&fixture.yaml().replace("stop: [rm, -f,", "stop: [echo,")).await.unwrap();
    platform.place(&cart(), &NodeId::from("h2"), None).await.unwrap();
    let error = platform.retire(&cart(), &NodeId::from("h2"), None).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "stop of workload `cart` on host `h2`: the command ended well, but the replica still answers its ready check; make \
         `stop` wait until the replica is gone"
    );
}

/// The state letter of a process, if there is one.
fn process_state(pid: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    let fixture = Fixture::new();
    let pid_file = fixture.path("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
    let yaml = fixture
        .yaml()
        .replacen("start: [touch,", &format!("start: [sh, -c, \"{script}\","), 1)
        .replace("deadlines:", "deadlines:\n  start: 5s");
    let platform = fixture.open_with(&yaml).await.unwrap();
    fs::remove_file(fixture.path("cart@h1")).unwrap();
    let error = platform.place(&cart(), &NodeId::from("h1"), None).await.unwrap_err().to_string();
    assert!(error.starts_with("`start` of workload `cart` on host `h1`: `sh -c sleep 600"), "{error}");
    let end =
        "did not end within 5s and was killed; make it faster or raise `deadlines.start` in the hosts file";
    assert!(error.ends_with(end), "{error}");
    let pid = fs::read_to_string(&pid_file).unwrap();
    let gone = async {
        while !matches!(process_state(pid.trim()), None | Some('Z' | 'X')) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), gone).await.expect("the grandchild is killed too");
}

#[tokio::test]
async fn a_process_left_behind_does_not_hold_the_command() {
    let fixture = Fixture::new();
    let pid_file = fixture.path("pid");
    let script = format!("echo started; sleep 600 & echo $! > {}", pid_file.display());
    let yaml = fixture.yaml().replacen("start: [touch,", &format!("start: [sh, -c, \"{script}\","), 1);
    let platform = fixture.open_with(&yaml).await.unwrap();
    fs::remove_file(fixture.path("cart@h1")).unwrap();
    let begun = Instant::now();
    platform.place(&cart(), &NodeId::from("h1"), None).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(50), "well before the deadline of 60 s");
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    assert!(process_state(&pid.to_string()).is_some_and(|state| state != 'Z'), "what it started goes on");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

#[tokio::test]
async fn output_is_bounded_and_the_end_of_an_error_is_shown() {
    let fixture = Fixture::new();
    let script = "head -c 3000000 /dev/zero | tr '\\\\0' x >&2; echo THE END >&2; exit 7";
    let yaml = fixture.yaml().replacen("start: [touch,", &format!("start: [sh, -c, \"{script}\","), 1);
    let platform = fixture.open_with(&yaml).await.unwrap();
    fs::remove_file(fixture.path("cart@h1")).unwrap();
    let error = platform.place(&cart(), &NodeId::from("h1"), None).await.unwrap_err().to_string();
    assert!(
        error.contains("ended with exit code 7: xxxx") && error.contains("xTHE END; ") && error.len() < 1000,
        "{} bytes",
        error.len()
    );
}
