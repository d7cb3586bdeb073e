//! Docker Swarm: a task's container is killed, and Swarm starts another one.
use crate::world::{Place, Requests, World};
use foremesh_tests::{EverySecond, Served, Swarm, hand_over::Files, place::root, until};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

const SERVICE: &str = "shop_web";
const STUCK: &str = "shop_ledger";
const SLOW_MS: u32 = 600;
/// Where planner and Envoys meet: the planner is beside the nodes, on the machine that they are on.
const PLANNER: &str = "172.30.0.1";
const EDGE: &str = "http://172.30.0.11:80/";
const SOON: Duration = Duration::from_secs(90);
const NODES: [&str; 3] = ["node-2", "node-3", "node-1"];
const SETTINGS: &str = "listen: 172.30.0.1:8700\nstateDirectory: state\n\
    platform: {swarm: {endpoint: 'unix:///run/nodes/node-1/docker.sock', ads: {listen: '172.30.0.1:8701'}, \
    poll: 1s, handOver: 2s, drain: 2s}}\n\
    policies: [policy.yaml]\nstep: 1s\nseason: 24s\nhorizon: 12s\ninterval: 1s\nlateness: 3s\n\
    signals: {otlp: {enabled: true}}\n\
    planning: {default_move_duration_ms: 10000}\n\
    rollout: {dwell: 1500ms, revalidateAfter: 2s, holdPerStep: 4s, settle: 4s, gateWait: 20s, drainQuiet: 2s, \
    observationLag: 2500ms, poll: 250ms, minSamples: 100}\n";
/// It moves nothing that nobody approves: plans are handed over.
const POLICIES: &str = "apiVersion: foremesh.dev/v1alpha1\nkind: RelocationPolicy\nmetadata: {name: web}\nspec:\n  \
    selector: {services: [shop_web]}\n  mode: approve\n  \
    trial: {waivedBy: the tests, reason: plans are made by hand}\n  rules:\n  \
    - {name: slow-soon, predictedLatency: {quantile: 0.95, above: 200ms, within: 10s}}\n  ramp: [50, 100]\n";

/// The shared Swarm with the edge of `envoy-config/swarm`, and a planner beside the nodes.
pub(crate) struct InSwarm {
    planner: Served,
    load: Option<EverySecond>,
    swarm: &'static Swarm,
    /// Placement and update settings of the service, as they were before anything moved.
    settings: String,
    _meter: tokio::process::Child,
    _directory: TempDir,
}

fn node(place: Place) -> &'static str {
    NODES[place as usize]
}

async fn docker(swarm: &Swarm, argv: &[&str]) -> String {
    swarm.docker(argv).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Lets new tasks go to these nodes only.
async fn open_only(swarm: &Swarm, nodes: &[&str]) {
    for one in NODES {
        let word = if nodes.contains(&one) { "active" } else { "pause" };
        docker(swarm, &["node", "update", "--availability", word, one]).await;
    }
}

/// The edge of `envoy-config/swarm` in front of the service, with the planner where it is here.
async fn deploy_edge(swarm: &Swarm, directory: &Path) {
    let files = root().join("envoy-config/swarm");
    let edge = fs::read_to_string(files.join("edge.yaml")).expect("the edge's configuration can be read");
    let edge_file = directory.join("edge.yaml");
    fs::write(&edge_file, edge.replace("tasks.planner", PLANNER)).expect("a file can be written");
    let stack = json!({
        "version": "3.8",
        "services": {"edge": {
            "image": "localhost/envoy:1", "entrypoint": ["/usr/local/bin/envoy"], "networks": ["mesh"],
            "command": ["--config-path", "/etc/foremesh/edge.yaml", "--drain-time-s", "5"],
            "environment": {"SERVICE": SERVICE, "SERVICE_PORT": "8080", "INTERVAL_MS": "1000", "NODE": "{{.Node.Hostname}}"},
            "configs": [{"source": "edge", "target": "/etc/foremesh/edge.yaml"},
                        {"source": "filter", "target": "/etc/foremesh/filter.wasm"}],
            "ports": [{"target": 8080, "published": 80, "mode": "host"}],
            "deploy": {"placement": {"constraints": ["node.role==manager"]}},
        }},
        "networks": {"mesh": {"name": "foremesh", "driver": "overlay", "attachable": true}},
        "configs": {"edge": {"file": edge_file, "template_driver": "golang"},
                    "filter": {"file": root().join("build/foremesh_filter.wasm")}},
    });
    let file = directory.join("front.yaml");
    fs::write(&file, stack.to_string()).expect("a file can be written");
    swarm.deploy("front", &file, &[]).await.unwrap_or_else(|error| panic!("{error}"));
}

/// The service with so many tasks, and one that cannot be moved.
async fn deploy_shop(swarm: &Swarm, directory: &Path, replicas: usize) {
    let service = |replicas: usize| {
        json!({
            "image": "localhost/workload:1", "command": ["serve", "--drain-ms", "3000"], "networks": ["foremesh"],
            "healthcheck": {"test": ["CMD", "/workload", "call", "--expect", "200", "http://127.0.0.1:8081/ready"],
                            "interval": "1s", "timeout": "5s", "retries": 5},
            "deploy": {"replicas": replicas, "labels": {"foremesh.dev/port": "8080"}, "restart_policy": {"delay": "1s"}},
        })
    };
    let mut ledger = service(1);
    ledger["volumes"] = json!(["ledger:/var/lib/ledger"]);
    let stack = json!({
        "version": "3.8",
        "services": {"web": service(replicas), "ledger": ledger},
        "networks": {"foremesh": {"external": true}},
        "volumes": {"ledger": {}},
    });
    let file = directory.join("shop.yaml");
    fs::write(&file, stack.to_string()).expect("a file can be written");
    swarm.deploy("shop", &file, &[]).await.unwrap_or_else(|error| panic!("{error}"));
}

impl InSwarm {
    /// Placement and update settings, as text.
    async fn settings_of(swarm: &Swarm) -> Result<String, String> {
        let format = "{{json .Spec.TaskTemplate.Placement}} {{json .Spec.UpdateConfig}}";
        swarm.docker(&["service", "inspect", "--format", format, SERVICE]).await
    }

    /// Runs a line of shell on a node with the id of the container there that answers for the service as `$task`.
    async fn with_task(&self, place: Place, line: &str) {
        let line = format!("task=$(docker ps --quiet --filter name={SERVICE}) && [ -n \"$task\" ] && {line}");
        until(&format!("a container on {}", node(place)), SOON, async || {
            self.swarm.on(node(place), &["sh", "-c", &line]).await
        })
        .await;
    }
}

impl World for InSwarm {
    const PLATFORM: &'static str = "swarm";
    const KEEPS_WEIGHTS: bool = true;
    const POLICY: &'static str = "web";
    const OBJECTIVE_MS: u32 = 200;

    async fn begin(homes: &[Place]) -> Self {
        let swarm = Swarm::shared().await;
        // Nothing of an earlier scenario.
        swarm.remove_stacks(&["shop", "front"]).await;
        let directory = TempDir::new().expect("a directory can be made");
        open_only(swarm, &NODES).await;
        deploy_edge(swarm, directory.path()).await;
        let homes: Vec<&str> = homes.iter().map(|home| node(*home)).collect();
        open_only(swarm, &homes).await;
        deploy_shop(swarm, directory.path(), homes.len()).await;
        until("the service to run where it is to", SOON, async || {
            let tasks = swarm.tasks(SERVICE).await?;
            let mut on: Vec<&str> =
                tasks.iter().filter(|task| task.state == "Running").map(|task| task.node.as_str()).collect();
            on.sort_by_key(|name| NODES.iter().position(|node| node == name));
            let stuck = swarm.tasks(STUCK).await?;
            let runs = stuck.iter().all(|task| task.state == "Running");
            if on == homes && runs { Ok(()) } else { Err(format!("{tasks:?} {stuck:?}")) }
        })
        .await;
        open_only(swarm, &NODES).await;
        let settings = directory.path().join("foremesh.yaml");
        fs::write(&settings, SETTINGS).expect("the settings can be written");
        fs::write(directory.path().join("policy.yaml"), POLICIES).expect("the policy can be written");
        let files = Files { settings, state: directory.path().join("state") };
        let server = format!("http://{PLANNER}:8700");
        Self {
            _meter: swarm.meter(&format!("{server}/v1/metrics")),
            planner: Served::new(swarm, files, server),
            load: None,
            swarm,
            settings: Self::settings_of(swarm).await.unwrap_or_else(|error| panic!("{error}")),
            _directory: directory,
        }
    }

    fn node(&self, place: Place) -> &str {
        node(place)
    }

    fn names(&self) -> (&str, &str) {
        (SERVICE, SERVICE)
    }

    async fn replica_on(&self, place: Place) -> String {
        until(&format!("a task on {}", node(place)), SOON, async || {
            let tasks = self.swarm.tasks(SERVICE).await?;
            let here = tasks.iter().find(|task| task.node == node(place));
            here.map(|task| format!("{}@{}", task.name, task.node)).ok_or_else(|| format!("{tasks:?}"))
        })
        .await
    }

    fn files(&self) -> &Files {
        self.planner.files()
    }

    async fn start_planner(&mut self) {
        self.planner.start().await;
    }

    async fn kill_planner(&mut self) {
        self.planner.kill().await;
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        self.planner.get(path).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.planner.post(path, body).await
    }

    async fn start_load(&mut self, rate: u32) {
        until("the edge to answer", SOON, async || {
            let answer = self.swarm.call(EDGE).await?;
            if answer["status"] == 200 { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
        self.load = Some(EverySecond::start(self.swarm, &["workload"], EDGE, rate));
    }

    async fn end_load(&mut self) -> Requests {
        let seconds = self.load.take().expect("the load runs").end().await;
        Requests::of_seconds(&seconds)
    }

    async fn spoil(&mut self, place: Place) {
        let url = format!("http://127.0.0.1:8081/faults?extra_ms={SLOW_MS}");
        self.with_task(place, &format!("docker exec \"$task\" /workload call --method PUT '{url}'")).await;
    }

    async fn crash(&mut self, place: Place) {
        self.with_task(place, "docker kill \"$task\"").await;
    }

    async fn interfere(&mut self) -> String {
        docker(self.swarm, &["service", "update", "--detach", "--env-add", "CHANGED=yes", SERVICE]).await;
        "the service was updated with another environment".to_owned()
    }

    fn stuck(&self) -> (&str, &str) {
        (STUCK, "volume")
    }

    async fn serving(&self) -> Vec<Place> {
        let tasks = self.swarm.tasks(SERVICE).await.unwrap_or_default();
        let serves =
            |place: &Place| tasks.iter().any(|task| task.state == "Running" && task.node == node(*place));
        [Place::Home, Place::Target, Place::Spare].into_iter().filter(serves).collect()
    }

    async fn left_behind(&self) -> Result<Vec<String>, String> {
        let mut left = Vec::new();
        let surges = ["service", "ls", "--filter", "label=foremesh.dev/surge-of", "--format", "{{.Name}}"];
        left.extend(self.swarm.docker(&surges).await?.lines().map(|name| format!("service {name}")));
        let now = Self::settings_of(self.swarm).await?;
        if now != self.settings {
            left.push(format!("placement and update settings {now} instead of {}", self.settings));
        }
        Ok(left)
    }
}
