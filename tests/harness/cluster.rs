//! A real Kubernetes with Istio, from `scripts/testbed`.
//!
//! [`Cluster`] is one testbed in a folder of its own; it goes down with the process that started it, however that ends
//! (`up --owner`). Tests share one, [`Cluster::shared`], and have a [`Namespace`] each.
mod dump;
mod installed;
mod load;
mod namespace;
mod planner;
mod workload;

pub use dump::Dump;
pub use installed::Installed;
pub use load::{EverySecond, Load};
pub use namespace::Namespace;
pub use planner::InCluster;
pub use workload::{Pod, WorkloadSpec};

use crate::place::root;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    sync::OnceCell,
    time::timeout,
};

/// From the start to a cluster that serves; the script's own deadlines are shorter and say more.
const UP_WITHIN: Duration = Duration::from_secs(240);
/// Any command inside that is not given another deadline.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Nodes of the shared testbed, with their zones and quotas in millicores.
pub const NODES: [(&str, &str, Option<u32>); 3] =
    [("node-1", "zone-a", Some(500)), ("node-2", "zone-b", Some(1_500)), ("node-3", "zone-a", None)];

static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// A testbed that is up, or the folder of one.
#[derive(Debug)]
pub struct Cluster {
    state: PathBuf,
}

impl Cluster {
    /// The testbed of this test process, with [`NODES`]; the first call starts it.
    ///
    /// # Panics
    /// When it does not come up, with what the script said.
    pub async fn shared() -> &'static Self {
        SHARED
            .get_or_init(|| async {
                let cluster = Self::at("test");
                let quotas =
                    NODES.iter().filter_map(|(node, _, quota)| Some(format!("{node}={}", (*quota)?)));
                let quotas = quotas.collect::<Vec<_>>().join(",");
                cluster.down().await;
                cluster
                    .up(&["--nodes", "3", "--zones", "2", "--cpus", &quotas])
                    .await
                    .unwrap_or_else(|error| panic!("{error}"));
                cluster
            })
            .await
    }

    /// The folder of a testbed in `build/testbed`, or where `FOREMESH_TESTBEDS` says; nothing is started.
    pub fn at(name: &str) -> Self {
        let all = std::env::var_os("FOREMESH_TESTBEDS");
        Self { state: all.map_or_else(|| root().join("build/testbed"), PathBuf::from).join(name) }
    }

    /// The folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The name of its control groups.
    ///
    /// # Panics
    /// When it is not up.
    pub fn group(&self) -> String {
        let file = self.state.join("group");
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.trim().to_owned()
    }

    /// Starts it, bound to this process.
    pub async fn up(&self, options: &[&str]) -> Result<String, String> {
        self.up_with(std::process::id(), options).await
    }

    /// Starts it, bound to another process.
    pub async fn up_with(&self, owner: u32, options: &[&str]) -> Result<String, String> {
        let mut command = self.script(&["up", "--owner", &owner.to_string()]);
        command.args(options);
        said("scripts/testbed up", UP_WITHIN, run(command, None)).await
    }

    /// Begins to start it, bound to this process; the script is killed when it is dropped.
    ///
    /// # Panics
    /// When the script cannot be run.
    pub fn begin_up(&self, options: &[&str]) -> Child {
        let mut command = self.script(&["up", "--owner", &std::process::id().to_string()]);
        command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("scripts/testbed can be started")
    }

    /// Ends it; nothing happens when it is not up.
    pub async fn down(&self) {
        let down = said("scripts/testbed down", COMMAND_WITHIN, run(self.script(&["down"]), None)).await;
        down.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Runs a command inside; gives what it wrote to stdout.
    pub async fn exec(&self, argv: &[&str]) -> Result<String, String> {
        self.exec_with(argv, None, COMMAND_WITHIN).await
    }

    async fn exec_with(
        &self,
        argv: &[&str],
        input: Option<&str>,
        within: Duration,
    ) -> Result<String, String> {
        let mut command = self.script(&["exec"]);
        command.args(argv);
        said(&argv.join(" "), within, run(command, input)).await
    }

    /// Runs kubectl.
    pub async fn kubectl(&self, argv: &[&str]) -> Result<String, String> {
        self.exec(&[&["kubectl"], argv].concat()).await
    }

    /// What kubectl gives as JSON.
    pub async fn get(&self, argv: &[&str]) -> Result<Value, String> {
        let text = self.kubectl(&[&["get", "-o", "json"], argv].concat()).await?;
        serde_json::from_str(&text).map_err(|error| format!("kubectl gave no JSON ({error}): {text}"))
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: &str) -> Result<String, String> {
        self.exec_with(&["kubectl", "apply", "-f", "-"], Some(manifest), COMMAND_WITHIN).await
    }

    /// Calls a URL from outside the mesh, as plain HTTP: `{"status", "body"}` or `{"error"}`.
    pub async fn call(&self, url: &str) -> Result<Value, String> {
        self.call_with("GET", url).await
    }

    /// The same with another method.
    pub async fn call_with(&self, method: &str, url: &str) -> Result<Value, String> {
        let text = self.exec(&["workload", "call", "--method", method, url]).await?;
        serde_json::from_str(&text).map_err(|error| format!("`workload call` gave no JSON ({error}): {text}"))
    }

    fn script(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(root().join("scripts/testbed"));
        command.args(argv).env("TESTBED_STATE", &self.state).kill_on_drop(true);
        command
    }
}

impl Drop for Cluster {
    // A drop cannot await. The shared one is never dropped: it ends with its owner, this process.
    fn drop(&mut self) {
        let mut down = std::process::Command::new(root().join("scripts/testbed"));
        if let Err(error) = down.arg("down").env("TESTBED_STATE", &self.state).status() {
            eprintln!("the testbed in {} is left behind: {error}", self.state.display());
        }
    }
}

/// Runs a command to its end.
async fn run(mut command: Command, input: Option<&str>) -> std::io::Result<Output> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).await?;
    }
    child.wait_with_output().await
}

/// What a command wrote to stdout; its stderr when it failed.
async fn said(
    what: &str,
    within: Duration,
    run: impl Future<Output = std::io::Result<Output>>,
) -> Result<String, String> {
    let output = timeout(within, run).await.map_err(|_| format!("`{what}` took more than {within:?}"))?;
    let output = output.map_err(|error| format!("`{what}` cannot be run: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("`{what}` ended with {}: {} {}", output.status, text(&output.stdout), text(&output.stderr)))
}
