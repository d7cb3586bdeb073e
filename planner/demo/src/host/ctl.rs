//! Client of the agent: for programs, and as a command for the planner's hosts file.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use super::service::{STOP_PATIENCE, ServiceSettings};
use crate::http::{self, HttpError};

/// How long the agent may take for anything but a stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// Talks to the agent of one host.
#[derive(Debug, Clone, clap::Args)]
pub struct CtlArgs {
    /// Address of the agent, such as `127.0.0.1:9000`.
    #[arg(long)]
    pub agent: SocketAddr,
    /// What to do.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// Commands that the planner's hosts file names.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum CtlCommand {
    /// Succeeds when the agent answers: nothing needs to be fetched before a start.
    Prepare {
        /// Name of the service.
        workload: String,
    },
    /// Starts a service; succeeds also when it runs already with the same settings.
    Start {
        /// Name of the service.
        workload: String,
        /// Its port on loopback.
        #[arg(long)]
        port: u16,
        /// Mean CPU time of a request, in core-milliseconds.
        #[arg(long)]
        demand_ms: f64,
        /// Standard deviation of that time over its mean; 0 means exponential.
        #[arg(long, default_value_t = 0.5)]
        variation: f64,
        /// Time from this command to the first accepted connection, in milliseconds.
        #[arg(long, default_value_t = 0)]
        startup_ms: u64,
    },
    /// Succeeds when the service accepts requests; asks once.
    Ready {
        /// Name of the service.
        workload: String,
    },
    /// Stops a service when its last request is answered.
    Stop {
        /// Name of the service.
        workload: String,
    },
    /// Prints the CPU in use as JSON.
    Usage,
}

/// Why the agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// No answer.
    #[error("the agent at {agent} gave no answer: is the host running?")]
    Http {
        /// Address of the agent.
        agent: SocketAddr,
        /// Why there is no answer.
        #[source]
        source: HttpError,
    },
    /// The agent says no, and why.
    #[error("{reason}")]
    Refused {
        /// What the agent says.
        reason: String,
    },
}

/// Client of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentClient {
    agent: SocketAddr,
}

impl AgentClient {
    /// A client for the agent at an address.
    pub fn new(agent: SocketAddr) -> Self {
        Self { agent }
    }

    /// Starts a service; does nothing when it runs with the same settings.
    pub async fn start(&self, service: &str, settings: ServiceSettings) -> Result<(), CtlError> {
        let ServiceSettings { port, demand_ms, variation, startup_ms } = settings;
        let query =
            format!("port={port}&demand_ms={demand_ms}&variation={variation}&startup_ms={startup_ms}");
        self.ask("POST", &format!("/services/{service}/start?{query}"), PATIENCE).await.map(drop)
    }

    /// Asks once whether a service accepts requests; [`CtlError::Refused`] says why not.
    pub async fn ready(&self, service: &str) -> Result<(), CtlError> {
        self.ask("GET", &format!("/services/{service}/ready"), PATIENCE).await.map(drop)
    }

    /// Stops a service and waits for its last answer.
    pub async fn stop(&self, service: &str) -> Result<(), CtlError> {
        let patience = STOP_PATIENCE + PATIENCE;
        self.ask("POST", &format!("/services/{service}/stop"), patience).await.map(drop)
    }

    /// Makes a service slow (by so many milliseconds) and wrong (a share of requests, 0 to 1); zeros heal it.
    pub async fn fault(&self, service: &str, extra_ms: u64, error_share: f64) -> Result<(), CtlError> {
        let query = format!("extra_ms={extra_ms}&error_share={error_share}");
        self.ask("POST", &format!("/services/{service}/fault?{query}"), PATIENCE).await.map(drop)
    }

    /// CPU in use as JSON: `capacity_millicores`, `cpu_used_millicores`, `workloads`, `in_flight`.
    pub async fn usage(&self) -> Result<String, CtlError> {
        self.ask("GET", "/usage", PATIENCE).await
    }

    async fn ask(&self, method: &str, path: &str, patience: Duration) -> Result<String, CtlError> {
        let answer = http::request(self.agent, method, path, patience).await;
        let answer = answer.map_err(|source| CtlError::Http { agent: self.agent, source })?;
        if answer.is_success() { Ok(answer.body) } else { Err(CtlError::Refused { reason: answer.body }) }
    }
}

/// Carries out one command: exit code 0, or 1 with the reason on stderr; the usage goes to stdout.
pub async fn run_ctl(args: CtlArgs) -> ExitCode {
    match carry_out(args).await {
        Ok(Some(text)) => println!("{text}"),
        Ok(None) => {}
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("{error}{cause}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn carry_out(args: CtlArgs) -> Result<Option<String>, CtlError> {
    let client = AgentClient::new(args.agent);
    match args.command {
        CtlCommand::Prepare { .. } => client.usage().await.map(|_| None),
        CtlCommand::Start { workload, port, demand_ms, variation, startup_ms } => {
            let settings = ServiceSettings { port, demand_ms, variation, startup_ms };
            client.start(&workload, settings).await.map(|()| None)
        }
        CtlCommand::Ready { workload } => client.ready(&workload).await.map(|()| None),
        CtlCommand::Stop { workload } => client.stop(&workload).await.map(|()| None),
        CtlCommand::Usage => client.usage().await.map(Some),
    }
}
