//! What `usage` and `inventory` write, as numbers.
use super::{
    Shared,
    command::{Ended, Subject},
    config::{Host, Kind},
    status::{State, Status},
};
use crate::platform::PlatformError;
use foremesh_core::ids::{NodeId, WorkloadId};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The line that `usage` writes; more fields may be there and are not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Usage {
    cpu_used_millicores: f64,
    /// CPU that a virtual machine wanted and its machine gave to others. Whoever has it, nobody here can have it.
    #[serde(default)]
    cpu_steal_millicores: f64,
    memory_used_bytes: Option<f64>,
    #[serde(default)]
    workloads: BTreeMap<String, Share>,
}

/// What one workload uses: its CPU alone, or that and its memory.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Share {
    Cpu(f64),
    Both { cpu_millicores: f64, memory_bytes: Option<f64> },
}

impl Share {
    pub(super) const fn cpu(self) -> f64 {
        match self {
            Self::Cpu(cpu) | Self::Both { cpu_millicores: cpu, .. } => cpu,
        }
    }

    pub(super) const fn memory(self) -> Option<f64> {
        match self {
            Self::Cpu(_) => None,
            Self::Both { memory_bytes, .. } => memory_bytes,
        }
    }
}

impl Usage {
    /// All CPU that is gone, in millicores.
    pub(super) fn cpu(&self) -> f64 {
        self.cpu_used_millicores + self.cpu_steal_millicores
    }

    pub(super) const fn memory(&self) -> Option<f64> {
        self.memory_used_bytes
    }

    pub(super) fn of(&self, workload: &WorkloadId) -> Option<Share> {
        self.workloads.get(workload.as_str()).copied()
    }

    fn is_sensible(&self) -> bool {
        let shares = self.workloads.values().flat_map(|share| [Some(share.cpu()), share.memory()]);
        let all = [Some(self.cpu_used_millicores), Some(self.cpu_steal_millicores), self.memory_used_bytes];
        all.into_iter().chain(shares).flatten().all(is_amount)
    }
}

fn is_amount(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// One replica as `inventory` tells of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    workload: String,
    #[serde(flatten)]
    pub(super) status: Status,
    /// Whether it answers its ready check; the check is made where it is not said.
    pub(super) ready: Option<bool>,
    cpu_millicores: Option<f64>,
    memory_bytes: Option<f64>,
}

/// All that `inventory` writes: a line for each replica, and perhaps one that is that of `usage`.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) usage: Option<Usage>,
    pub(super) replicas: BTreeMap<String, Listed>,
}

impl Inventory {
    fn read(text: &str) -> Option<Self> {
        let mut inventory = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            if value.get("workload").is_none() {
                inventory.usage = Some(serde_json::from_value(value).ok().filter(Usage::is_sensible)?);
                continue;
            }
            let listed: Listed = serde_json::from_value(value).ok()?;
            let mut amounts = listed.cpu_millicores.into_iter().chain(listed.memory_bytes);
            if !amounts.all(is_amount) {
                return None;
            }
            inventory.replicas.insert(listed.workload.clone(), listed);
        }
        // The host's own line may leave the workloads to theirs.
        if let Some(usage) = &mut inventory.usage {
            for (workload, listed) in &inventory.replicas {
                if let Some(cpu_millicores) = listed.cpu_millicores {
                    let share = Share::Both { cpu_millicores, memory_bytes: listed.memory_bytes };
                    usage.workloads.entry(workload.clone()).or_insert(share);
                }
            }
        }
        Some(inventory)
    }

    /// How a workload is; one that is not listed is not there.
    pub(super) fn status(&self, workload: &WorkloadId) -> Status {
        let listed = self.replicas.get(workload.as_str()).map(|listed| listed.status.clone());
        listed.unwrap_or_else(|| Status::of(State::Stopped, "`inventory` does not list it"))
    }
}

impl Shared {
    /// Whatever the host has to ask it as a whole: its usage, all that runs on it, or both.
    pub(super) async fn usage(&self, name: &NodeId, host: &Host) -> Result<Option<Usage>, PlatformError> {
        let expected =
            "one line of JSON such as {\"cpu_used_millicores\": 850, \"workloads\": {\"cart\": 400}}";
        let Some(ended) = self.of_host(Kind::Usage, name, host).await? else { return Ok(None) };
        match serde_json::from_slice::<Usage>(&ended.stdout).ok().filter(Usage::is_sensible) {
            Some(usage) => Ok(Some(usage)),
            None => Err(ended.into_senseless(expected)),
        }
    }

    pub(super) async fn listed(
        &self,
        name: &NodeId,
        host: &Host,
    ) -> Result<Option<Inventory>, PlatformError> {
        let expected = "one line of JSON for each replica, such as {\"workload\": \"cart\", \"state\": \"running\", \
                        \"ready\": true}";
        let Some(ended) = self.of_host(Kind::Inventory, name, host).await? else { return Ok(None) };
        match Inventory::read(&String::from_utf8_lossy(&ended.stdout)) {
            Some(inventory) => Ok(Some(inventory)),
            None => Err(ended.into_senseless(expected)),
        }
    }

    async fn of_host(&self, kind: Kind, name: &NodeId, host: &Host) -> Result<Option<Ended>, PlatformError> {
        let Some(argv) = host.commands.argv(kind, false) else { return Ok(None) };
        let subject = Subject { host_name: name, host, workload: None, copy: None };
        let ended = self.commands.run(kind, subject, argv).await?;
        if ended.status.success() { Ok(Some(ended)) } else { Err(ended.into_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_of_each_replica_and_of_the_host() {
        let text = r#"
            {"cpu_used_millicores": 700, "cpu_steal_millicores": 50.5, "memory_used_bytes": 1e9}
            {"workload": "cart", "state": "running", "ready": true, "cpu_millicores": 250, "memory_bytes": 5e7}
            {"workload": "web", "state": "failed", "since": "12:00", "detail": "oom-kill"}
            {"workload": "web-trial", "state": "running", "pid": 12}
        "#;
        let inventory = Inventory::read(text).unwrap();
        let usage = inventory.usage.as_ref().unwrap();
        assert!((usage.cpu() - 750.5).abs() < 1e-9);
        assert_eq!(usage.memory(), Some(1e9));
        let share = usage.of(&WorkloadId::from("cart")).unwrap();
        assert_eq!((share.cpu(), share.memory()), (250.0, Some(5e7)));
        let said = |name: &str| inventory.status(&WorkloadId::from(name)).to_string();
        assert_eq!(said("web"), "it failed since 12:00 (oom-kill)");
        assert_eq!(said("shop"), "it is stopped (`inventory` does not list it)");
        assert_eq!(inventory.replicas["cart"].ready, Some(true));
    }

    #[test]
    fn a_list_that_is_broken_is_not_half_believed() {
        let good = r#"{"workload": "cart", "state": "running"}"#;
        for bad in ["{", r#"{"workload": "web", "state": "asleep"}"#, r#"{"cpu_used_millicores": -1}"#] {
            assert!(Inventory::read(&format!("{good}\n{bad}")).is_none(), "{bad}");
        }
        assert!(Inventory::read("").unwrap().replicas.is_empty(), "nothing runs there");
    }
}
