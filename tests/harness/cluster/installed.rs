//! A planner that is installed in a testbed, by the commands of the documentation.
use super::Cluster;
use crate::{
    place::{foremesh_binary, root},
    until,
};
use serde_json::Value;
use std::{path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const SOON: Duration = Duration::from_secs(60);
/// A debug build has to be packed, and given to every node.
pub(crate) const PACKED_WITHIN: Duration = Duration::from_secs(180);
/// A command of the documentation.
const DONE_WITHIN: Duration = Duration::from_secs(240);

/// The planner in its own namespace, `foremesh`, reached as an administrator does; dropping it ends what it has started on
/// this side, not the planner.
#[derive(Debug)]
pub struct Installed {
    cluster: &'static Cluster,
    directory: TempDir,
    beside: Vec<(String, Child)>,
}

impl Installed {
    /// Packs the image, gives it to a node, and makes a folder with settings and policies for the commands.
    ///
    /// # Panics
    /// When the image cannot be made or loaded.
    pub async fn prepare(cluster: &'static Cluster, node: &str, settings: &str, policy: &str) -> Self {
        let directory = TempDir::new().expect("a directory can be made");
        std::fs::write(directory.path().join("settings.yaml"), settings).expect("a file can be written");
        std::fs::create_dir(directory.path().join("policies")).expect("a folder can be made");
        std::fs::write(directory.path().join("policies/policy.yaml"), policy).expect("a file can be written");
        load_planner(cluster, directory.path(), node).await;
        Self { cluster, directory, beside: Vec::new() }
    }

    /// Carries out the commands below a heading of `docs/kubernetes.md`, with the settings of this test. One that ends with
    /// `&` goes on.
    ///
    /// # Panics
    /// When one fails, with what it said.
    pub async fn follow(&mut self, heading: &str) {
        for line in documented(heading) {
            println!("$ {line}");
            if let Some(line) = line.strip_suffix('&') {
                self.begin(line.trim()).await;
                continue;
            }
            println!("{}", self.run(&line).await.unwrap_or_else(|error| panic!("{error}")));
        }
    }

    async fn begin(&mut self, line: &str) {
        let mut command = self.shell(line);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.beside.push((line.to_owned(), command.spawn().expect("scripts/testbed can be started")));
        until("the planner to be reached", SOON, async || self.get("/api/v1/services").await).await;
    }

    /// Begins anew what goes on beside: a port-forward ends with its pod.
    ///
    /// # Panics
    /// When the planner is not reached then.
    pub async fn reconnect(&mut self) {
        for (line, mut child) in std::mem::take(&mut self.beside) {
            child.kill().await.expect("it can be ended");
            self.begin(&line).await;
        }
    }

    /// Runs a line of shell with `foremesh` and `kubectl`.
    pub async fn run(&self, line: &str) -> Result<String, String> {
        super::said(line, DONE_WITHIN, super::run(self.shell(line), None)).await
    }

    fn shell(&self, line: &str) -> Command {
        // Forecasts and gates of a test are about seconds.
        let prelude = "foremesh() { case \"$1 $2\" in \
                         'install planner') set -- \"$@\" --settings settings.yaml;; \
                         'install sidecars') set -- \"$@\" --interval 1s;; \
                       esac; \"$FOREMESH\" \"$@\"; }; set -eo pipefail; ";
        let mut command = self.cluster.script(&["exec", "bash", "-c", &format!("{prelude}{line}")]);
        command.env("FOREMESH", foremesh_binary()).current_dir(self.directory.path());
        command
    }

    /// What its API answers, by port-forward.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:8700{path}");
        let text = self.cluster.exec(&["curl", "--silent", "--show-error", "--fail-with-body", &url]).await?;
        serde_json::from_str(&text).map_err(|error| format!("{url} gave no JSON ({error}): {text}"))
    }

    /// What the API server has logged of what the planner asked.
    pub fn asked(&self) -> Vec<Value> {
        let file = self.cluster.state().join("logs/audit.log");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut logs = std::process::Command::new(root().join("scripts/testbed"));
            logs.env("TESTBED_STATE", self.cluster.state());
            logs.args([
                "exec",
                "bash",
                "-c",
                "kubectl -n foremesh get all -o wide; kubectl -n foremesh get events; \
                kubectl -n foremesh logs deployment/foremesh -c planner --tail=200",
            ]);
            let said = logs.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            eprintln!("== planner\n{}", said.unwrap_or_else(|error| error.to_string()));
        }
    }
}

/// Packs the planner's image in a folder, under its usual name, and gives it to a node.
///
/// # Panics
/// When the image cannot be made or loaded.
pub async fn load_planner(cluster: &Cluster, folder: &Path, node: &str) {
    let archive = pack(folder, None).await;
    // As `scripts/testbed load` does for all nodes: a debug build is large, and the planner runs on this one.
    let socket = format!("/run/{node}/containerd.sock");
    let import = ["ctr", "-a", &socket, "-n", "k8s.io", "images", "import", &archive];
    cluster.exec_with(&import, None, PACKED_WITHIN).await.unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_file(&archive).expect("the archive can be removed");
}

/// Packs the planner that `cargo build` made as an image, under its usual name or another; gives the archive.
///
/// # Panics
/// When it cannot be packed.
pub(crate) async fn pack(folder: &Path, name: Option<&str>) -> String {
    let archive = folder.join("image.tar").display().to_string();
    let mut pack = Command::new(root().join("scripts/image"));
    pack.arg("--binary").arg(foremesh_binary()).args(["--out", &archive]).kill_on_drop(true);
    if let Some(name) = name {
        pack.args(["--name", name]);
    }
    let packed = super::said("scripts/image", PACKED_WITHIN, super::run(pack, None)).await;
    packed.unwrap_or_else(|error| panic!("{error}"));
    archive
}

/// The commands of the first block of shell below a heading of `docs/kubernetes.md`, without their comments.
fn documented(heading: &str) -> Vec<String> {
    let file = root().join("docs/kubernetes.md");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let below =
        text.split_once(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`")).1;
    let block = below.split_once("```sh\n").and_then(|(_, block)| block.split_once("```"));
    let lines = block.unwrap_or_else(|| panic!("no commands below `{heading}`")).0.lines();
    let commands: Vec<String> = lines
        .map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert!(!commands.is_empty(), "no commands below `{heading}`");
    commands
}
