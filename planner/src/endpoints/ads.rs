//! Serves endpoints to Envoys over gRPC: the endpoint part of the discovery protocol, aggregated (ADS) or alone (EDS), as the
//! state of the world or as changes.
//!
//! A stream gets the clusters that it names, now and whenever they change. A cluster that is not known yet is waited for, so an
//! Envoy that starts before its service goes on waiting, and a planner that has just begun takes nothing away from anybody.
mod metrics;
mod session;
mod stream;

pub use metrics::AdsMetrics;

use super::EndpointFiles;
use serde::Deserialize;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tonic::transport::{Server, server::TcpIncoming};

/// Longest message of a proxy: [`session::MAX_NAMES`] names of a hundred bytes.
const MESSAGE_BYTES: usize = 1 << 20;
/// Streams of one connection. An Envoy without ADS has one for each cluster, and opens another connection beyond that.
const STREAMS_OF_CONNECTION: u32 = 1_000;
/// A proxy that does not answer a ping is gone: its stream costs memory, and nothing tells otherwise where a host has died.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// How long connections may take to end after their streams have.
const DRAIN: Duration = Duration::from_secs(5);

/// Where endpoints are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AdsSettings {
    /// Address and port.
    pub listen: SocketAddr,
}

impl AdsSettings {
    /// Listens there; nothing is answered before [`Ads::start`].
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(&self) -> io::Result<TcpListener> {
        TcpListener::bind(self.listen).await
    }
}

/// The running server.
#[derive(Debug)]
pub struct Ads {
    metrics: AdsMetrics,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Ads {
    /// Reads all files, so that everything that was in force is known, then serves it.
    pub async fn start(listener: TcpListener, files: EndpointFiles) -> Self {
        files.load().await;
        let metrics = AdsMetrics::default();
        let (stop, stopped) = watch::channel(false);
        let streams = stream::Streams::new(files, metrics.clone(), stopped.clone());
        let task = tokio::spawn(serve(listener, streams, stopped));
        Self { metrics, stop, task }
    }

    /// What it counts.
    pub fn metrics(&self) -> &AdsMetrics {
        &self.metrics
    }

    /// Ends all streams; Envoys go on with what they have and connect again when somebody listens.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let ended = tokio::time::timeout(DRAIN, self.task).await;
        if ended.is_err() {
            tracing::warn!("some proxies' streams of endpoints did not end in time and were cut off");
        }
    }
}

async fn serve(listener: TcpListener, streams: stream::Streams, mut stopped: watch::Receiver<bool>) {
    let address = listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
    tracing::info!(address, "endpoints are served");
    let (aggregated, endpoints) = streams.services(MESSAGE_BYTES);
    let served = Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PONG_WITHIN))
        .max_concurrent_streams(STREAMS_OF_CONNECTION)
        .add_service(aggregated)
        .add_service(endpoints)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
    if let Err(error) = served.await {
        tracing::error!(
            error = crate::causes::chain(&error),
            "endpoints are no longer served; restart the planner"
        );
    }
}

#[cfg(test)]
mod tests;
