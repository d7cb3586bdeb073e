//! A planner beside the API server of a testbed, with a name in the mesh.
use super::{Cluster, Namespace};
use crate::{hand_over::Files, place::root, until};
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::Child;

/// From its start to its first answer: the first lists of the cluster are part of it.
const SOON: Duration = Duration::from_secs(60);

const JSON: &str = "content-type: application/json";

/// Address of the machine that the API server runs on, as pods reach it.
const ADDRESS: &str = "172.30.0.10";

/// A planner that runs inside; dropping it ends it.
#[derive(Debug)]
pub struct InCluster {
    cluster: &'static Cluster,
    port: u16,
    directory: TempDir,
    files: Files,
    child: Option<Child>,
    space: Namespace,
}

impl InCluster {
    /// Starts a planner for the opted-in namespaces that only reads, with the service `foremesh` in a namespace of its own.
    ///
    /// # Panics
    /// When it does not answer in time, with its log.
    pub async fn start(cluster: &'static Cluster, namespace: &'static str, port: u16, policy: &str) -> Self {
        Self::start_with(cluster, namespace, port, policy, "{kubernetes: {}}").await
    }

    /// Starts one that moves workloads; its webhook is at the next port.
    ///
    /// # Panics
    /// When it does not answer in time, with its log.
    pub async fn start_moving(
        cluster: &'static Cluster,
        namespace: &'static str,
        port: u16,
        policy: &str,
    ) -> Self {
        let account =
            "{apiVersion: v1, kind: ServiceAccount, metadata: {name: foremesh, namespace: istio-system}}";
        cluster.apply(account).await.unwrap_or_else(|error| panic!("{error}"));
        let platform = format!(
            "{{kubernetes: {{moves: {{namespace: {namespace}, webhook: {{listen: '0.0.0.0:{}', host: {ADDRESS}}}}}}}}}\n\
             planning: {{requests_per_money: 100000.0, default_move_duration_ms: 10000}}\n\
             rollout: {{revalidateAfter: 2s, holdPerStep: 4s, settle: 4s, gateWait: 20s, drainQuiet: 2s, \
             observationLag: 2500ms, poll: 250ms, minSamples: 100}}",
            port + 1
        );
        Self::start_with(cluster, namespace, port, policy, &platform).await
    }

    async fn start_with(
        cluster: &'static Cluster,
        namespace: &'static str,
        port: u16,
        policy: &str,
        platform: &str,
    ) -> Self {
        let space = Namespace::plain(cluster, namespace).await;
        // A service without a selector, so that its endpoint is where the planner is.
        space
            .apply(&format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: foremesh}}, \
                   spec: {{ports: [{{name: http, port: 8700, targetPort: {port}}}]}}}}\n---\n\
                 {{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
                   metadata: {{name: foremesh, labels: {{kubernetes.io/service-name: foremesh}}}}, \
                   ports: [{{name: http, port: {port}}}], \
                   endpoints: [{{addresses: [{ADDRESS}], conditions: {{ready: true}}}}]}}\n"
            ))
            .await;
        let directory = TempDir::new().expect("a directory can be made");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("a file can be written");
            path
        };
        file("policy.yaml", policy);
        let module = root().join("build/foremesh_filter.wasm");
        let settings = file(
            "foremesh.yaml",
            &format!(
                "listen: 0.0.0.0:{port}\nstateDirectory: state\nplatform: {platform}\nfilterModule: {}\n\
                 policies: [policy.yaml]\nstep: 1s\nseason: 24s\nhorizon: 12s\ninterval: 1s\nlateness: 3s\n",
                module.display()
            ),
        );
        let files = Files { settings, state: directory.path().join("state") };
        let mut planner = Self { cluster, port, directory, files, child: None, space };
        planner.start_again().await;
        planner
    }

    /// Starts it on its files once more, and waits until it has decided.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub async fn start_again(&mut self) {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log"));
        let mut command = self.cluster.script(&["exec", &binary(), "serve", "--config"]);
        command.arg(&self.files.settings).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.expect("a log can be made"));
        self.child = Some(command.spawn().expect("scripts/testbed can be started"));
        until("the planner to have decided", SOON, async || self.get("/api/v1/services").await).await;
    }

    /// SIGKILL of the planner itself, below the scripts that start it.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the planner runs");
        let planner = innermost(child.id().expect("the planner has not ended"));
        let killed = std::process::Command::new("kill").args(["-KILL", &planner.to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "process {planner} cannot be killed");
        let ended = tokio::time::timeout(SOON, child.wait()).await.expect("the script ends with the planner");
        ended.expect("the end of the script can be waited for");
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Sends JSON to its API; the error is the problem that it answers with.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("http://{ADDRESS}:{}{path}", self.port);
        let body = body.to_string();
        let curl =
            ["curl", "--silent", "--show-error", "--fail-with-body", "--header", JSON, "--data", &body, &url];
        let text = self.cluster.exec(&curl).await?;
        serde_json::from_str(&text).map_err(|error| format!("{url} gave no JSON ({error}): {text}"))
    }

    /// Host name that sidecars reach it by.
    pub fn host(&self) -> String {
        format!("foremesh.{}.svc.cluster.local", self.space.name())
    }

    /// What its API answers.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        let url = format!("http://{ADDRESS}:{}{path}", self.port);
        let text = self.cluster.exec(&["curl", "--silent", "--show-error", "--fail-with-body", &url]).await?;
        serde_json::from_str(&text).map_err(|error| format!("{url} gave no JSON ({error}): {text}"))
    }

    /// Runs a command of the binary that asks it.
    pub async fn command(&self, argv: &[&str]) -> Result<String, String> {
        let server = format!("http://{ADDRESS}:{}", self.port);
        self.cluster.exec(&[&[binary().as_str()], argv, &["--server", &server]].concat()).await
    }
}

impl Drop for InCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let from = log.len().saturating_sub(20_000);
            eprintln!("== planner\n{}", log.get(from..).unwrap_or(&log));
        }
    }
}

/// The planner that `cargo build` made.
pub(super) fn binary() -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    target.join("debug/foremesh").display().to_string()
}

/// The last of a chain of processes that each started the next.
fn innermost(first: u32) -> u32 {
    let mut at = first;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{at}/task/{at}/children")).unwrap_or_default();
        match children.split_whitespace().next().and_then(|child| child.parse().ok()) {
            Some(child) => at = child,
            None => return at,
        }
    }
}
