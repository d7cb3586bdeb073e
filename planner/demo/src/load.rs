//! Open-loop load on one address: requests are due at times that do not depend on the answers.
//!
//! Latency counts from the time at which a request was *due*, so a server that stalls is seen with the whole stall
//! in every request that fell into it (no coordinated omission). Timers have a resolution of 1 ms; what a request is
//! sent late is part of its latency.

mod arrivals;
mod pool;
mod window;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::http;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

pub use arrivals::Arrivals;
pub use window::{Failure, LoadReport, Totals, Window};

use crate::clock;
use crate::profile::Profile;
pub(crate) use arrivals::ArrivalTimes;
use pool::Target;
use window::Recorder;

/// What to send, where and when.
#[derive(Debug, Clone)]
pub struct LoadSpec {
    /// Where to connect.
    pub address: SocketAddr,
    /// Value of the `host` header.
    pub host: String,
    /// Path of every request.
    pub path: String,
    /// Requests per second over the day.
    pub rate: Profile,
    /// How the requests lie between each other.
    pub arrivals: Arrivals,
    /// Seed of the arrival times: the same seed and times give the same requests.
    pub seed: u64,
    /// Start of the first day, in milliseconds since the Unix epoch.
    pub day_start_unix_ms: u64,
    /// When the first request may be due, from the start of the first day. Requests that are due in the past when the load
    /// starts are left out, so that a late start makes no burst.
    pub from: Duration,
    /// When the load ends, from the start of the first day; `None` runs until [`LoadHandle::stop`].
    pub until: Option<Duration>,
    /// How many requests are sent before the load ends; `None` bounds it by time only.
    pub requests: Option<u64>,
    /// Most connections at a time; a request that finds all of them busy waits, and its latency counts on.
    pub connections: usize,
    /// How long after it was due a request may take; then it has failed.
    pub request_timeout: Duration,
    /// How long the end waits for answers that are missing.
    pub drain: Duration,
}

impl LoadSpec {
    /// A constant rate with even spacing that starts now and runs until it is stopped.
    pub fn constant(address: SocketAddr, requests_per_second: f64) -> Self {
        Self {
            address,
            host: "shop".to_owned(),
            path: "/".to_owned(),
            rate: Profile::constant(requests_per_second),
            arrivals: Arrivals::Even,
            seed: 1,
            day_start_unix_ms: clock::unix_ms(),
            from: Duration::ZERO,
            until: None,
            requests: None,
            connections: 512,
            request_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Why a load does not run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No request would ever be due.
    #[error("the rate of the load on {address} is never above zero: set a base or a peak above it")]
    NoRate {
        /// Where the load should go.
        address: SocketAddr,
    },
    /// No request could ever be sent.
    #[error("the load on {address} has no connections: allow at least 1")]
    NoConnections {
        /// Where the load should go.
        address: SocketAddr,
    },
    /// Host or path cannot be sent.
    #[error("host `{host}` and path `{path}` make no valid request")]
    Request {
        /// Value of the `host` header.
        host: String,
        /// Path of the request.
        path: String,
        /// What is wrong.
        #[source]
        source: http::Error,
    },
    /// Latencies cannot be counted.
    #[error("no histogram for the latencies of the load")]
    Histogram {
        /// Why.
        #[source]
        source: hdrhistogram::CreationError,
    },
    /// The load ended without a report.
    #[error("the load stopped without a report")]
    Lost {
        /// Why.
        #[source]
        source: tokio::task::JoinError,
    },
}

/// A running load; dropping it stops it.
#[derive(Debug)]
pub struct LoadHandle {
    /// One window per second while the load runs, then the part of a second that is left; then it ends.
    pub windows: mpsc::UnboundedReceiver<Window>,
    stop: watch::Sender<bool>,
    task: JoinHandle<LoadReport>,
}

impl LoadHandle {
    /// Sends no more requests; those on their way are waited for.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end, which comes with `until` or with [`Self::stop`], and for the answers that are missing.
    pub async fn finish(self) -> Result<LoadReport, LoadError> {
        self.task.await.map_err(|source| LoadError::Lost { source })
    }
}

/// Starts a load on the current runtime.
pub fn start_load(spec: LoadSpec) -> Result<LoadHandle, LoadError> {
    if spec.rate.maximum() <= 0.0 {
        return Err(LoadError::NoRate { address: spec.address });
    }
    if spec.connections == 0 {
        return Err(LoadError::NoConnections { address: spec.address });
    }
    let target = Arc::new(Target::new(&spec)?);
    let (windows, received) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(drive(spec, target, stopped, windows));
    Ok(LoadHandle { windows: received, stop, task })
}

async fn drive(
    spec: LoadSpec,
    target: Arc<Target>,
    mut stopped: watch::Receiver<bool>,
    windows: mpsc::UnboundedSender<Window>,
) -> LoadReport {
    let started = Instant::now();
    let started_in_day = clock::seconds_since(spec.day_start_unix_ms);
    let recorder = Arc::clone(target.recorder());
    // Windows lie on whole seconds of the day, so that two loads on the same day can be compared second by second.
    let first_window = started_in_day.max(spec.from.as_secs_f64()).floor();
    let instant_of =
        |second_of_day: f64| started + Duration::from_secs_f64((second_of_day - started_in_day).max(0.0));
    let ticker =
        tokio::spawn(publish(Arc::clone(&recorder), windows, instant_of(first_window + 1.0), first_window));
    let mut requests = JoinSet::new();
    let until = spec.until.map_or(f64::INFINITY, |until| until.as_secs_f64());
    let mut left = spec.requests.unwrap_or(u64::MAX);
    for due in ArrivalTimes::new(spec.rate, spec.arrivals, spec.seed, spec.from.as_secs_f64()) {
        if due >= until || left == 0 || *stopped.borrow() {
            break;
        }
        if due < started_in_day {
            continue;
        }
        let due = instant_of(due);
        tokio::select! {
            () = tokio::time::sleep_until(due) => {},
            // An error means that the handle is gone, which stops the load as well.
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        left -= 1;
        recorder.offered();
        requests.spawn(Arc::clone(&target).send(due));
        while requests.try_join_next().is_some() {}
    }
    let all = async { while requests.join_next().await.is_some() {} };
    let drained = tokio::time::timeout(spec.drain, all).await.is_ok();
    if !drained {
        requests.shutdown().await;
    }
    ticker.abort();
    // Only when the task is gone, nobody else takes a window: the last one is what it left.
    let publisher = ticker.await;
    tracing::debug!(cancelled = publisher.is_err(), drained, "load ended");
    recorder.finish(clock::unix_ms())
}

/// Publishes a window at each full second; the last, partial one is published by the recorder's end.
async fn publish(
    recorder: Arc<Recorder>,
    windows: mpsc::UnboundedSender<Window>,
    first_end: Instant,
    first_second: f64,
) {
    recorder.publish_to(windows, first_second as u64);
    let mut ticks = tokio::time::interval_at(first_end, Duration::from_secs(1));
    loop {
        ticks.tick().await;
        recorder.close_window();
    }
}
