//! Opens the platform that the settings name, and gives its ports.
use crate::{
    causes::chain,
    clock::Clock,
    endpoints::{EndpointFiles, ads::AdsSettings},
    hosts::{
        HostsPlatform,
        config::{Hosts, HostsFileError},
    },
    kubernetes::{Candidate, Kubernetes},
    platform::{Inventory, Relocator, StagingMesh, TrafficShifter},
    settings::{KubernetesSettings, Platform, Settings, SwarmSettings},
    swarm::Swarm,
};
use std::sync::Arc;

/// Where services run, with its files read and nothing opened.
pub(super) enum Place<'a> {
    Hosts(Box<Hosts>),
    Kubernetes(&'a KubernetesSettings),
    Swarm(&'a SwarmSettings),
}

/// An open platform.
pub(super) struct Opened {
    pub(super) ports: PlatformPorts,
    /// This planner's part in finding out which one acts, where several may work at the same time.
    pub(super) candidate: Option<Candidate>,
    /// Endpoints that can be served.
    pub(super) endpoints: Option<EndpointFiles>,
    /// Whose endpoints follow its tasks.
    pub(super) swarm: Option<Swarm>,
}

impl<'a> Place<'a> {
    pub(super) fn read(platform: &'a Platform) -> Result<Self, HostsFileError> {
        match platform {
            Platform::Hosts(file) => Ok(Self::Hosts(Box::new(Hosts::read(file)?))),
            Platform::Kubernetes(cluster) => Ok(Self::Kubernetes(cluster)),
            Platform::Swarm(swarm) => Ok(Self::Swarm(swarm)),
        }
    }

    /// Where endpoints are served, if anywhere.
    pub(super) fn ads(&self) -> Option<&AdsSettings> {
        match self {
            Self::Hosts(hosts) => hosts.ads(),
            Self::Swarm(swarm) => swarm.ads.as_ref(),
            Self::Kubernetes(_) => None,
        }
    }

    /// Where that is set.
    pub(super) const fn ads_setting(&self) -> &'static str {
        match self {
            Self::Swarm(_) => "platform.swarm.ads.listen",
            _ => "traffic.ads.listen of the hosts file",
        }
    }

    pub(super) async fn open(self, settings: &Settings) -> anyhow::Result<Opened> {
        Ok(match self {
            Self::Hosts(hosts) => {
                let platform = HostsPlatform::open(*hosts, &settings.state_directory, Clock::System).await?;
                let endpoints = Some(platform.endpoints());
                let trials = platform.staging(&settings.rollout);
                if let Some(trials) = &trials
                    && let Err(error) = trials.sweep().await
                {
                    tracing::warn!(
                        why = chain(&error),
                        "what an interrupted trial had left is not all stopped yet"
                    );
                }
                let staging = trials.map(|trials| Arc::new(trials) as _);
                let ports = PlatformPorts { staging, ..PlatformPorts::of(platform) };
                Opened { ports, candidate: None, endpoints, swarm: None }
            }
            Self::Kubernetes(cluster) => {
                let platform = Kubernetes::connect(cluster, Clock::System).await?;
                let staging = platform.staging(&settings.rollout).map(|trials| Arc::new(trials) as _);
                let candidate = platform.candidate(cluster, &settings.state_directory, Clock::System).await?;
                let (ports, candidate) = match candidate {
                    Some((fenced, candidate)) => (PlatformPorts::of(fenced), Some(candidate)),
                    None => (PlatformPorts::of(platform), None),
                };
                let ports = PlatformPorts { staging, ..ports };
                Opened { ports, candidate, endpoints: None, swarm: None }
            }
            Self::Swarm(swarm) => {
                let platform = Swarm::open(swarm, &settings.state_directory, Clock::System).await?;
                let (endpoints, ports) = (Some(platform.endpoints()), PlatformPorts::of(platform.clone()));
                Opened { ports, candidate: None, endpoints, swarm: Some(platform) }
            }
        })
    }
}

/// The ports to where services run.
#[derive(Clone, Debug)]
pub struct PlatformPorts {
    /// What runs where.
    pub inventory: Arc<dyn Inventory>,
    /// Starts and stops replicas.
    pub relocator: Arc<dyn Relocator>,
    /// Shares out traffic.
    pub traffic: Arc<dyn TrafficShifter>,
    /// Tries moves; none where there is no staging mesh.
    pub staging: Option<Arc<dyn StagingMesh>>,
}

impl PlatformPorts {
    /// All ports of one platform, whose clones share it.
    fn of(platform: impl Inventory + Relocator + TrafficShifter + Clone + 'static) -> Self {
        Self {
            inventory: Arc::new(platform.clone()),
            relocator: Arc::new(platform.clone()),
            traffic: Arc::new(platform),
            staging: None,
        }
    }
}
