//! What the demo learns from its planner, over the same HTTP API that everybody uses.
use crate::client::request;
use anyhow::Context as _;
use foremesh_demo::Child;
use hyper::Method;
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};

const POLL: Duration = Duration::from_millis(50);

/// A planner that is watched.
#[derive(Debug)]
pub(super) struct Planner {
    server: String,
    service: String,
}

/// What the planner says at one moment; parts that it does not answer are missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// The service as `/api/v1/services/{id}` shows it.
    pub(super) service: Option<Value>,
    /// Relocations, newest first.
    pub(super) relocations: Vec<Value>,
}

impl Planner {
    pub(super) fn new(address: SocketAddr, service: &str) -> Self {
        Self { server: format!("http://{address}"), service: service.to_owned() }
    }

    /// Waits until the planner's process answers.
    pub(super) async fn wait_until_alive(&self, process: &mut Child, within: Duration) -> anyhow::Result<()> {
        let started = tokio::time::Instant::now();
        loop {
            if request(&self.server, Method::GET, "/api/v1/relocations").await.is_ok() {
                return Ok(());
            }
            must_run(process)?;
            if started.elapsed() > within {
                anyhow::bail!("the planner did not answer within {within:?}; its log:\n{}", log(process));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Looks once.
    pub(super) async fn look(&self) -> Sight {
        let one = format!("/api/v1/services/{}", self.service);
        let (service, relocations) = tokio::join!(
            request(&self.server, Method::GET, &one),
            request(&self.server, Method::GET, "/api/v1/relocations")
        );
        let relocations = relocations
            .context("no relocations")
            .ok()
            .and_then(|answer| answer.get("relocations").and_then(Value::as_array).cloned())
            .unwrap_or_default();
        Sight { service: service.ok(), relocations }
    }
}

/// Fails when the planner's process has ended by itself.
pub(super) fn must_run(process: &mut Child) -> anyhow::Result<()> {
    match process.ended() {
        None => Ok(()),
        Some(status) => anyhow::bail!("the planner ended with {status}; its log:\n{}", log(process)),
    }
}

fn log(process: &Child) -> String {
    std::fs::read_to_string(process.log()).unwrap_or_default()
}

impl Sight {
    /// A number of the service, by JSON pointer.
    pub(super) fn number(&self, pointer: &str) -> Option<f64> {
        self.service.as_ref()?.pointer(pointer)?.as_f64()
    }

    /// A text of the service, by JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.service.as_ref()?.pointer(pointer)?.as_str()
    }
}
