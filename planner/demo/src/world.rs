//! A world: emulated hosts, an Envoy beside each, an edge Envoy in front; all on loopback, in one directory.

mod layout;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use futures::future::{join_all, try_join_all};

pub use layout::{CopyCommands, EdgeLayout, HostCommands, HostLayout, WorldLayout};

use crate::child::{Child, ChildError, ChildSpec};
use crate::envoy::{
    Admin, ConfigError, EdgeConfig, Endpoints, EnvoyError, EnvoyOptions, EnvoyProcess, FilterConfig,
    HostConfig, Identity,
};
use crate::host::{AgentClient, CtlError, HostArgs, ServiceSettings};
use crate::ports::PortError;

/// How often a world is tried with other ports when another process took one.
const PORT_TRIES: usize = 3;

/// Time between two questions to something that starts.
const POLL: Duration = Duration::from_millis(25);

/// How long a process may take to end in order.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What a world consists of.
#[derive(Debug, Clone)]
pub struct WorldSpec {
    /// Directory for configurations, logs and endpoints; it must exist and outlive the world.
    pub directory: PathBuf,
    /// Program that knows the subcommands `host` and `ctl` of [`crate::EmulateCommand`].
    pub program: PathBuf,
    /// Arguments before these subcommands.
    pub argv_prefix: Vec<String>,
    /// The Envoy program, see [`crate::envoy::find_binary`].
    pub envoy: PathBuf,
    /// Name of the service.
    pub service: String,
    /// The hosts, at least one.
    pub hosts: Vec<HostSpec>,
    /// Who decides where the edge sends requests.
    pub endpoints: EndpointSource,
    /// The filter in every Envoy, or in the edge's alone; `None` leaves it out.
    pub filter: Option<FilterSpec>,
    /// Address of the planner; `None` chooses a free port on loopback.
    pub planner: Option<SocketAddr>,
    /// Worker threads of the edge Envoy; the others have one.
    pub edge_concurrency: u32,
    /// How long the whole start may take.
    pub ready_within: Duration,
}

/// One host of a world.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// Zone of the host.
    pub zone: String,
    /// Settings of the host; the port of the agent is chosen by the world.
    pub args: HostArgs,
}

/// Who decides where the edge sends requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointSource {
    /// A planner, which writes [`EdgeLayout::eds_file`]. Until it does, the edge answers 503.
    Planner,
    /// A planner that serves them at this address.
    Served(SocketAddr),
    /// Nobody: always this host.
    Host(String),
}

/// The filter of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterSpec {
    /// The module.
    pub module: PathBuf,
    /// Milliseconds between two summaries.
    pub interval_ms: u64,
    /// Only the edge has it, which knows from the endpoints' metadata which replica answered.
    pub edge_only: bool,
}

/// Why a world does not stand.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// No ports.
    #[error("no ports for the world")]
    Ports(#[from] PortError),
    /// A host that is not part of the world.
    #[error("the world has no host `{host}`")]
    UnknownHost {
        /// The name.
        host: String,
    },
    /// No configuration for an Envoy.
    #[error("no configuration for the Envoys")]
    Config(#[from] ConfigError),
    /// An Envoy fails.
    #[error("an Envoy of the world fails")]
    Envoy(#[from] EnvoyError),
    /// A process of a host fails.
    #[error("a host of the world fails")]
    Child(#[from] ChildError),
    /// A host does not answer.
    #[error("host `{host}` was not ready within {deadline:?}; its log {log}:\n{text}")]
    HostNotReady {
        /// Name of the host.
        host: String,
        /// How long it was waited for.
        deadline: Duration,
        /// Its log.
        log: PathBuf,
        /// What the log says.
        text: String,
    },
    /// A host's process ended by itself.
    #[error("host `{host}` ended ({status}); its log {log}:\n{text}")]
    HostEnded {
        /// Name of the host.
        host: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// What the log says.
        text: String,
    },
    /// The file for the endpoints cannot be made.
    #[error("cannot make the endpoint file {path}")]
    EndpointFile {
        /// Path of the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A service does not start.
    #[error("service `{service}` does not start on host `{host}`")]
    Service {
        /// Name of the service.
        service: String,
        /// Name of the host.
        host: String,
        /// Why.
        #[source]
        source: Box<CtlError>,
    },
}

/// A running world; dropping it kills all of its processes.
#[derive(Debug)]
pub struct World {
    spec: WorldSpec,
    layout: WorldLayout,
    hosts: Vec<Child>,
    host_envoys: Vec<EnvoyProcess>,
    edge: EnvoyProcess,
}

impl World {
    /// Starts all processes and waits until they are ready. No service runs yet.
    pub async fn start(spec: &WorldSpec) -> Result<Self, WorldError> {
        let mut tries = 1;
        loop {
            let layout = WorldLayout::choose(spec)?;
            match Self::start_at(spec, layout).await {
                Err(error) if tries < PORT_TRIES && is_port_conflict(&error) => {
                    tracing::info!(tries, "another process took a port, the world starts again with others");
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    async fn start_at(spec: &WorldSpec, layout: WorldLayout) -> Result<Self, WorldError> {
        if let Err(source) = write_if_missing(&layout.edge.eds_file).await {
            return Err(WorldError::EndpointFile { path: layout.edge.eds_file, source });
        }
        let mut hosts = Vec::new();
        let mut host_envoys = Vec::new();
        for (host, place) in spec.hosts.iter().zip(&layout.hosts) {
            hosts.push(start_host(spec, host, place).await?);
            let config = host_config(spec, place, layout.planner).render()?;
            let name = format!("envoy-{}", place.name);
            let options = EnvoyOptions::new(&name, &spec.envoy, &spec.directory, place.admin_port);
            host_envoys.push(EnvoyProcess::start(&config, &options).await?);
        }
        let config = edge_config(spec, &layout)?.render()?;
        let options = EnvoyOptions {
            concurrency: spec.edge_concurrency,
            ..EnvoyOptions::new("envoy-edge", &spec.envoy, &spec.directory, layout.edge.admin_port)
        };
        let edge = EnvoyProcess::start(&config, &options).await?;
        let mut world = Self { spec: spec.clone(), layout, hosts, host_envoys, edge };
        world.wait_until_ready(spec.ready_within).await?;
        Ok(world)
    }

    async fn wait_until_ready(&mut self, deadline: Duration) -> Result<(), WorldError> {
        let hosts = self.hosts.iter_mut().zip(&self.layout.hosts);
        try_join_all(hosts.map(|(child, place)| wait_for_host(child, place, deadline))).await?;
        let envoys = self.host_envoys.iter_mut().chain([&mut self.edge]);
        try_join_all(envoys.map(|envoy| envoy.wait_until_ready(deadline))).await?;
        Ok(())
    }

    /// Names, addresses and files of the world.
    pub fn layout(&self) -> &WorldLayout {
        &self.layout
    }

    /// The agent of a host.
    pub fn agent(&self, host: &str) -> Result<AgentClient, WorldError> {
        Ok(AgentClient::new(self.layout.host(host)?.agent))
    }

    /// Starts the service on a host, on the port that the host's Envoy leads to (the port of `settings` is not
    /// used), and waits until it is ready.
    pub async fn start_service(
        &self,
        host: &str,
        settings: ServiceSettings,
        deadline: Duration,
    ) -> Result<(), WorldError> {
        let place = self.layout.host(host)?;
        let agent = AgentClient::new(place.agent);
        let service = &self.layout.service;
        let failed = |source| WorldError::Service {
            service: service.clone(),
            host: host.to_owned(),
            source: Box::new(source),
        };
        agent
            .start(service, ServiceSettings { port: place.service_port, ..settings })
            .await
            .map_err(failed)?;
        let end = tokio::time::Instant::now() + deadline;
        loop {
            match agent.ready(service).await {
                Ok(()) => return Ok(()),
                Err(error) if tokio::time::Instant::now() >= end => return Err(failed(error)),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Starts a host anew, as after a power cut: whatever ran on it is gone. Its Envoy goes on.
    pub async fn reboot_host(&mut self, host: &str) -> Result<(), WorldError> {
        let index = self.layout.index(host)?;
        let unknown = || WorldError::UnknownHost { host: host.to_owned() };
        let place = self.layout.hosts.get(index).ok_or_else(unknown)?;
        let settings = self.spec.hosts.get(index).ok_or_else(unknown)?;
        let child = self.hosts.get_mut(index).ok_or_else(unknown)?;
        child.kill().await?;
        *child = start_host(&self.spec, settings, place).await?;
        wait_for_host(child, place, self.spec.ready_within).await
    }

    /// The edge Envoy.
    pub fn edge(&mut self) -> &mut EnvoyProcess {
        &mut self.edge
    }

    /// Admin interface of the edge Envoy.
    pub fn edge_admin(&self) -> Admin {
        *self.edge.admin()
    }

    /// The Envoy of a host.
    pub fn host_envoy(&mut self, host: &str) -> Result<&mut EnvoyProcess, WorldError> {
        let index = self.layout.index(host)?;
        self.host_envoys.get_mut(index).ok_or_else(|| WorldError::UnknownHost { host: host.to_owned() })
    }

    /// Whether all processes still run; the error names one that does not, and says what its log does.
    pub fn must_run(&mut self) -> Result<(), WorldError> {
        for envoy in self.host_envoys.iter_mut().chain([&mut self.edge]) {
            envoy.must_run()?;
        }
        for (child, place) in self.hosts.iter_mut().zip(&self.layout.hosts) {
            if let Some(status) = child.ended() {
                let (host, log) = (place.name.clone(), child.log().to_owned());
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(WorldError::HostEnded { host, status, log, text });
            }
        }
        Ok(())
    }

    /// Ids of all processes that run.
    pub fn process_ids(&self) -> Vec<u32> {
        let envoys = self.host_envoys.iter().chain([&self.edge]).filter_map(EnvoyProcess::id);
        self.hosts.iter().filter_map(Child::id).chain(envoys).collect()
    }

    /// Ends all processes in order: the edge, the other Envoys, the hosts.
    pub async fn stop(mut self) -> Result<(), WorldError> {
        self.edge.stop(END_PATIENCE).await?;
        for stopped in join_all(self.host_envoys.iter_mut().map(|envoy| envoy.stop(END_PATIENCE))).await {
            stopped?;
        }
        for stopped in join_all(self.hosts.iter_mut().map(|host| host.stop(END_PATIENCE))).await {
            stopped?;
        }
        Ok(())
    }
}

/// An empty file is a valid, empty set of endpoints; without the file Envoy does not start.
async fn write_if_missing(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        tokio::fs::create_dir_all(directory).await?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.append(true).create(true).open(path).await.map(drop)
}

async fn start_host(spec: &WorldSpec, host: &HostSpec, place: &HostLayout) -> Result<Child, WorldError> {
    let args = HostArgs { agent_port: place.agent.port(), ..host.args.clone() };
    let arguments = spec.argv_prefix.iter().cloned().chain(["host".to_owned()]).chain(args.to_argv());
    let spec = ChildSpec {
        name: place.name.clone(),
        program: spec.program.clone(),
        arguments: arguments.map(Into::into).collect(),
        log: spec.directory.join(format!("{}.log", place.name)),
    };
    Ok(Child::start(spec).await?)
}

async fn wait_for_host(child: &mut Child, place: &HostLayout, deadline: Duration) -> Result<(), WorldError> {
    let agent = AgentClient::new(place.agent);
    let poll = async {
        loop {
            if child.ended().is_some() {
                return false;
            }
            if agent.usage().await.is_ok() {
                return true;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(deadline, poll).await == Ok(true) {
        return Ok(());
    }
    let log = child.log().to_owned();
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    Err(WorldError::HostNotReady { host: place.name.clone(), deadline, log, text })
}

fn filter_config(spec: &WorldSpec, planner: SocketAddr) -> Option<FilterConfig> {
    let FilterSpec { module, interval_ms, edge_only } = spec.filter.clone()?;
    Some(FilterConfig { module, interval_ms, planner, discovery: None, peers: edge_only })
}

fn host_config(spec: &WorldSpec, place: &HostLayout, planner: SocketAddr) -> HostConfig {
    HostConfig {
        identity: Identity {
            workload: spec.service.clone(),
            pod: format!("{}-{}", spec.service, place.name),
            node: place.name.clone(),
            zone: place.zone.clone(),
        },
        service: spec.service.clone(),
        route: "default".to_owned(),
        listen: place.listen,
        service_port: place.service_port,
        admin_port: place.admin_port,
        filter: filter_config(spec, planner).filter(|filter| !filter.peers),
    }
}

fn edge_config(spec: &WorldSpec, layout: &WorldLayout) -> Result<EdgeConfig, WorldError> {
    let endpoints = match &spec.endpoints {
        EndpointSource::Planner => Endpoints::File(layout.edge.eds_file.clone()),
        EndpointSource::Served(address) => Endpoints::Served(*address),
        EndpointSource::Host(host) => Endpoints::Static(layout.host(host)?.listen),
    };
    Ok(EdgeConfig {
        identity: Identity {
            workload: "edge".to_owned(),
            pod: "edge-0".to_owned(),
            node: "edge".to_owned(),
            zone: "edge".to_owned(),
        },
        service: spec.service.clone(),
        route: "default".to_owned(),
        listen: layout.edge.listen,
        admin_port: layout.edge.admin_port,
        endpoints,
        filter: filter_config(spec, layout.planner),
    })
}

/// Whether a start failed because a port belongs to another process: all programs here say so in the system's words.
fn is_port_conflict(error: &WorldError) -> bool {
    let text = match error {
        WorldError::Envoy(error) => error.to_string(),
        WorldError::HostNotReady { text, .. } => text.clone(),
        _ => return false,
    };
    text.contains("Address already in use")
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
