//! The example of the documentation, over an `ssh` that runs everything on this machine. Where no systemd runs here, as in
//! most containers, `systemd-run` and `systemctl` are small scripts of this test too, and what is left of the example that
//! is tried are its words, the planner, `foremesh-host` and the shell. Nothing here goes over a network to another machine.
use super::*;
use crate::{
    hosts::tests::tried::{judged, order},
    rollout::RolloutSettings,
};
use foremesh_core::trial::TrialVerdict;
use std::{os::unix::fs::PermissionsExt as _, path::Path};

const EXAMPLE: &str = include_str!("../../../../docs/examples/hosts/ssh.yaml");
const LIST: &str = include_str!("../../../../docs/examples/hosts/foremesh-host");

const SSH: &str = "#!/bin/sh\nshift\nexec sh -c \"$*\"\n";
const SYSTEMD_RUN: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --unit=*) unit=${1#--unit=}.service ;;
    --*) ;;
    *) break ;;
  esac
  shift
done
[ ! -e "$UNITS/$unit" ] || { echo "Unit $unit was already loaded" >&2; exit 1; }
setsid "$@" >/dev/null 2>&1 &
echo $! > "$UNITS/$unit"
"#;
const SYSTEMCTL: &str = r#"#!/bin/sh
set -f
verb= units=
for word in "$@"; do
  case $word in
    --*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else units="$units $word"; fi ;;
  esac
done
# What has ended and was not awaited does not run.
runs() {
  [ -e "$UNITS/$1" ] || return 1
  state=$(cut -d ' ' -f 3 "/proc/$(cat "$UNITS/$1")/stat" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ]
}
case $verb in
  stop)
    for unit in $units; do
      [ -e "$UNITS/$unit" ] || exit 5
      kill "$(cat "$UNITS/$unit")" 2>/dev/null
      while runs "$unit"; do sleep 0.05; done
      rm "$UNITS/$unit"
    done
    ;;
  is-active) for unit in $units; do if runs "$unit"; then exit 0; fi; done; exit 3 ;;
  show)
    case $units in *'*'*) units=$(ls "$UNITS") ;; esac
    for unit in $units; do
      if runs "$unit"; then
        printf 'Id=%s\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n' "$unit"
        printf 'CPUUsageNSec=%s000000\nMemoryCurrent=[not set]\nStateChangeTimestamp=now\n\n' "$(cut -d ' ' -f 14 "/proc/$(cat "$UNITS/$unit")/stat")0"
      else
        printf 'Id=%s\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n\n' "$unit"
      fi
    done
    ;;
esac
"#;

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A port that is free on the addresses of all hosts.
fn free_port() -> u16 {
    loop {
        let port = std::net::TcpListener::bind("127.0.0.11:0").unwrap().local_addr().unwrap().port();
        if ["127.0.0.12", "127.0.0.13"].iter().all(|at| std::net::TcpListener::bind((*at, port)).is_ok()) {
            return port;
        }
    }
}

/// The example with addresses and folders of this machine.
fn yaml(fixture: &Fixture, programs: &str) -> String {
    let units = fixture.path("units").display().to_string();
    let path = format!("{}:{programs}", fixture.path("bin").display());
    let ports = [("8081", free_port()), ("18080", free_port()), ("8080", free_port())];
    let mut yaml = EXAMPLE.replace("LC_ALL: C", &format!("LC_ALL: C, PATH: \"{path}\", UNITS: {units}"));
    // The longest first, of which another is a part.
    yaml = yaml.replace("ports: 18080", &format!("ports: {}", ports[1].1));
    yaml = yaml.replace("port: 8080", &format!("port: {}", ports[2].1));
    yaml = yaml.replace("port: 8081", &format!("port: {}", ports[0].1));
    yaml.replace("10.0.0.", "127.0.0.")
        .replace("/srv/", &format!("{}/", fixture.path("srv").display()))
        .replace("edsDirectory: /var/lib/foremesh/eds", "edsDirectory: eds")
        .replace("deadlines: {inventory: 10s}", "deadlines: {inventory: 30s, ready: 20s, status: 20s}")
}

async fn until_ready(platform: &HostsPlatform, host: &NodeId) {
    let replica = replica_id(&cart(), host);
    let ready = async {
        while !platform.is_ready(&cart(), host, &replica).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), ready).await.expect("the replica is ready");
}

/// The stand-ins and a service, and the example for them; none where a program that they need is missing.
fn on_this_machine() -> Option<(Fixture, String)> {
    let programs = std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, value)| value)?;
    let programs = programs.to_string_lossy().into_owned();
    let has = |name: &str| programs.split(':').any(|folder| Path::new(folder).join(name).exists());
    if !has("python3") || !has("curl") {
        eprintln!("not run: it needs python3 and curl");
        return None;
    }
    let fixture = Fixture::new();
    program(&fixture.path("bin/ssh"), SSH);
    program(&fixture.path("bin/foremesh-host"), LIST);
    if Path::new("/run/systemd/system").exists() && rustix::process::geteuid().is_root() {
        eprintln!("with the systemd of this machine");
    } else {
        eprintln!("no systemd runs here, or it is not ours: systemd-run and systemctl are replaced");
        program(&fixture.path("bin/systemd-run"), SYSTEMD_RUN);
        program(&fixture.path("bin/systemctl"), SYSTEMCTL);
    }
    for folder in ["units", "www"] {
        fs::create_dir(fixture.path(folder)).unwrap();
    }
    fs::write(fixture.path("www/ready"), "yes").unwrap();
    let www = fixture.path("www").display().to_string();
    let serve = format!("#!/bin/sh\ncd {www}\nexec python3 -m http.server --bind \"$1\" \"$2\"\n");
    program(&fixture.path("srv/cart/run"), &serve);
    // All hosts are this machine, where a unit has its name once: here the host is part of it.
    let yaml = yaml(&fixture, &programs).replace("fm-{instance}", "fm-{instance}-{host}");
    Some((fixture, yaml))
}

/// Units that are left.
fn units(fixture: &Fixture) -> usize {
    fs::read_dir(fixture.path("units")).unwrap().count()
}

#[tokio::test]
async fn the_example_over_ssh_starts_asks_and_stops() {
    let Some((fixture, yaml)) = on_this_machine() else { return };
    // `inventory` takes the host for a part of the workload's name.
    let yaml = yaml.replace(
        "inventory: [ssh, \"{host}\", foremesh-host]",
        "inventory: [sh, -c, 'foremesh-host | sed \"s/-$0\\\"/\\\"/\"', \"{host}\"]",
    );
    let platform = fixture.open_with(&yaml).await.unwrap();
    for host in ["h1", "h2"].map(NodeId::from) {
        platform.place(&cart(), &host, None).await.unwrap();
        until_ready(&platform, &host).await;
        let snapshot = platform.snapshot().await.unwrap();
        let node = &snapshot.nodes[&host];
        assert_eq!((&node.state, &node.zone), (&NodeState::Ready, &Some("metal-1".into())));
        assert!(
            node.used.is_some_and(|used| used.get() > 0.0) && node.memory_used_bytes > Some(1e6),
            "{node:?}"
        );
        let replica = &snapshot.workloads[&cart()].replicas[&replica_id(&cart(), &host)];
        assert!(replica.ready, "{replica:?}");
        let search = &snapshot.workloads[&WorkloadId::from("search")].replicas[&ReplicaId::from("search@h2")];
        assert_eq!(search.because.as_deref(), Some("it is stopped (`inventory` does not list it)"));
        platform.set_weights(&service(), &weights(&[("cart@h3", 100)])).await.unwrap();
        for _ in 0..2 {
            platform.retire(&cart(), &host, None).await.unwrap();
        }
        assert_eq!(units(&fixture), 0, "the unit is gone");
        let status = platform.shared.status(&cart(), &host).await.unwrap().to_string();
        assert_eq!(status, "it is stopped (there is no such unit)");
    }
    assert!(platform.owed().await.is_empty());
}

#[tokio::test]
async fn the_example_over_ssh_tries_a_move() {
    let Some((fixture, yaml)) = on_this_machine() else { return };
    // Whether this machine has room for a load is not what is asked.
    let yaml = yaml.replace("4000m", "4000000m");
    let trials = fixture.open_with(&yaml).await.unwrap().staging(&RolloutSettings::default()).unwrap();
    let report = judged(&trials, &order(), || assert_eq!(units(&fixture), 2, "a copy on each host")).await;
    assert_eq!(report.verdict, TrialVerdict::Pass, "{}", report.why);
    assert_eq!(units(&fixture), 0, "nothing is left");
}
