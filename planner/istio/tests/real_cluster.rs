//! Against a real Kubernetes with Istio: `KUBECONFIG=... cargo test -p foremesh-istio --test real_cluster -- --ignored`,
//! where the pod network can be reached and `kubectl` is there (`scripts/testbed exec`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use foremesh_core::ids::{ReplicaId, ServiceId};
use foremesh_istio::{Proxies, ProxySettings, Shifter};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(90);

fn kubectl(argv: &[&str]) -> Result<String, String> {
    let output = Command::new("kubectl").args(argv).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

async fn apply(manifests: &[Value]) {
    let began = Instant::now();
    loop {
        let mut child =
            Command::new("kubectl").args(["apply", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        child.stdin.take().unwrap().write_all(list.to_string().as_bytes()).unwrap();
        if child.wait().unwrap().success() {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "the manifests are not taken");
        sleep(Duration::from_millis(500)).await;
    }
}

/// A namespace that goes with the test.
struct Space(String);

impl Drop for Space {
    fn drop(&mut self) {
        let _ = kubectl(&["delete", "namespace", &self.0, "--wait=false"]);
        let _ = kubectl(&["-n", "istio-system", "delete", "serviceaccount", &self.0]);
    }
}

fn deployment(space: &str, name: &str, argument: &str, replicas: u32) -> Value {
    let mut container = json!({
        "name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never", "args": [argument],
        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
    });
    if argument == "serve" {
        container["readinessProbe"] =
            json!({"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1});
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": space},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name, "version": "v1"},
                    "annotations": {"traffic.sidecar.istio.io/excludeInboundPorts": "8081"},
                },
                "spec": {"terminationGracePeriodSeconds": 3, "containers": [container]},
            },
        },
    })
}

impl Space {
    async fn new(name: &str, users: &[Value]) -> Self {
        let space = Self(name.to_owned());
        apply(&[
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"istio-injection": "enabled"}}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "istio-system"}}),
        ])
        .await;
        space
            .until("its certificate", || kubectl(&["-n", name, "get", "configmap", "istio-ca-root-cert"]))
            .await;
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": name},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080}]},
        });
        let mut all =
            vec![service, deployment(name, "web", "serve", 2), deployment(name, "client", "idle", 1)];
        all.extend(users.iter().cloned());
        apply(&all).await;
        for workload in ["deployment/web", "deployment/client"] {
            space
                .until("ready pods", || kubectl(&["-n", name, "rollout", "status", workload, "--timeout=5s"]))
                .await;
        }
        space
    }

    async fn until(&self, what: &str, ask: impl Fn() -> Result<String, String>) {
        let began = Instant::now();
        loop {
            match ask() {
                Ok(_) => return,
                Err(error) => assert!(began.elapsed() < DEADLINE, "{}: no {what}: {error}", self.0),
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    fn get(&self, kind: &str, labels: &str) -> Vec<Value> {
        let text = kubectl(&["-n", &self.0, "get", kind, "-l", labels, "-o", "json"]).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().clone()
    }

    /// All that users wrote, without what the API server counts.
    fn objects(&self) -> Vec<Value> {
        let mut all = [self.get("virtualservices", ""), self.get("destinationrules", "")].concat();
        for object in &mut all {
            let metadata = object["metadata"].as_object_mut().unwrap();
            for field in ["resourceVersion", "generation", "managedFields"] {
                metadata.remove(field);
            }
        }
        all
    }

    fn served(pods: &[Value]) -> Vec<u64> {
        let counts = pods.iter().map(|pod| {
            let url = format!("http://{}:8081/counts", pod["status"]["podIP"].as_str().unwrap());
            let output = Command::new("curl").args(["-s", "-m", "5", &url]).output().unwrap();
            serde_json::from_slice::<Value>(&output.stdout).unwrap()["served"].as_u64().unwrap()
        });
        counts.collect()
    }

    fn load(&self, rate: u32, seconds: u32) -> Child {
        let client = self.get("pods", "app=client")[0]["metadata"]["name"].as_str().unwrap().to_owned();
        let url = format!("http://web.{}.svc.cluster.local:8080/", self.0);
        let argv = ["-n", &self.0, "exec", &client, "-c", "app", "--", "/workload", "load", &url, "--rate"];
        Command::new("kubectl")
            .args(argv)
            .args([&rate.to_string(), "--seconds", &seconds.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// A service of two pods, one of them at the target, and what shares out its traffic.
struct Pair {
    space: Space,
    client: kube::Client,
    settings: ProxySettings,
    service: ServiceId,
    pods: Vec<Value>,
    source: ReplicaId,
    target: ReplicaId,
}

impl Pair {
    async fn new(name: &str, users: &[Value]) -> Self {
        let space = Space::new(name, users).await;
        let pods = space.get("pods", "app=web");
        let id = |index: usize| ReplicaId::new(pods[index]["metadata"]["name"].as_str().unwrap());
        let (source, target) = (id(0), id(1));
        // As the webhook would have done.
        kubectl(&["-n", name, "label", "pod", target.as_str(), "foremesh.dev/location=target"]).unwrap();
        let settings = ProxySettings { account: name.to_owned(), ..ProxySettings::default() };
        let service = ServiceId::new(format!("web.{name}.svc.cluster.local"));
        let client = kube::Client::try_default().await.unwrap();
        Self { space, client, settings, service, pods, source, target }
    }

    /// Made anew for each step, as after a restart.
    fn shifter(&self) -> Shifter {
        Shifter::new(self.client.clone(), Proxies::new(self.client.clone(), self.settings.clone()))
    }

    fn weights(&self, source: u32, target: u32) -> BTreeMap<ReplicaId, u32> {
        [(self.source.clone(), source), (self.target.clone(), target)].into()
    }
}

/// Moments at which a planner is killed, before it is let to the end.
const KILLED_AFTER_MS: [u64; 6] = [8, 20, 45, 90, 200, 600];

async fn moved(name: &str, users: &[Value], killed: bool) {
    let pair = Pair::new(name, users).await;
    let Pair { space, service, pods, source, .. } = &pair;
    let shifter = || pair.shifter();
    let before = space.objects();
    let even = pair.weights(100, 100);
    assert_eq!(shifter().traffic(service).await.unwrap().weights, even);

    let load = space.load(250, 26);
    sleep(Duration::from_secs(2)).await;
    for shares in [(100, 0), (50, 50), (90, 10), (0, 100)] {
        let weights = pair.weights(shares.0, shares.1);
        for after in KILLED_AFTER_MS.into_iter().filter(|_| killed) {
            let (shifter, after) = (shifter(), Duration::from_millis(after));
            let _ = tokio::time::timeout(after, shifter.set_weights(service, &weights, Some(source))).await;
        }
        let began = Instant::now();
        shifter().set_weights(service, &weights, Some(source)).await.unwrap();
        let took = began.elapsed();
        assert_eq!(shifter().traffic(service).await.unwrap().weights, weights);
        let at = Space::served(pods);
        sleep(Duration::from_secs(3)).await;
        let now = Space::served(pods);
        let (from, to) = (now[0] - at[0], now[1] - at[1]);
        println!("{name} {shares:?}: in force after {took:?}, then served {from} and {to}");
        let share = to as f64 / (from + to) as f64 * 100.0;
        let off = (share - f64::from(shares.1)).abs();
        assert!(off < if shares.0 == 0 || shares.1 == 0 { 0.001 } else { 6.0 }, "{share} % at the target");
        let again = Instant::now();
        shifter().set_weights(service, &weights, None).await.unwrap();
        println!("{name} {shares:?}: the same again took {:?}", again.elapsed());
    }
    for after in KILLED_AFTER_MS.into_iter().filter(|_| killed) {
        let (shifter, after) = (shifter(), Duration::from_millis(after));
        let _ = tokio::time::timeout(after, shifter.restore(service)).await;
    }
    let began = Instant::now();
    shifter().restore(service).await.unwrap();
    println!("{name}: out after {:?}", began.elapsed());
    assert_eq!(space.objects(), before);
    assert!(space.get("pods", "app=web,foremesh.dev/location").is_empty());
    assert_eq!(shifter().traffic(service).await.unwrap().weights, even);
    let output = load.wait_with_output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let totals: BTreeMap<&String, &Value> =
        result.as_object().unwrap().iter().filter(|(_, value)| !value.is_array()).collect();
    println!("{name}: {totals:?}");
    assert_eq!(result["failed"], 0, "{result}");
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_host_without_objects_is_split_and_left_as_it_was() {
    moved("w-istio-plain", &[], false).await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_host_with_a_users_route_and_rule_is_split_and_left_as_it_was() {
    moved("w-istio-users", &users("w-istio-users"), false).await;
}

#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_planner_that_is_killed_in_each_step_loses_no_request() {
    moved("w-istio-killed", &users("w-istio-killed"), true).await;
}

/// A pod that has half of the traffic is scaled away, and nobody changes the routes.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn the_share_of_a_pod_that_is_scaled_away_goes_to_the_other() {
    let name = "w-istio-away";
    let pair = Pair::new(name, &users(name)).await;
    let Pair { space, service, pods, source, target, .. } = &pair;
    let cost = "controller.kubernetes.io/pod-deletion-cost=-100";
    kubectl(&["-n", name, "annotate", "pod", target.as_str(), cost]).unwrap();
    pair.shifter().set_weights(service, &pair.weights(50, 50), Some(source)).await.unwrap();
    let load = space.load(250, 14);
    sleep(Duration::from_secs(4)).await;
    let before = Space::served(pods);
    assert!(before.iter().all(|served| *served > 300), "both serve: {before:?}");
    kubectl(&["-n", name, "scale", "deployment", "web", "--replicas", "1"]).unwrap();
    let output = load.wait_with_output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{name}: {} offered, {} failed", result["offered"], result["failed"]);
    assert_eq!(space.get("pods", "app=web").len(), 1, "the other one is gone");
    assert_eq!(result["failed"], 0, "{result}");
    pair.shifter().restore(service).await.unwrap();
}

/// A route with a header and retries, and a rule with a policy and a subset.
fn users(name: &str) -> [Value; 2] {
    let host = format!("web.{name}.svc.cluster.local");
    let metadata = json!({"name": "web", "namespace": name, "annotations": {"team": "shop"}});
    let rule = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata,
        "spec": {
            "host": host, "trafficPolicy": {"connectionPool": {"http": {"maxRequestsPerConnection": 1000}}},
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        },
    });
    let route = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata,
        "spec": {"hosts": ["web"], "http": [
            {
                "name": "beta", "match": [{"headers": {"x-beta": {"exact": "yes"}}}], "timeout": "3s",
                "route": [{"destination": {"host": host, "subset": "v1"}}],
            },
            {
                "retries": {"attempts": 2, "retryOn": "connect-failure"},
                "route": [{"destination": {"host": "web", "subset": "v1"}, "weight": 100}],
            },
        ]},
    });
    [rule, route]
}
