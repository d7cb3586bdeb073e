//! The life of the service: start-up, serving, and an end in which no request is lost.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use axum::serve::ListenerExt;
use foremesh_demo::Demand;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::answer::{Service, answer};
use crate::distance::Distance;
use crate::failure::Failure;
use crate::faults::{Switches, crash_after, router};

/// Settings of the service; each may come from the environment, as those of pods do.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeArgs {
    /// Port for requests; `/ready` is on it too.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Port for `/ready`, `/counts`, `PUT /faults?error_share=&extra_ms=&unready=` and `POST /crash?after_ms=`.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8081)]
    pub(crate) admin_port: u16,
    /// Name in the answers.
    #[arg(long, env = "SERVICE", default_value = "workload")]
    pub(crate) service: String,
    /// Name of this replica in the answers.
    #[arg(long, env = "HOSTNAME", default_value = "")]
    pub(crate) instance: String,
    /// Version in the answers.
    #[arg(long, env = "VERSION", default_value = "")]
    pub(crate) version: String,
    /// Node in the answers.
    #[arg(long, env = "NODE", default_value = "")]
    pub(crate) node: String,
    /// Zone of this replica: in the answers, told to the services that it calls, and an end of each distance.
    #[arg(long, env = "ZONE", default_value = "")]
    pub(crate) zone: String,
    /// Mean CPU time of a request, in milliseconds; it is burnt.
    #[arg(long, env = "CPU_MS", default_value_t = 0.0)]
    pub(crate) cpu_ms: f64,
    /// Standard deviation of that time over its mean (log-normal); 0 means exponential.
    #[arg(long, env = "CPU_VARIATION", default_value_t = 0.5)]
    pub(crate) cpu_variation: f64,
    /// Requests that burn CPU at the same time; more wait for their turn.
    #[arg(long, env = "THREADS", default_value_t = 64)]
    pub(crate) threads: usize,
    /// URLs that every request calls, one after the other, separated by commas; one that fails makes the answer a 502.
    #[arg(long, env = "CALLS", value_delimiter = ',')]
    pub(crate) calls: Vec<Uri>,
    /// How long a call may take, in milliseconds.
    #[arg(long, env = "CALL_TIMEOUT_MS", default_value_t = 5_000)]
    pub(crate) call_timeout_ms: u64,
    /// What a request of a caller in another zone takes longer, in milliseconds, such as `zone-a/zone-b=4,zone-a/zone-c=9`.
    #[arg(long, env = "DISTANCES", value_delimiter = ',')]
    pub(crate) distances: Vec<Distance>,
    /// From the start to the first accepted connection, in milliseconds.
    #[arg(long, env = "STARTUP_MS", default_value_t = 0)]
    pub(crate) startup_ms: u64,
    /// From SIGTERM on it says that it is not ready, and serves on for so long, in milliseconds; then it ends when the last
    /// request is answered.
    #[arg(long, env = "DRAIN_MS", default_value_t = 2_000)]
    pub(crate) drain_ms: u64,
    /// Crashes so many seconds after it has become ready.
    #[arg(long, env = "CRASH_AFTER_READY_S")]
    pub(crate) crash_after_ready_s: Option<f64>,
    /// Seed of demands and errors.
    #[arg(long, env = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Serves until it is told to end and drained.
pub(crate) async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let switches = Switches::new();
    // Before anything listens: whoever is told to end while it starts ends at once.
    let mut told = Box::pin(terminated());
    let admin = listen(args.admin_port).await?;
    tokio::spawn(axum::serve(admin, router(Arc::clone(&switches))).into_future());
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(args.startup_ms)) => {}
        told = &mut told => return told,
    }
    let listener = listen(args.port).await?;
    let crash = args.crash_after_ready_s.and_then(|after| Duration::try_from_secs_f64(after).ok());
    let drain = Duration::from_millis(args.drain_ms);
    let routes = routes(args, Arc::clone(&switches));
    switches.ready.store(true, Ordering::Release);
    tracing::info!("ready");
    if let Some(after) = crash {
        crash_after(after);
    }
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async {
        // An error means that the drain is over as well.
        drop(ended.await);
    });
    let server = tokio::spawn(server.into_future());
    told.await?;
    switches.ready.store(false, Ordering::Release);
    let began = Instant::now();
    tokio::time::sleep(drain).await;
    drop(end);
    let result = server.await;
    tracing::info!(drained_ms = began.elapsed().as_millis() as u64, "ended");
    result
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|source| Failure::Serve { source })
}

fn routes(args: ServeArgs, switches: Arc<Switches>) -> Router {
    let mean = args.cpu_ms / 1e3;
    let demand = if args.cpu_variation > 0.0 {
        Demand::log_normal(mean, args.cpu_variation)
    } else {
        Demand::exponential(mean)
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let service = Service {
        name: args.service,
        instance: args.instance,
        version: args.version,
        node: args.node,
        zone: args.zone,
        demand,
        distances: args.distances,
        calls: args.calls,
        call_timeout: Duration::from_millis(args.call_timeout_ms),
        client: Client::builder(TokioExecutor::new()).build(connector),
        random: Mutex::new(StdRng::seed_from_u64(args.seed)),
        switches: Arc::clone(&switches),
    };
    Router::new()
        .route("/ready", get(async move || switches.readiness()))
        .fallback(answer)
        .with_state(Arc::new(service))
}

async fn listen(port: u16) -> Result<impl axum::serve::Listener<Addr = SocketAddr>, Failure> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })?;
    // Without it, small answers wait for the acknowledgement of the one before.
    Ok(listener.tap_io(|stream| drop(stream.set_nodelay(true))))
}

/// Waits for SIGTERM.
pub(crate) async fn terminated() -> Result<(), Failure> {
    let mut term = signal(SignalKind::terminate()).map_err(|source| Failure::Signal { source })?;
    term.recv().await;
    Ok(())
}
