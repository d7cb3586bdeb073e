//! The files that an operator would write for the demo's world: settings, hosts, policy.
use foremesh_demo::{HostLayout, Scenario, WorldLayout};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Steps in which the demo measures and forecasts.
const STEP_MS: u128 = 500;

/// Writes the files and returns the path of the settings.
pub(super) fn write(layout: &WorldLayout, scenario: &Scenario) -> anyhow::Result<PathBuf> {
    let directory = layout.directory.join("planner");
    fs::create_dir_all(directory.join("policies"))?;
    put(&directory.join("hosts.yaml"), &hosts(layout, scenario))?;
    put(&directory.join("policies/shop.yaml"), &policy(scenario))?;
    let config = directory.join("foremesh.yaml");
    put(&config, &settings(layout, scenario))?;
    Ok(config)
}

fn put(path: &Path, value: &Value) -> anyhow::Result<()> {
    Ok(fs::write(path, yaml_serde::to_string(value)?)?)
}

fn hosts(layout: &WorldLayout, scenario: &Scenario) -> Value {
    let hosts: Vec<Value> = layout
        .hosts
        .iter()
        .map(|host| {
            let commands = layout.commands(host, &scenario.settings);
            json!({
                "name": host.name,
                "zone": host.zone,
                "address": host.listen.ip().to_string(),
                "capacity": format!("{}m", host.capacity_millicores),
                "commands": commands,
            })
        })
        .collect();
    let ports = |of: fn(&HostLayout) -> u16| -> Map<String, Value> {
        layout.hosts.iter().map(|host| (host.name.clone(), json!(of(host)))).collect()
    };
    json!({
        "hosts": hosts,
        "workloads": [{"name": scenario.service, "port": ports(|host| host.listen.port()), "runsOn": [scenario.home]}],
        "traffic": {"edsDirectory": layout.edge.eds_file.parent()},
        // Seconds, where the defaults say minutes.
        "staging": {
            "ports": ports(|host| host.copy_port),
            "load": {
                "maxRate": 1000, "leastPeakShare": 0.3, "maxCpuShare": 0.8,
                "maxDuration": "6s", "warmUp": "500ms", "startWithin": "3s",
            },
        },
    })
}

/// As it would be in production, but for the length of a day: minutes became half seconds.
fn settings(layout: &WorldLayout, scenario: &Scenario) -> Value {
    let day_ms = scenario.day.as_millis();
    let season_ms = day_ms - day_ms % STEP_MS;
    json!({
        "listen": layout.planner.to_string(),
        "stateDirectory": "state",
        "platform": {"hosts": "hosts.yaml"},
        "policies": ["policies"],
        "step": format!("{STEP_MS}ms"),
        "season": format!("{season_ms}ms"),
        "horizon": "24s",
        "interval": "500ms",
        "lateness": "700ms",
        "staleAfter": "5s",
        "silentAfter": "5s",
        "planning": {"default_move_duration_ms": 9000},
        "rollout": {
            "revalidateAfter": "600ms", "holdPerStep": "1500ms", "settle": "2s", "gateWait": "6s",
            "drainQuiet": "700ms", "drainLimit": "5s", "observationLag": "700ms", "poll": "100ms", "minSamples": 100,
        },
    })
}

fn policy(scenario: &Scenario) -> Value {
    json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": scenario.service},
        "spec": {
            "selector": {"services": [scenario.service]},
            "mode": "auto",
            "rules": [{
                "name": "slow-soon",
                "predictedLatency": {
                    "quantile": scenario.quantile,
                    "above": format!("{}ms", scenario.objective_ms),
                    "for": {"steps": 3, "of": 5},
                    "within": "22s",
                    "probability": 0.5,
                },
            }],
            "cooldown": "15s",
            "ramp": [50, 100],
            "trial": {"requests": [{"path": "/"}]},
        },
    })
}
