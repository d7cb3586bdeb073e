//! Events of dockerd, as no more than a sign that something may have changed.
//!
//! A manager tells of services and nodes of the whole Swarm, and of the containers of its own node only. What becomes of tasks
//! elsewhere is not told, so whoever waits for that has to look from time to time as well.
use crate::{
    client::{Client, encoded},
    error::SwarmError,
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use serde_json::json;
use std::time::Duration;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Before it is tried again to listen.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long the answer may take that begins the stream.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// Listens, for as long as it is kept.
#[derive(Debug)]
pub struct Events {
    heard: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Events {
    /// Begins to listen, and listens anew whenever the stream ends.
    pub fn listen(client: Client) -> Self {
        let (told, heard) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&client, &told).await {
                    tracing::debug!(%error, "events are not heard for a moment");
                }
                // What happened meanwhile was not heard.
                told.send_modify(|count| *count += 1);
                sleep(AGAIN_AFTER).await;
            }
        });
        Self { heard, task }
    }

    /// Waits for something to happen, but not for longer than this.
    pub async fn next(&mut self, at_most: Duration) {
        let _ = timeout(at_most, self.heard.changed()).await;
    }
}

async fn listen(client: &Client, told: &watch::Sender<u64>) -> Result<(), SwarmError> {
    let filters = json!({
        "type": ["service", "node", "container"],
        "event": ["create", "update", "remove", "start", "die", "health_status", "health_status: healthy"],
    });
    let path = format!("/v{}/events?filters={}", client.version().await?, encoded(&filters.to_string()));
    let began = timeout(BEGINS_WITHIN, client.begin(Method::GET, &path, Bytes::new())).await;
    // One that does not begin in time ends like one that has ended.
    let Ok(answer) = began else { return Ok(()) };
    let mut body = answer?.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| client.broken(&error))?;
        told.send_modify(|count| *count += 1);
    }
    Ok(())
}
