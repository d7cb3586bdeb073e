//! An emulated plain host: a process with a virtual CPU, services on it, and an agent that starts and stops them.
//!
//! No CPU is burned: the requests of all services share a [`crate::queue::ProcessorSharing`] in virtual time, and each
//! answer is sent when its virtual work is done. A noisy neighbour takes a share of the capacity by the time of the day.

mod agent;
mod cpu;
mod ctl;
mod service;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use ctl::{AgentClient, CtlArgs, CtlCommand, CtlError, run_ctl};
pub use service::ServiceSettings;

use crate::profile::{Profile, Shape};
use cpu::Cpu;
use service::Services;

/// Settings of one emulated host.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArgs {
    /// Name of the host.
    #[arg(long)]
    pub name: String,
    /// Port of the agent on loopback; 0 takes a free one.
    #[arg(long)]
    pub agent_port: u16,
    /// CPU of the host, in thousandths of a core.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub capacity_millicores: u32,
    /// Seed of the random service demands.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Start of the first day, in milliseconds since the Unix epoch.
    #[arg(long, default_value_t = 0)]
    pub day_start_unix_ms: u64,
    /// Length of a day, in milliseconds.
    #[arg(long, default_value_t = 86_400_000)]
    pub day_ms: u64,
    /// Share of the capacity that the neighbour takes at its peak, 0 to 0.95.
    #[arg(long, default_value_t = 0.0)]
    pub neighbour_peak: f64,
    /// Share of the capacity that the neighbour takes outside its peak, 0 to 0.95.
    #[arg(long, default_value_t = 0.0)]
    pub neighbour_base: f64,
    /// Middle of the neighbour's peak, as a fraction of the day.
    #[arg(long, default_value_t = 0.5)]
    pub neighbour_centre: f64,
    /// Length of the neighbour's peak, as a fraction of the day.
    #[arg(long, default_value_t = 0.3)]
    pub neighbour_width: f64,
}

/// Largest share that a neighbour may take: with less left, a service would never recover.
const MAX_NEIGHBOUR: f64 = 0.95;

/// How much of the day the neighbour needs to come and to go, as a fraction.
const NEIGHBOUR_RAMP: f64 = 0.02;

impl HostArgs {
    /// A host without a neighbour, with the agent on a free port.
    pub fn new(name: &str, capacity_millicores: u32) -> Self {
        Self {
            name: name.to_owned(),
            agent_port: 0,
            capacity_millicores,
            seed: 1,
            day_start_unix_ms: 0,
            day_ms: 86_400_000,
            neighbour_peak: 0.0,
            neighbour_base: 0.0,
            neighbour_centre: 0.5,
            neighbour_width: 0.3,
        }
    }

    /// The same settings as arguments of a command line.
    pub fn to_argv(&self) -> Vec<String> {
        let pairs = [
            ("--name", self.name.clone()),
            ("--agent-port", self.agent_port.to_string()),
            ("--capacity-millicores", self.capacity_millicores.to_string()),
            ("--seed", self.seed.to_string()),
            ("--day-start-unix-ms", self.day_start_unix_ms.to_string()),
            ("--day-ms", self.day_ms.to_string()),
            ("--neighbour-peak", self.neighbour_peak.to_string()),
            ("--neighbour-base", self.neighbour_base.to_string()),
            ("--neighbour-centre", self.neighbour_centre.to_string()),
            ("--neighbour-width", self.neighbour_width.to_string()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// Share of the capacity that the neighbour takes over the day.
    pub fn neighbour(&self) -> Profile {
        Profile {
            period: Duration::from_millis(self.day_ms),
            base: self.neighbour_base,
            peak: self.neighbour_peak,
            centre: self.neighbour_centre,
            shape: Shape::Plateau { width: self.neighbour_width, ramp: NEIGHBOUR_RAMP },
        }
    }
}

/// Why a host does not run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A share outside of its limits.
    #[error("{name} of host `{host}` is {value}: it must be between 0 and {MAX_NEIGHBOUR}")]
    Share {
        /// Name of the host.
        host: String,
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// The agent cannot listen.
    #[error("the agent of host `{host}` cannot listen on {address}: choose another --agent-port")]
    Listen {
        /// Name of the host.
        host: String,
        /// Where it should listen.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The agent stopped serving, or signals cannot be received.
    #[error("the agent of host `{host}` fails")]
    Serve {
        /// Name of the host.
        host: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// An emulated host whose agent listens already.
#[derive(Debug)]
pub struct Host {
    args: HostArgs,
    listener: TcpListener,
    address: SocketAddr,
}

impl Host {
    /// Checks the settings and opens the port of the agent.
    pub async fn bind(args: HostArgs) -> Result<Self, HostError> {
        let shares =
            [("the neighbour's base", args.neighbour_base), ("the neighbour's peak", args.neighbour_peak)];
        for (name, value) in shares {
            if !(0.0..=MAX_NEIGHBOUR).contains(&value) {
                return Err(HostError::Share { host: args.name, name, value });
            }
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.agent_port));
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        match bound.await {
            Ok((listener, address)) => Ok(Self { args, listener, address }),
            Err(source) => Err(HostError::Listen { host: args.name, address, source }),
        }
    }

    /// Where the agent listens.
    pub fn agent_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the agent and the services it starts until `end` resolves; then stops all services.
    pub async fn serve(self, end: impl Future<Output = ()> + Send + 'static) -> Result<(), HostError> {
        let cpu = Arc::new(Cpu::new(&self.args));
        let services = Arc::new(Services::new(self.args.name.clone(), Arc::clone(&cpu), self.args.seed));
        let clock = tokio::spawn(Arc::clone(&cpu).run());
        let router = agent::router(Arc::clone(&services), cpu);
        let served = axum::serve(self.listener, router).with_graceful_shutdown(end).await;
        services.stop_all().await;
        clock.abort();
        served.map_err(|source| HostError::Serve { host: self.args.name, source })
    }
}

/// Runs a host until SIGTERM or SIGINT; for the hidden subcommand that a world starts once per host.
pub async fn run_host(args: HostArgs) -> Result<(), HostError> {
    let name = args.name.clone();
    let signals = || Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut terminate, mut interrupt) =
        signals().map_err(|source| HostError::Serve { host: name, source })?;
    let host = Host::bind(args).await?;
    tracing::info!(host = host.args.name, agent = %host.agent_address(), "host started");
    host.serve(async move {
        tokio::select! {
            _ = terminate.recv() => {},
            _ = interrupt.recv() => {},
        }
    })
    .await
}
