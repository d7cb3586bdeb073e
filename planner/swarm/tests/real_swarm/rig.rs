//! A service on a real Swarm, and what is looked at of it.
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
use foremesh_swarm::{Client, ClientSettings, Relocate, RelocateSettings, mapping, objects::Task};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command, time::Duration};
use tokio::time::{Instant, sleep};

const NETWORK: &str = "shop";

pub(crate) struct Rig {
    pub(crate) client: Client,
    pub(crate) relocate: Relocate,
    /// One that waits for a few seconds only.
    pub(crate) quick: Relocate,
    pub(crate) workload: WorkloadId,
    /// The spec as dockerd tells it.
    pub(crate) before: String,
}

pub(crate) struct Moved {
    pub(crate) leaving: ReplicaId,
    pub(crate) to: NodeId,
    pub(crate) replica: ReplicaId,
}

pub(crate) fn client(url: &str) -> Client {
    Client::new(ClientSettings::new(url.parse().unwrap())).unwrap()
}

/// Runs `docker`, which must go well.
pub(crate) fn docker(args: &[&str]) -> String {
    let out = Command::new("docker").args(args).output().unwrap();
    assert!(out.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A service with much in its spec that the planner does not read, whose health check asks the service `gate`.
pub(crate) fn web(name: &str, replicas: u64) -> Value {
    json!({
        "Name": name,
        "Labels": {"foremesh.dev/port": "8080", "a<b>&c": "\u{e9}"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "localhost/workload:1",
                "Args": ["serve"],
                "Env": ["CPU_MS=0"],
                "Init": true,
                "Hosts": ["10.1.1.1 other"],
                "DNSConfig": {"Options": ["timeout:3"]},
                "Sysctls": {"net.ipv4.ip_local_port_range": "20000 50000"},
                "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
                "CapabilityDrop": ["CAP_NET_RAW"],
                "StopGracePeriod": 3_000_000_000_i64,
                "Healthcheck": {
                    "Test": ["CMD", "/workload", "call", "--expect", "200", "http://gate:8081/ready"],
                    "Interval": 1_000_000_000, "Timeout": 2_000_000_000, "Retries": 10_000,
                },
            },
            "Resources": {"Limits": {"NanoCPUs": 500_000_000, "Pids": 100}, "Reservations": {"MemoryBytes": 10_000_000}},
            "RestartPolicy": {"Condition": "any", "Delay": 2_000_000_000, "MaxAttempts": 0},
            "Placement": {"Constraints": ["node.labels.disk!=none"], "MaxReplicas": 2,
                "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}]},
            "Networks": [{"Target": NETWORK, "Aliases": [format!("{name}-alias")]}],
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": {"Parallelism": 2, "FailureAction": "rollback", "Monitor": 5_000_000_000_i64, "MaxFailureRatio": 0.25,
            "Order": "stop-first"},
        "RollbackConfig": {"Parallelism": 1, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"},
        "EndpointSpec": {"Mode": "vip", "Ports": []},
    })
}

impl Rig {
    /// A service that runs.
    pub(crate) async fn with(name: &str, spec: Value) -> Self {
        #[expect(clippy::disallowed_methods, reason = "as docker itself is told")]
        let url = std::env::var("DOCKER_HOST").expect("DOCKER_HOST is the manager of a Swarm");
        let client = client(&url);
        let relocate = Relocate::new(client.clone(), RelocateSettings::default());
        let settings =
            RelocateSettings { start_within: Duration::from_secs(12), ..RelocateSettings::default() };
        let quick = Relocate::new(client.clone(), settings);
        let workload = WorkloadId::from(name);
        let mut rig = Self { client, relocate, quick, workload, before: String::new() };
        let there = docker(&["network", "ls", "--format", "{{.Name}}"]);
        if !there.lines().any(|line| line == NETWORK) {
            docker(&["network", "create", "--driver", "overlay", NETWORK]);
        }
        for service in docker(&["service", "ls", "--format", "{{.Name}}"]).lines() {
            if service != "gate" {
                docker(&["service", "rm", service]);
            }
        }
        if rig.client.service("gate").await.unwrap().is_none() {
            let (network, mode) = (format!("--network={NETWORK}"), "--endpoint-mode=dnsrr");
            let image = ["localhost/workload:1", "serve"];
            let args = ["service", "create", "--detach", "--no-resolve-image", "--name=gate", &network, mode];
            docker(&[&args[..], &image].concat());
        }
        rig.until("the gate is open", async || rig.running_of("gate").await == 1).await;
        let written = foremesh_swarm::spec::Spec::new(spec.to_string()).unwrap();
        rig.client.create(name, &written).await.unwrap();
        let replicas = spec["Mode"]["Replicated"]["Replicas"].as_u64().unwrap() as usize;
        rig.until("all tasks run", async || rig.running_of(name).await == replicas).await;
        rig.before = rig.spec().await;
        rig
    }

    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds().await {
            assert!(
                Instant::now() < deadline,
                "{what}: not within a minute\n{}",
                docker(&["service", "ps", "--no-trunc", self.workload.as_str()])
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn tasks(&self, name: &str) -> Vec<Task> {
        let tasks = self.client.tasks_of(name).await.unwrap_or_default();
        tasks.into_iter().filter(Task::runs).collect()
    }

    pub(crate) async fn running_of(&self, name: &str) -> usize {
        self.tasks(name).await.len()
    }

    /// How many run that were made with this in their environment.
    pub(crate) fn running_with(&self, env: &str) -> usize {
        let ids = docker(&[
            "service",
            "ps",
            "--no-trunc",
            "--filter",
            "desired-state=running",
            "--format",
            "{{.ID}}",
            self.workload.as_str(),
        ]);
        let inspected = ids.lines().map(|id| docker(&["inspect", id]));
        inspected.filter(|task| task.contains(env) && task.contains(r#""State": "running""#)).count()
    }

    /// What runs, without that of a slot.
    pub(crate) async fn tasks_but(&self, slot: u64) -> BTreeSet<(u64, String)> {
        let tasks = self.tasks(self.workload.as_str()).await;
        tasks.into_iter().filter(|task| task.slot != slot).map(|task| (task.slot, task.id)).collect()
    }

    async fn names(&self) -> mapping::Names {
        mapping::Names::of(&self.client.nodes().await.unwrap())
    }

    /// Name of what runs of a slot.
    pub(crate) async fn replica(&self, slot: u64) -> ReplicaId {
        let names = self.names().await;
        let tasks = self.tasks(self.workload.as_str()).await;
        let found: Vec<_> = tasks.iter().filter(|task| task.slot == slot).collect();
        let [task] = found.as_slice() else { return ReplicaId::from("not one") };
        mapping::replica_id(self.workload.as_str(), slot, &names.name(&task.node_id))
    }

    /// A node without a task of it.
    pub(crate) async fn free_node(&self) -> NodeId {
        let tasks = self.tasks(self.workload.as_str()).await;
        let nodes = self.client.nodes().await.unwrap();
        let free = nodes.iter().find(|node| tasks.iter().all(|task| task.node_id != node.id)).unwrap();
        self.names().await.name(&free.id)
    }

    /// A move of a slot up to the hand-over.
    pub(crate) async fn begin(&self, slot: u64) -> Moved {
        let (leaving, to) = (self.replica(slot).await, self.free_node().await);
        self.relocate.prepare(&self.workload, &to).await.unwrap();
        let replica = self.relocate.place(&self.workload, &to, Some(&leaving)).await.unwrap();
        assert_eq!(replica, mapping::replica_id(self.workload.as_str(), slot, &to));
        assert_eq!(self.relocate.place(&self.workload, &to, Some(&leaving)).await.unwrap(), replica);
        Moved { leaving, to, replica }
    }

    pub(crate) async fn spec(&self) -> String {
        let service = self.client.service(self.workload.as_str()).await.unwrap().unwrap();
        service.spec.get().to_owned()
    }

    pub(crate) async fn surge(&self) -> Option<String> {
        let surge = self.relocate.moving(&self.workload).await.unwrap()?;
        Some(surge.service.spec.get().to_owned())
    }

    /// The spec while the placement is the planner's.
    pub(crate) async fn while_handed_over(&self) -> String {
        self.until("it is handed over", async || self.spec().await.contains("node.id")).await;
        self.spec().await
    }

    /// The move is over, and nothing is left of it.
    pub(crate) async fn is_as_before(&self, moved: &Moved) {
        assert_eq!(self.spec().await, self.before, "the spec, byte for byte");
        let service = self.client.service(self.workload.as_str()).await.unwrap().unwrap();
        let previous = service.previous_spec.unwrap();
        assert!(!previous.get().contains("node.id"), "a rollback would pin it: {previous}");
        assert!(self.surge().await.is_none());
        // Long enough for Swarm to change its mind.
        sleep(Duration::from_secs(5)).await;
        let (slot, _) = mapping::replica_parts(self.workload.as_str(), &moved.replica).unwrap();
        assert_eq!(self.replica(slot).await, moved.replica);
    }
}
