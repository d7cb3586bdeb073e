//! The files that an operator would write: settings, hosts, policy. JSON is YAML.
use super::{
    mesh::OBJECTIVE_MS,
    past::{SEASON_MS, STEP_MS},
};
use crate::hand_over::Files;
use foremesh_demo::{HostLayout, ServiceSettings, WorldLayout};
use serde_json::{Map, Value, json};
use std::{fs, net::SocketAddr, path::Path};

/// What stands before a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Somebody's word.
    Waived,
    /// A trial with copies on both hosts.
    Trial,
}

/// Writes them into the world's directory; `mode` is the policy's, the service runs on `homes`, and endpoints are served at `ads`.
pub(super) fn write(
    layout: &WorldLayout,
    service: &ServiceSettings,
    (mode, proof): (&str, Proof),
    homes: &[&str],
    ads: Option<SocketAddr>,
) -> Files {
    let directory = layout.directory.join("planner");
    let files = Files { settings: directory.join("foremesh.yaml"), state: directory.join("state") };
    fs::create_dir_all(&files.state).expect("directories can be made");
    put(&directory.join("hosts.yaml"), &hosts(layout, service, homes, ads));
    put(&directory.join("policy.yaml"), &policy(&layout.service, mode, proof));
    put(&files.settings, &settings(layout));
    files
}

fn put(path: &Path, value: &Value) {
    fs::write(path, format!("{value:#}\n")).expect("files can be written");
}

fn hosts(layout: &WorldLayout, service: &ServiceSettings, homes: &[&str], ads: Option<SocketAddr>) -> Value {
    let hosts: Vec<Value> = layout
        .hosts
        .iter()
        .map(|host| {
            json!({
                "name": host.name,
                "zone": host.zone,
                "address": host.listen.ip().to_string(),
                "capacity": format!("{}m", host.capacity_millicores),
                "commands": layout.commands(host, service),
            })
        })
        .collect();
    let ports = |of: fn(&HostLayout) -> u16| -> Map<String, Value> {
        layout.hosts.iter().map(|host| (host.name.clone(), json!(of(host)))).collect()
    };
    let mut traffic = json!({"edsDirectory": layout.edge.eds_file.parent()});
    if let Some(address) = ads {
        traffic["ads"] = json!({"listen": address.to_string()});
    }
    json!({
        "hosts": hosts,
        "workloads": [{"name": layout.service, "port": ports(|host| host.listen.port()), "runsOn": homes}],
        "traffic": traffic,
        "staging": {
            "ports": ports(|host| host.copy_port),
            "load": {"maxRate": 80, "maxCpuShare": 0.9, "leastPeakShare": 0.3, "warmUp": "1s", "startWithin": "5s"},
        },
    })
}

/// Every state lasts `dwell` at least, so that a test can act in it, and has a deadline that suits a test.
fn settings(layout: &WorldLayout) -> Value {
    json!({
        "listen": layout.planner.to_string(),
        "stateDirectory": "state",
        "platform": {"hosts": "hosts.yaml"},
        "policies": ["policy.yaml"],
        "step": format!("{STEP_MS}ms"),
        "season": format!("{SEASON_MS}ms"),
        "horizon": "30s",
        "interval": "500ms",
        "lateness": "700ms",
        "staleAfter": "15s",
        "silentAfter": "30s",
        "planning": {"default_move_duration_ms": 3000},
        "rollout": {
            "dwell": "900ms", "revalidateAfter": "900ms", "pendingLimit": "20s", "holdPerStep": "1500ms",
            "settle": "1500ms", "gateWait": "20s", "drainQuiet": "500ms", "drainLimit": "20s",
            "observationLag": "700ms", "poll": "150ms", "minSamples": 50, "errorMargin": 0.06,
            "surgingLimit": "20s", "retireLimit": "20s", "rollbackLimit": "20s",
        },
    })
}

fn policy(service: &str, mode: &str, proof: Proof) -> Value {
    let trial = match proof {
        Proof::Waived => json!({"waivedBy": "the hosts tests", "reason": "a trial is not what is tested"}),
        Proof::Trial => json!({"requests": [{"path": "/"}], "duration": "12s"}),
    };
    json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": service},
        "spec": {
            "selector": {"services": [service]},
            "mode": mode,
            "rules": [{
                "name": "slow-soon",
                "predictedLatency": {
                    "quantile": 0.95,
                    "above": format!("{OBJECTIVE_MS}ms"),
                    "for": {"steps": 3, "of": 5},
                    "within": "30s",
                    "probability": 0.5,
                },
            }],
            "cooldown": "10m",
            "ramp": [40, 70, 100],
            "trial": trial,
        },
    })
}
