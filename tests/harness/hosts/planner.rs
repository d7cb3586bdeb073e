//! The planner as a process, and what it says over its API.
use super::http::{Answer, get, post};
use crate::until;
use crate::{hand_over::Files, place::foremesh_binary};
use foremesh_demo::{Child, ChildSpec};
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf, process::ExitStatus, time::Duration};

const START_WITHIN: Duration = Duration::from_secs(20);
const END_WITHIN: Duration = Duration::from_secs(25);

/// A planner that runs, or ran.
#[derive(Debug)]
pub struct Planner {
    files: Files,
    server: SocketAddr,
    process: Option<Child>,
    starts: u32,
}

impl Planner {
    /// A planner that is not started yet.
    pub fn new(files: Files, server: SocketAddr) -> Self {
        Self { files, server, process: None, starts: 0 }
    }

    /// Starts it on its state directory and waits until it answers.
    pub async fn start(&mut self) {
        self.starts += 1;
        let log = self.log();
        let arguments = ["serve".into(), "--config".into(), self.files.settings.clone().into_os_string()];
        let mut child = Child::start(ChildSpec {
            name: "planner".to_owned(),
            program: foremesh_binary(),
            arguments: arguments.into(),
            log: log.clone(),
        })
        .await
        .expect("the planner can be started");
        until("the planner to answer", START_WITHIN, async || {
            let text = || std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(status) = child.ended() {
                panic!("the planner ended with {status}:\n{}", text());
            }
            get(self.server, "/healthz").await.map_err(|error| format!("{error}; its log:\n{}", text()))
        })
        .await;
        self.process = Some(child);
    }

    /// SIGKILL: it has no chance to do anything.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("the planner runs");
        process.kill().await.expect("the planner can be killed");
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the planner runs");
        process.stop(END_WITHIN).await.expect("the planner can be stopped")
    }

    /// Where it listens.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The log of the newest start.
    pub fn log(&self) -> PathBuf {
        self.files.settings.with_file_name(format!("planner-{}.log", self.starts))
    }

    /// Asks once.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        get(self.server, path).await
    }

    /// What a path answers with 200.
    pub async fn json(&self, path: &str) -> Result<Value, String> {
        let answer = self.get(path).await?;
        if answer.status == 200 { Ok(answer.json()) } else { Err(format!("{path}: {}", answer.body)) }
    }

    /// Sends a request without a body.
    pub async fn post(&self, path: &str) -> Result<Answer, String> {
        post(self.server, path, None).await
    }

    /// Every relocation, newest first.
    pub async fn relocations(&self) -> Result<Vec<Value>, String> {
        let answer = self.json("/api/v1/relocations").await?;
        Ok(answer["relocations"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until the first relocation is in a state, and gives it.
    pub async fn reaches(&self, state: &str, deadline: Duration) -> Value {
        until(&format!("the relocation to be {state}"), deadline, async || {
            let all = self.relocations().await?;
            let Some(first) = followed(&all) else { return Err(self.why_nothing().await) };
            if first["state"] == state { Ok(first.clone()) } else { Err(format!("it is {first:#}")) }
        })
        .await
    }

    /// Waits until this relocation is over, and gives it.
    pub async fn ends_of(&self, id: &str, deadline: Duration) -> Value {
        until(&format!("relocation {id} to be over"), deadline, async || {
            let one = self.json(&format!("/api/v1/relocations/{id}")).await?;
            if one["over"] == true { Ok(one) } else { Err(format!("it is {one:#}")) }
        })
        .await
    }

    /// Waits until the first relocation is over, and gives it.
    pub async fn ends(&self, deadline: Duration) -> Value {
        until("the relocation to be over", deadline, async || {
            let all = self.relocations().await?;
            let Some(first) = followed(&all) else { return Err(self.why_nothing().await) };
            if first["over"] == true { Ok(first.clone()) } else { Err(format!("it is {first:#}")) }
        })
        .await
    }

    /// What the last pass says, for a test that waits for a move.
    async fn why_nothing(&self) -> String {
        match self.get("/api/v1/decisions/last").await {
            Ok(answer) => format!("nothing moves: {}", answer.body),
            Err(error) => error,
        }
    }

    /// The whole audit trail, oldest first.
    pub async fn audit(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut before = i64::MAX;
        loop {
            let path = format!("/api/v1/decisions?limit=1000&before={before}");
            let page = self.json(&path).await.expect("the audit trail can be read");
            let entries = page["entries"].as_array().cloned().unwrap_or_default();
            let Some(oldest) = entries.last().and_then(|entry| entry["entry"].as_i64()) else { break };
            before = oldest;
            all.extend(entries);
        }
        all.reverse();
        all
    }
}

/// Of relocations, the newest first, the oldest of which anything was done, else the newest: where a machine is so busy that
/// what is measured leaves a plan in doubt, it is called off before its turn comes, and made anew.
fn followed(all: &[Value]) -> Option<&Value> {
    let called_off = |one: &&Value| {
        let changes = one["history"].as_array().map_or(&[][..], |changes| changes);
        one["state"] == "Aborted" && changes.len() == 1 && changes[0]["from"] == "Pending"
    };
    all.iter().rev().find(|one| !called_off(one)).or(all.first())
}
