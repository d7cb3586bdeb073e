//! A namespace of one test.
use super::{Cluster, Pod, WorkloadSpec};
use crate::until;
use serde_json::Value;
use std::{process::Command, time::Duration};

/// Pods that have to be scheduled, to start and to be ready, on a small machine that has other work.
const PODS_WITHIN: Duration = Duration::from_secs(90);
/// What the control plane does of itself.
const SOON: Duration = Duration::from_secs(30);

/// A namespace; dropping it removes it, and tells what was in it when the test has failed.
#[derive(Debug)]
pub struct Namespace {
    cluster: &'static Cluster,
    name: &'static str,
}

impl Namespace {
    /// A namespace whose pods get sidecars.
    pub async fn meshed(cluster: &'static Cluster, name: &'static str) -> Self {
        let space = Self::create(cluster, name, "istio-injection: enabled").await;
        until("istiod's certificate in the new namespace", SOON, async || {
            space.kubectl(&["get", "configmap", "istio-ca-root-cert"]).await
        })
        .await;
        space
    }

    /// A namespace outside the mesh.
    pub async fn plain(cluster: &'static Cluster, name: &'static str) -> Self {
        Self::create(cluster, name, "foremesh.dev/mesh: none").await
    }

    async fn create(cluster: &'static Cluster, name: &'static str, label: &str) -> Self {
        let manifest =
            format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{label}}}}}}}");
        until("a namespace", SOON, async || cluster.apply(&manifest).await).await;
        let space = Self { cluster, name };
        until("the default service account", SOON, async || {
            space.kubectl(&["get", "serviceaccount", "default"]).await
        })
        .await;
        space
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The cluster that it is in.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// Runs kubectl in it.
    pub async fn kubectl(&self, argv: &[&str]) -> Result<String, String> {
        self.cluster.kubectl(&[&["--namespace", self.name], argv].concat()).await
    }

    /// What kubectl gives as JSON.
    pub async fn get(&self, argv: &[&str]) -> Result<Value, String> {
        self.cluster.get(&[&["--namespace", self.name], argv].concat()).await
    }

    /// Applies a manifest; the webhooks of a mesh that has just started may need a second try.
    pub async fn apply(&self, manifest: &str) {
        let argv = ["kubectl", "--namespace", self.name, "apply", "-f", "-"];
        until("a manifest to be taken", SOON, async || {
            self.cluster.exec_with(&argv, Some(manifest), SOON).await
        })
        .await;
    }

    /// Starts workloads together and waits until every replica is ready.
    pub async fn start(&self, workloads: &[WorkloadSpec]) {
        let manifests: Vec<String> = workloads.iter().map(WorkloadSpec::manifest).collect();
        self.apply(&manifests.join("---\n")).await;
        for workload in workloads {
            let name = format!("deployment/{}", workload.deployment());
            until(&format!("{name} to be ready"), PODS_WITHIN, async || {
                self.kubectl(&["rollout", "status", &name, "--timeout=5s"]).await
            })
            .await;
        }
    }

    /// The pods with these labels that are not on their way out.
    pub async fn pods(&self, labels: &str) -> Result<Vec<Pod>, String> {
        let list = self.get(&["pods", "-l", labels]).await?;
        let items = list["items"].as_array().ok_or("no list of pods")?;
        Ok(items.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).map(Pod::of).collect())
    }

    /// The only pod with these labels.
    pub async fn pod(&self, labels: &str) -> Pod {
        let pods = self.pods(labels).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(pods.len(), 1, "pods with {labels}: {pods:?}");
        pods.into_iter().next().expect("there is one")
    }

    /// Calls a URL from a pod, through its sidecar where it has one: `{"status", "body"}` or `{"error"}`.
    pub async fn call_from(&self, pod: &str, url: &str) -> Result<Value, String> {
        let text = self.kubectl(&["exec", pod, "-c", "app", "--", "/workload", "call", url]).await?;
        serde_json::from_str(&text).map_err(|error| format!("`workload call` gave no JSON ({error}): {text}"))
    }

    /// What the sidecar of a pod tells on its admin port, such as `clusters`; JSON without white space.
    ///
    /// It is asked from the container beside it: a command in the sidecar's own takes CPU from the requests on their way.
    pub async fn sidecar(&self, pod: &str, path: &str) -> Result<String, String> {
        let answer = self.call_from(pod, &format!("http://127.0.0.1:15000/{path}")).await?;
        if answer["status"] != 200 {
            return Err(format!("the sidecar's admin port answers {answer}"));
        }
        Ok(answer["body"].as_str().map_or_else(|| answer["body"].to_string(), str::to_owned))
    }

    /// Requests that a pod has served.
    pub async fn served(&self, pod: &Pod) -> Result<u64, String> {
        let answer = self.cluster.call(&pod.admin("/counts")).await?;
        answer["body"]["served"].as_u64().ok_or_else(|| format!("{} answers {answer}", pod.name))
    }

    /// Waits until the sidecar of a pod tells something of a service that `is_so` accepts.
    pub async fn sidecar_until(&self, pod: &str, path: &str, what: &str, is_so: impl Fn(&str) -> bool) {
        until(&format!("the sidecar of {pod} to know {what}"), SOON, async || {
            let text = self.sidecar(pod, path).await?;
            if is_so(&text) { Ok(()) } else { Err(format!("{path} has {} bytes without it", text.len())) }
        })
        .await;
    }
}

impl Drop for Namespace {
    // A drop cannot await, so these run in the foreground.
    fn drop(&mut self) {
        let script = crate::place::root().join("scripts/testbed");
        let kubectl = |argv: &[&str]| {
            let mut command = Command::new(&script);
            command
                .env("TESTBED_STATE", self.cluster.state())
                .args(["exec", "kubectl", "--namespace", self.name])
                .args(argv);
            command.output().map_or_else(
                |error| error.to_string(),
                |output| String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        };
        if std::thread::panicking() {
            eprintln!(
                "== pods of {}\n{}",
                self.name,
                kubectl(&["get", "pods", "-o", "wide", "--show-labels"])
            );
            eprintln!("== events\n{}", kubectl(&["get", "events", "--sort-by=.lastTimestamp"]));
            let names = kubectl(&["get", "pods", "-o", "name"]);
            for pod in names.lines() {
                eprintln!(
                    "== {pod}\n{}",
                    kubectl(&["logs", pod, "--all-containers", "--prefix", "--tail=30"])
                );
            }
            eprintln!("logs of the components: {}", self.cluster.state().join("logs").display());
        }
        // What is left of its work must not take the CPU of the next test.
        kubectl(&["delete", "deployments,replicasets,pods", "--all", "--grace-period=1", "--timeout=20s"]);
        kubectl(&["delete", "namespace", self.name, "--wait=false"]);
    }
}
