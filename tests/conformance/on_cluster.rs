//! Kubernetes with Istio: a pod's process dies, and its kubelet starts it again.
use crate::world::{Place, Requests, World};
use foremesh_tests::{
    Cluster, EverySecond, Namespace, WorkloadSpec,
    cluster::{InCluster, Pod},
    hand_over::Files,
    until,
};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

/// Namespaces of the next scenario: those of the one before it may still be going.
static NEXT: AtomicU16 = AtomicU16::new(1);
const PORT: u16 = 8730;
const PINNED: &str = "its data is on the disk of this node";
const SLOW_MS: u32 = 600;
const SOON: Duration = Duration::from_secs(60);
/// It moves nothing that nobody approves: plans are handed over.
const POLICIES: &str = "apiVersion: foremesh.dev/v1alpha1\nkind: RelocationPolicy\nmetadata: {name: web}\nspec:\n  \
    selector: {services: ['web.*']}\n  mode: approve\n  \
    trial: {waivedBy: the tests, reason: plans are made by hand}\n  rules:\n  \
    - {name: slow-soon, predictedLatency: {quantile: 0.95, above: 200ms, within: 10s}}\n  ramp: [50, 100]\n";
const NODES: [&str; 3] = ["node-2", "node-3", "node-1"];

/// A namespace of the shared testbed, with a planner beside the API server.
pub(crate) struct InKubernetes {
    planner: InCluster,
    load: Option<EverySecond>,
    space: Namespace,
    cluster: &'static Cluster,
    names: Names,
}

struct Names {
    planner: &'static str,
    workload: String,
    service: String,
    stuck: String,
}

fn node(place: Place) -> &'static str {
    NODES[place as usize]
}

impl InKubernetes {
    /// Lets new pods go to these nodes only.
    async fn open_only(cluster: &Cluster, nodes: &[&str]) {
        for one in NODES {
            let word = if nodes.contains(&one) { "uncordon" } else { "cordon" };
            cluster.kubectl(&[word, one]).await.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    async fn pods(&self) -> Result<Vec<Pod>, String> {
        self.space.pods("app=web").await
    }

    async fn pod_on(&self, place: Place) -> Pod {
        until(&format!("one ready pod on {}", node(place)), SOON, async || {
            let mut here = self.pods().await?;
            here.retain(|pod| pod.node == node(place) && pod.ready);
            if here.len() == 1 { Ok(here.remove(0)) } else { Err(format!("there are {here:?}")) }
        })
        .await
    }

    /// Has the service in a pod do something.
    async fn switch(&self, place: Place, method: &str, what: &str) {
        let pod = self.pod_on(place).await;
        let answer = self.cluster.call_with(method, &pod.admin(what)).await;
        // One that crashes may not answer.
        assert!(answer.is_ok(), "{answer:?}");
    }
}

impl World for InKubernetes {
    const PLATFORM: &'static str = "cluster";
    const KEEPS_WEIGHTS: bool = false;
    const POLICY: &'static str = "web";
    const OBJECTIVE_MS: u32 = 200;

    async fn begin(homes: &[Place]) -> Self {
        let cluster = Cluster::shared().await;
        Self::open_only(cluster, &NODES).await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name: &'static str = format!("conformance-{number}").leak();
        let names = Names {
            planner: format!("foremesh-{number}").leak(),
            workload: format!("{name}/web"),
            service: format!("web.{name}.svc.cluster.local"),
            stuck: format!("{name}/ledger"),
        };
        let planner = InCluster::start_moving(cluster, names.planner, PORT, POLICIES).await;
        let space = Namespace::meshed(cluster, name).await;
        space
            .kubectl(&["label", "--overwrite", "namespace", name, "foremesh.dev/managed=true"])
            .await
            .expect("it is labelled");
        let sidecars = [
            "install",
            "sidecars",
            "--into",
            name,
            "--planner",
            &planner.host(),
            "--module-port",
            "8700",
            "--interval",
            "1s",
        ];
        let objects = planner.command(&sidecars).await.unwrap_or_else(|error| panic!("{error}"));
        space.apply(&objects).await;
        let (first, others) = homes.split_first().expect("the service runs somewhere");
        let client = WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") };
        let ledger = WorkloadSpec::service("ledger");
        space.start(&[client]).await;
        Self::open_only(cluster, &[node(*first)]).await;
        space.start(&[WorkloadSpec::service("web"), ledger]).await;
        let pinned = format!("foremesh.dev/pinned={PINNED}");
        space.kubectl(&["annotate", "deployment", "ledger", &pinned]).await.expect("it is annotated");
        for (number, home) in others.iter().enumerate() {
            Self::open_only(cluster, &[node(*home)]).await;
            let replicas = format!("--replicas={}", number + 2);
            space.kubectl(&["scale", "deployment", "web", &replicas]).await.expect("it is scaled");
            let status = ["rollout", "status", "deployment/web", "--timeout=60s"];
            space.kubectl(&status).await.unwrap_or_else(|error| panic!("{error}"));
        }
        Self::open_only(cluster, &NODES).await;
        let mut world = Self { planner, load: None, space, cluster, names };
        // It had to run for what is installed by it; a scenario starts it, with states that last long enough to act in.
        world.planner.kill().await;
        let settings = &world.planner.files().settings;
        let text = std::fs::read_to_string(settings).expect("the settings can be read");
        let text = text.replacen("rollout: {", "rollout: {dwell: 1500ms, ", 1);
        std::fs::write(settings, text).expect("the settings can be written");
        world
    }

    fn node(&self, place: Place) -> &str {
        node(place)
    }

    fn names(&self) -> (&str, &str) {
        (&self.names.workload, &self.names.service)
    }

    async fn replica_on(&self, place: Place) -> String {
        self.pod_on(place).await.name
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
        let client = self.space.pod("app=client").await.name;
        let url = "http://web:8080/";
        until("the service to be reached from the client", SOON, async || {
            let answer = self.space.call_from(&client, url).await?;
            if answer["status"] == 200 { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
        let workload =
            ["kubectl", "--namespace", self.space.name(), "exec", &client, "-c", "app", "--", "/workload"];
        self.load = Some(EverySecond::start(self.cluster, &workload, url, rate));
    }

    async fn end_load(&mut self) -> Requests {
        let seconds = self.load.take().expect("the load runs").end().await;
        Requests::of_seconds(&seconds)
    }

    async fn spoil(&mut self, place: Place) {
        self.switch(place, "PUT", &format!("/faults?extra_ms={SLOW_MS}")).await;
    }

    async fn crash(&mut self, place: Place) {
        self.switch(place, "POST", "/crash?after_ms=50").await;
    }

    async fn interfere(&mut self) -> String {
        let patch =
            json!({"spec": {"template": {"metadata": {"annotations": {"team.example/changed": "yes"}}}}});
        let patch = patch.to_string();
        self.space
            .kubectl(&["patch", "deployment", "web", "--patch", &patch])
            .await
            .expect("it can be changed");
        "the pod template was changed".to_owned()
    }

    fn stuck(&self) -> (&str, &str) {
        (&self.names.stuck, PINNED)
    }

    async fn serving(&self) -> Vec<Place> {
        let pods = self.pods().await.unwrap_or_default();
        let serves = |place: &Place| pods.iter().any(|pod| pod.ready && pod.node == node(*place));
        [Place::Home, Place::Target, Place::Spare].into_iter().filter(serves).collect()
    }

    async fn left_behind(&self) -> Result<Vec<String>, String> {
        let mut left = Vec::new();
        for kind in ["virtualservices.networking.istio.io", "destinationrules.networking.istio.io"] {
            let found = self.space.get(&[kind]).await?;
            let found = found["items"].as_array().map_or(0, Vec::len);
            if found > 0 {
                left.push(format!("{found} {kind}"));
            }
        }
        let pods = self.space.get(&["pods", "-l", "app=web"]).await?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let meta = &pod["metadata"];
            if !meta["labels"]["foremesh.dev/location"].is_null() {
                left.push(format!("label of {}", meta["name"]));
            }
            if !meta["annotations"]["controller.kubernetes.io/pod-deletion-cost"].is_null() {
                left.push(format!("deletion cost of {}", meta["name"]));
            }
        }
        let moving = self
            .cluster
            .get(&[
                "--namespace",
                self.names.planner,
                "configmap",
                "--field-selector",
                "metadata.name=foremesh-moving",
            ])
            .await?;
        let entries = &moving["items"][0]["data"];
        if entries.as_object().is_some_and(|entries| !entries.is_empty()) {
            left.push(format!("entries {entries}"));
        }
        Ok(left)
    }
}
