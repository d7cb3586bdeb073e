//! A real Docker Swarm, from `scripts/testbed swarm`.
//!
//! [`Swarm`] is one testbed in a folder of its own; it goes down with the process that started it, however that ends.
use crate::{
    cluster::{PACKED_WITHIN, pack},
    testbed::{COMMAND_WITHIN, Node, Testbed, run, said},
    until,
};
use serde_json::Value;
use std::{ops::Deref, path::Path, process::Stdio, time::Duration};
use tokio::{process::Child, sync::OnceCell};

/// Nodes of the shared testbed, with their zones and quotas in millicores.
pub const NODES: [Node; 3] =
    [("node-1", "zone-a", None), ("node-2", "zone-b", Some(500)), ("node-3", "zone-a", Some(800))];

/// The last answers of what ends, and its network.
const GONE_WITHIN: Duration = Duration::from_secs(90);

static SHARED: OnceCell<Swarm> = OnceCell::const_new();

/// A Swarm that is up, or the folder of one.
#[derive(Debug)]
pub struct Swarm(Testbed);

impl Swarm {
    /// The Swarm of this test process, with [`NODES`]; the first call starts it.
    ///
    /// # Panics
    /// When it does not come up, with what the script said.
    pub async fn shared() -> &'static Self {
        SHARED
            .get_or_init(|| async {
                let swarm = Self::at("test");
                swarm.up_anew(&NODES).await;
                swarm
            })
            .await
    }

    /// The folder of a testbed in `build/swarm`, or where `FOREMESH_TESTBEDS` says; nothing is started.
    pub fn at(name: &str) -> Self {
        Self(Testbed::at(&["swarm"], "swarm", name))
    }

    /// Asks the manager with `docker`.
    pub async fn docker(&self, argv: &[&str]) -> Result<String, String> {
        self.exec(&[&["docker"], argv].concat()).await
    }

    /// What `docker` gives as JSON.
    pub async fn inspect(&self, argv: &[&str]) -> Result<Value, String> {
        let text = self.docker(argv).await?;
        serde_json::from_str(&text).map_err(|error| format!("docker gave no JSON ({error}): {text}"))
    }

    /// Packs the planner that `cargo build` made as an image of this name, in a folder, and gives it to the manager.
    ///
    /// # Panics
    /// When the image cannot be made or loaded.
    pub async fn load_planner(&self, folder: &Path, name: &str) {
        let archive = pack(folder, Some(name)).await;
        let load = ["on", "node-1", "docker", "load", "--input", &archive];
        self.within(&load, PACKED_WITHIN).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Runs a command on a node.
    pub async fn on(&self, node: &str, argv: &[&str]) -> Result<String, String> {
        self.command(&[&["on", node], argv].concat()).await
    }

    /// Ends a node at once.
    pub async fn kill(&self, node: &str) -> Result<String, String> {
        self.command(&["kill", node]).await
    }

    /// Boots a node that was killed.
    pub async fn start(&self, node: &str) -> Result<String, String> {
        self.command(&["start", node]).await
    }

    /// Deploys a stack with settings in the environment, and waits for nothing.
    pub async fn deploy(
        &self,
        stack: &str,
        file: &Path,
        environment: &[(&str, &str)],
    ) -> Result<String, String> {
        let file = file.display().to_string();
        let deploy =
            ["exec", "docker", "stack", "deploy", "--resolve-image", "never", "--compose-file", &file];
        let mut command = self.script(&[&deploy[..], &[stack]].concat());
        command.envs(environment.iter().copied());
        said("docker stack deploy", COMMAND_WITHIN, run(command, None)).await
    }

    /// Removes stacks, and waits until nothing that runs or connects is left of them: what is deployed under the same names
    /// before that is refused.
    ///
    /// # Panics
    /// When they are not gone in time.
    pub async fn remove_stacks(&self, stacks: &[&str]) {
        until("all services to be gone", GONE_WITHIN, async || {
            // Of a stack that is just going, one part or another may be refused.
            for stack in stacks {
                self.docker(&["stack", "rm", stack]).await?;
            }
            let mut left = self.docker(&["service", "ls", "--quiet"]).await?;
            for (name, _, _) in NODES {
                left += &self.on(name, &["docker", "ps", "--quiet"]).await?;
            }
            left += &self.docker(&["network", "ls", "--quiet", "--filter", "name=foremesh"]).await?;
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }

    /// Tasks that a service has now: the newest of each slot, with node and state.
    pub async fn tasks(&self, service: &str) -> Result<Vec<Task>, String> {
        let format = "{{.Name}} {{.Node}} {{.CurrentState}}";
        let wanted = ["service", "ps", "--filter", "desired-state=running", "--format", format, service];
        let text = self.docker(&wanted).await?;
        let task = |line: &str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            Task { name: word(), node: word(), state: word() }
        };
        Ok(text.lines().map(task).collect())
    }

    /// Where the only task of a service runs; an error says what is there instead.
    pub async fn home(&self, service: &str) -> Result<String, String> {
        let tasks = self.tasks(service).await?;
        match tasks.as_slice() {
            [task] if task.state == "Running" => Ok(task.node.clone()),
            _ => Err(format!("the tasks of {service} are {tasks:?}")),
        }
    }

    /// Begins to tell somebody what is used, once a second; ends when it is dropped. With `-` for URL it tells its stdout.
    ///
    /// # Panics
    /// When the script cannot be run.
    pub fn meter(&self, url: &str) -> Child {
        let mut command = self.script(&["meter", url, "1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().expect("scripts/testbed can be started")
    }

    /// Runs `workload load URL OPTION…` beside the nodes, to its end; gives its result.
    pub async fn load(&self, url: &str, options: &[&str], within: Duration) -> Result<Value, String> {
        let mut command = self.script(&["exec", "workload", "load", url]);
        command.args(options);
        let text = said("workload load", within, run(command, None)).await?;
        serde_json::from_str(&text).map_err(|error| format!("the load gave no JSON ({error}): {text}"))
    }

    /// Runs a command of the script.
    pub async fn within(&self, argv: &[&str], within: Duration) -> Result<String, String> {
        said(&format!("scripts/testbed swarm {}", argv.join(" ")), within, run(self.script(argv), None)).await
    }

    async fn command(&self, argv: &[&str]) -> Result<String, String> {
        self.within(argv, COMMAND_WITHIN).await
    }
}

impl Deref for Swarm {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        &self.0
    }
}

/// A task as `docker service ps` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// `web.1`.
    pub name: String,
    /// Host name of its node.
    pub node: String,
    /// `Running`, `Starting`, …
    pub state: String,
}
