//! A planner that runs in a testbed, as a process on files of its test.
use crate::{hand_over::Files, place::foremesh_binary, testbed::Testbed, until};
use serde_json::Value;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::process::Child;

/// From its start to its first answer: the first look at what runs there is part of it.
const SOON: Duration = Duration::from_secs(60);
const JSON: &str = "content-type: application/json";

/// A planner that runs, or ran; dropping it ends it.
#[derive(Debug)]
pub struct Served {
    testbed: &'static Testbed,
    files: Files,
    server: String,
    child: Option<Child>,
}

impl Served {
    /// A planner that is not started yet, and is asked at this URL.
    pub fn new(testbed: &'static Testbed, files: Files, server: String) -> Self {
        Self { testbed, files, server, child: None }
    }

    /// Starts it on its files, and waits until it has decided.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub async fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log());
        let mut command = self.testbed.script(&["exec", &binary(), "serve", "--config"]);
        command.arg(&self.files.settings).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.expect("a log can be made"));
        let mut child = command.spawn().expect("scripts/testbed can be started");
        until("the planner to have decided", SOON, async || {
            assert!(matches!(child.try_wait(), Ok(None)), "the planner has ended; its log has the reason");
            self.get("/api/v1/services").await
        })
        .await;
        self.child = Some(child);
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

    /// What its API answers.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        self.asked(path, &[]).await
    }

    /// Sends JSON to its API; the error is the problem that it answers with.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.asked(path, &["--header", JSON, "--data", &body.to_string()]).await
    }

    async fn asked(&self, path: &str, more: &[&str]) -> Result<Value, String> {
        let url = format!("{}{path}", self.server);
        let curl = ["curl", "--silent", "--show-error", "--fail-with-body"];
        let text = self.testbed.exec(&[&curl[..], more, &[&url]].concat()).await?;
        serde_json::from_str(&text).map_err(|error| format!("{url} gave no JSON ({error}): {text}"))
    }

    /// Runs a command of the binary that asks it.
    pub async fn command(&self, argv: &[&str]) -> Result<String, String> {
        self.testbed.exec(&[&[binary().as_str()], argv, &["--server", &self.server]].concat()).await
    }

    fn log(&self) -> PathBuf {
        self.files.settings.with_file_name("log")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let from = log.len().saturating_sub(20_000);
            eprintln!("== planner\n{}", log.get(from..).unwrap_or(&log));
        }
    }
}

fn binary() -> String {
    foremesh_binary().display().to_string()
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
