//! A testbed of `scripts/testbed`, whatever runs in it: a folder that is started, entered and ended by the script.
use crate::{
    guide,
    place::{foremesh_binary, root},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

/// From the start to a testbed that serves; the script's own deadlines are shorter and say more.
const UP_WITHIN: Duration = Duration::from_secs(240);
/// Any command inside that is not given another deadline.
pub(crate) const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Name, zone and quota in millicores of a node.
pub type Node = (&'static str, &'static str, Option<u32>);

/// A testbed that is up, or the folder of one.
#[derive(Debug)]
pub struct Testbed {
    /// What comes before the script's command.
    kind: &'static [&'static str],
    state: PathBuf,
}

impl Testbed {
    /// The folder of a testbed in a folder below `build`, or where `FOREMESH_TESTBEDS` says; nothing is started.
    pub(crate) fn at(kind: &'static [&'static str], folder: &str, name: &str) -> Self {
        let all = std::env::var_os("FOREMESH_TESTBEDS");
        let all = all.map_or_else(|| root().join("build").join(folder), PathBuf::from);
        Self { kind, state: all.join(name) }
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

    /// Starts it with these nodes, bound to this process, and ends one that is there before.
    pub(crate) async fn up_anew(&self, nodes: &[Node]) {
        let zones: BTreeSet<&str> = nodes.iter().map(|(_, zone, _)| *zone).collect();
        let quotas: Vec<String> =
            nodes.iter().filter_map(|(node, _, quota)| Some(format!("{node}={}", (*quota)?))).collect();
        self.down().await;
        let (count, zones) = (nodes.len().to_string(), zones.len().to_string());
        let up = self.up(&["--nodes", &count, "--zones", &zones, "--cpus", &quotas.join(",")]).await;
        up.unwrap_or_else(|error| panic!("{error}"));
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

    pub(crate) async fn exec_with(
        &self,
        argv: &[&str],
        input: Option<&str>,
        within: Duration,
    ) -> Result<String, String> {
        let mut command = self.script(&["exec"]);
        command.args(argv);
        said(&argv.join(" "), within, run(command, input)).await
    }

    /// Calls a URL from inside, but from outside the mesh, as plain HTTP: `{"status", "body"}` or `{"error"}`.
    pub async fn call(&self, url: &str) -> Result<Value, String> {
        self.call_with("GET", url).await
    }

    /// The same with another method.
    pub async fn call_with(&self, method: &str, url: &str) -> Result<Value, String> {
        let text = self.exec(&["workload", "call", "--method", method, url]).await?;
        serde_json::from_str(&text).map_err(|error| format!("`workload call` gave no JSON ({error}): {text}"))
    }

    /// Runs the commands of a guide in a folder, with `FOREMESH` and the planner's binary as it has them; gives what they said.
    ///
    /// # Panics
    /// When its script cannot be written.
    pub async fn follow(&self, folder: &Path, commands: &str, within: Duration) -> Result<String, String> {
        let programs = foremesh_binary();
        let programs: Vec<&Path> = programs.parent().into_iter().collect();
        let file = guide::script(folder, &programs, commands);
        let mut command = self.script(&["exec", "bash"]);
        command.arg(&file);
        said("the guide", within, run(command, None)).await
    }

    pub(crate) fn script(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(root().join("scripts/testbed"));
        command.args(self.kind).args(argv).env("TESTBED_STATE", &self.state).kill_on_drop(true);
        command
    }
}

impl Drop for Testbed {
    // A drop cannot await. The shared one is never dropped: it ends with its owner, this process.
    fn drop(&mut self) {
        let mut down = std::process::Command::new(root().join("scripts/testbed"));
        if let Err(error) = down.args(self.kind).arg("down").env("TESTBED_STATE", &self.state).status() {
            eprintln!("the testbed in {} is left behind: {error}", self.state.display());
        }
    }
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command, input: Option<&str>) -> std::io::Result<Output> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).await?;
    }
    child.wait_with_output().await
}

/// What a command wrote to stdout; its stderr when it failed.
pub(crate) async fn said(
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
