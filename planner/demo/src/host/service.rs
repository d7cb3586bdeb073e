//! Services of a host: real HTTP/1.1 listeners whose answers wait for the virtual CPU.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::cpu::Cpu;
use crate::demand::Demand;

/// How long a stopping service may finish its requests; then its connections are closed.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What a service is started with.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct ServiceSettings {
    /// Port on loopback.
    pub port: u16,
    /// Mean CPU time of one request, in core-milliseconds.
    pub demand_ms: f64,
    /// Standard deviation of that time over its mean (log-normal); 0 or less means exponential.
    #[serde(default = "default_variation")]
    pub variation: f64,
    /// Time from the start command to the first accepted connection, in milliseconds.
    #[serde(default)]
    pub startup_ms: u64,
}

/// A moderate spread: requests of one kind that differ by about half of their mean.
const fn default_variation() -> f64 {
    0.5
}

impl ServiceSettings {
    fn demand(&self) -> Demand {
        let mean = self.demand_ms / 1e3;
        if self.variation > 0.0 {
            Demand::log_normal(mean, self.variation)
        } else {
            Demand::exponential(mean)
        }
    }
}

/// Where a service is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    /// It cannot listen; the text says why.
    Failed(String),
    Stopped,
}

/// Switches that make a service misbehave on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Deserialize)]
pub(super) struct Fault {
    /// Added to every answer, in milliseconds.
    #[serde(default)]
    pub(super) extra_ms: u64,
    /// Share of requests that get status 500, 0 to 1.
    #[serde(default)]
    pub(super) error_share: f64,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("service `{name}` runs on port {port} of host `{host}` with other settings: stop it first")]
    OtherSettings { host: String, name: String, port: u16 },
    #[error("port {port} of host `{host}` belongs to service `{owner}`: choose another port")]
    PortTaken { host: String, port: u16, owner: String },
    #[error("host `{host}` runs no service `{name}`")]
    Unknown { host: String, name: String },
}

/// All services of one host.
#[derive(Debug)]
pub(super) struct Services {
    host: String,
    cpu: Arc<Cpu>,
    seed: u64,
    entries: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    settings: ServiceSettings,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    stop: watch::Sender<bool>,
}

/// What the tasks of one service share.
#[derive(Debug)]
struct Shared {
    class: usize,
    demand: Demand,
    body: Bytes,
    cpu: Arc<Cpu>,
    changing: Mutex<(StdRng, Fault)>,
    in_flight: AtomicU64,
}

/// One request on its way; counts itself out also when its client left.
struct InFlight<'a>(&'a AtomicU64);

impl<'a> InFlight<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of one service besides its CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) name: String,
    pub(super) class: usize,
    pub(super) in_flight: u64,
}

impl Services {
    pub(super) fn new(host: String, cpu: Arc<Cpu>, seed: u64) -> Self {
        Self { host, cpu, seed, entries: Mutex::new(BTreeMap::new()) }
    }

    /// Starts a service; again with the same settings it does nothing.
    pub(super) fn start(&self, name: &str, settings: ServiceSettings) -> Result<(), Refused> {
        let mut entries = self.lock();
        let host = || self.host.clone();
        if let Some(owner) = entries.iter().find(|(other, entry)| {
            *other != name && entry.settings.port == settings.port && *entry.phase.borrow() != Phase::Stopped
        }) {
            return Err(Refused::PortTaken { host: host(), port: settings.port, owner: owner.0.clone() });
        }
        let class = match entries.get(name) {
            Some(entry) if matches!(*entry.phase.borrow(), Phase::Starting | Phase::Ready) => {
                if *entry.stop.borrow() || entry.settings != settings {
                    let port = entry.settings.port;
                    return Err(Refused::OtherSettings { host: host(), name: name.to_owned(), port });
                }
                return Ok(());
            }
            Some(entry) => entry.shared.class,
            None => entries.len(),
        };
        let body = serde_json::json!({"host": self.host, "service": name}).to_string();
        let random = StdRng::seed_from_u64(self.seed ^ (class as u64) << 32);
        let shared = Arc::new(Shared {
            class,
            demand: settings.demand(),
            body: Bytes::from(body),
            cpu: Arc::clone(&self.cpu),
            changing: Mutex::new((random, Fault::default())),
            in_flight: AtomicU64::new(0),
        });
        let (stop, stopping) = watch::channel(false);
        let (phases, phase) = watch::channel(Phase::Starting);
        tokio::spawn(run(settings, Arc::clone(&shared), stopping, phases));
        entries.insert(name.to_owned(), Entry { settings, shared, phase, stop });
        tracing::info!(service = name, port = settings.port, "service starting");
        Ok(())
    }

    /// Stops a service and waits until its last request is answered; a service that does not run is stopped.
    pub(super) async fn stop(&self, name: &str) {
        let Some(mut phase) = self.lock().get(name).map(|entry| {
            entry.stop.send_replace(true);
            entry.phase.clone()
        }) else {
            return;
        };
        // An error means that the task is gone, which is what is waited for.
        drop(phase.wait_for(|phase| matches!(phase, Phase::Stopped | Phase::Failed(_))).await);
    }

    pub(super) async fn stop_all(&self) {
        let names: Vec<String> = self.lock().keys().cloned().collect();
        futures::future::join_all(names.iter().map(|name| self.stop(name))).await;
    }

    /// Where a service is in its life; `Stopped` when it was never started.
    pub(super) fn phase(&self, name: &str) -> Phase {
        self.lock().get(name).map_or(Phase::Stopped, |entry| entry.phase.borrow().clone())
    }

    pub(super) fn set_fault(&self, name: &str, fault: Fault) -> Result<(), Refused> {
        let entries = self.lock();
        let unknown = || Refused::Unknown { host: self.host.clone(), name: name.to_owned() };
        entries.get(name).ok_or_else(unknown)?.shared.lock().1 = fault;
        Ok(())
    }

    /// All services that were ever started.
    pub(super) fn list(&self) -> Vec<Status> {
        let status = |(name, entry): (&String, &Entry)| Status {
            name: name.clone(),
            class: entry.shared.class,
            in_flight: entry.shared.in_flight.load(Ordering::Relaxed),
        };
        self.lock().iter().map(status).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (StdRng, Fault)> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self) -> Response<Full<Bytes>> {
        let _in_flight = InFlight::new(&self.in_flight);
        let (demand, fault, fails) = {
            let (random, fault) = &mut *self.lock();
            (self.demand.draw(random), *fault, random.random::<f64>() < fault.error_share)
        };
        self.cpu.use_core_seconds(self.class, demand).await;
        if fault.extra_ms > 0 {
            tokio::time::sleep(Duration::from_millis(fault.extra_ms)).await;
        }
        let mut response = Response::new(Full::new(self.body.clone()));
        if fails {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        response
            .headers_mut()
            .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
        response
    }
}

/// The life of one service, from its start to its last answer.
async fn run(
    settings: ServiceSettings,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    phase: watch::Sender<Phase>,
) {
    let started = tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(settings.startup_ms)) => true,
        () = stopped(&mut stop) => false,
    };
    if started {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
        match TcpListener::bind(address).await {
            Ok(listener) => {
                phase.send_replace(Phase::Ready);
                accept(listener, &shared, &mut stop).await;
            }
            Err(error) => {
                phase.send_replace(Phase::Failed(format!("cannot listen on {address}: {error}")));
                return;
            }
        }
    }
    phase.send_replace(Phase::Stopped);
}

/// Waits for the stop; a service whose host is gone stops as well.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>, stop: &mut watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopped(stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(shared), stop.clone()));
            }
            Err(error) => tracing::warn!(%error, "connection not accepted"),
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
        tracing::warn!("requests were cut off when the service stopped");
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    // Without it, small answers wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(shared.answer().await) });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
