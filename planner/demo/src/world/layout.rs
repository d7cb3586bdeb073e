//! Names, addresses and files of a world, for whoever starts a planner on it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{WorldError, WorldSpec, loopback};
use crate::host::ServiceSettings;
use crate::ports::{PortError, free_ports};

/// Ports of one host: agent, Envoy, service, admin interface, copy of the service.
const PORTS_PER_HOST: usize = 5;

/// Ports of the edge and the planner: Envoy, admin interface, planner.
const OTHER_PORTS: usize = 3;

/// Where everything of a world is.
#[derive(Debug, Clone, serde::Serialize)]
pub struct WorldLayout {
    /// Directory with configurations and logs.
    pub directory: PathBuf,
    /// Program of the hosts and of the commands.
    pub program: PathBuf,
    /// Arguments before the subcommand.
    pub argv_prefix: Vec<String>,
    /// Name of the service.
    pub service: String,
    /// Where the filters send their summaries; nothing listens there yet.
    pub planner: SocketAddr,
    /// The hosts, in the order of the settings.
    pub hosts: Vec<HostLayout>,
    /// The edge.
    pub edge: EdgeLayout,
}

/// One host.
#[derive(Debug, Clone, serde::Serialize)]
pub struct HostLayout {
    /// Name of the host.
    pub name: String,
    /// Zone of the host.
    pub zone: String,
    /// CPU of the host, in thousandths of a core.
    pub capacity_millicores: u32,
    /// Where the agent listens.
    pub agent: SocketAddr,
    /// Where the host's Envoy accepts requests for the service: the endpoint that the planner gives weights to.
    pub listen: SocketAddr,
    /// Port on which that Envoy expects the service on loopback.
    pub service_port: u16,
    /// Port of that Envoy's admin interface.
    pub admin_port: u16,
    /// Port of a copy of the service, while a move is tried; no Envoy leads there.
    pub copy_port: u16,
}

/// The edge.
#[derive(Debug, Clone, serde::Serialize)]
pub struct EdgeLayout {
    /// Where requests go in.
    pub listen: SocketAddr,
    /// Port of the admin interface.
    pub admin_port: u16,
    /// Name of the cluster whose endpoints the planner writes.
    pub cluster: String,
    /// File for the endpoints, in a directory of its own that Envoy watches.
    pub eds_file: PathBuf,
}

/// Commands for one host of the planner's hosts file, each an argument vector; `{workload}` stands for the service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostCommands {
    /// Succeeds when the host can be used.
    pub prepare: Vec<String>,
    /// Starts the service.
    pub start: Vec<String>,
    /// Succeeds when the service accepts requests.
    pub ready: Vec<String>,
    /// Stops the service after its last answer.
    pub stop: Vec<String>,
    /// Prints the CPU in use as JSON.
    pub usage: Vec<String>,
    /// The same for a copy of the service.
    pub trial: CopyCommands,
}

/// Commands for a copy of the service on one host; `{instance}` stands for its name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CopyCommands {
    /// Starts it.
    pub start: Vec<String>,
    /// Succeeds when it accepts requests.
    pub ready: Vec<String>,
    /// Stops it.
    pub stop: Vec<String>,
}

impl WorldLayout {
    pub(super) fn choose(spec: &WorldSpec) -> Result<Self, PortError> {
        let ports = free_ports(spec.hosts.len() * PORTS_PER_HOST + OTHER_PORTS)?;
        let mut ports = ports.into_iter();
        // As many as asked for are there; 0 would let the kernel choose.
        let mut next = || ports.next().unwrap_or(0);
        let hosts = spec.hosts.iter().map(|host| HostLayout {
            name: host.args.name.clone(),
            zone: host.zone.clone(),
            capacity_millicores: host.args.capacity_millicores,
            agent: loopback(next()),
            listen: loopback(next()),
            service_port: next(),
            admin_port: next(),
            copy_port: next(),
        });
        let hosts = hosts.collect();
        Ok(Self {
            directory: spec.directory.clone(),
            program: spec.program.clone(),
            argv_prefix: spec.argv_prefix.clone(),
            service: spec.service.clone(),
            planner: spec.planner.unwrap_or_else(|| loopback(next())),
            hosts,
            edge: EdgeLayout {
                listen: loopback(next()),
                admin_port: next(),
                cluster: format!("outbound|80||{}", spec.service),
                eds_file: spec.directory.join("eds").join(format!("{}.pb", spec.service)),
            },
        })
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Result<&HostLayout, WorldError> {
        let found = self.hosts.iter().find(|host| host.name == name);
        found.ok_or_else(|| WorldError::UnknownHost { host: name.to_owned() })
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, WorldError> {
        let found = self.hosts.iter().position(|host| host.name == name);
        found.ok_or_else(|| WorldError::UnknownHost { host: name.to_owned() })
    }

    /// Commands of one host for a service with these settings; their port is the host's own.
    pub fn commands(&self, host: &HostLayout, settings: &ServiceSettings) -> HostCommands {
        let agent = host.agent.to_string();
        let ctl = |words: &[&str]| -> Vec<String> {
            let program = [self.program.display().to_string()];
            let words =
                ["ctl", "--agent", &agent].into_iter().chain(words.iter().copied()).map(str::to_owned);
            program.into_iter().chain(self.argv_prefix.iter().cloned()).chain(words).collect()
        };
        let demand = settings.demand_ms.to_string();
        let variation = settings.variation.to_string();
        let startup = settings.startup_ms.to_string();
        let start = |name: &str, port: u16| {
            let port = port.to_string();
            let words = [
                "start",
                name,
                "--port",
                &port,
                "--demand-ms",
                &demand,
                "--variation",
                &variation,
                "--startup-ms",
                &startup,
            ];
            ctl(&words)
        };
        HostCommands {
            prepare: ctl(&["prepare", "{workload}"]),
            start: start("{workload}", host.service_port),
            ready: ctl(&["ready", "{workload}"]),
            stop: ctl(&["stop", "{workload}"]),
            usage: ctl(&["usage"]),
            trial: CopyCommands {
                start: start("{instance}", host.copy_port),
                ready: ctl(&["ready", "{instance}"]),
                stop: ctl(&["stop", "{instance}"]),
            },
        }
    }
}
