//! Weights through one endpoint file for each service.
use super::{
    HostsPlatform,
    config::Hosts,
    durable,
    eds::{self, Endpoints},
    replica_id,
};
use crate::platform::{PlatformError, TrafficShifter};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, Zone},
    plan::WHOLE,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::SocketAddr,
    path::PathBuf,
};
use tokio::sync::Mutex;

/// All endpoint files and who is behind each address.
#[derive(Debug)]
pub(super) struct EndpointFiles {
    services: BTreeMap<ServiceId, Service>,
    /// Reading the version and writing the next one is one thing.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Service {
    path: PathBuf,
    cluster: String,
    replicas: BTreeMap<ReplicaId, (NodeId, SocketAddr, Option<Zone>)>,
}

impl EndpointFiles {
    pub(super) fn new(hosts: &Hosts) -> Self {
        let services = hosts.workloads.iter().map(|(name, workload)| {
            let replicas = workload.ports.iter().filter_map(|(host_name, port)| {
                let host = hosts.host(host_name)?;
                let place = (host_name.clone(), SocketAddr::new(host.address, *port), host.zone.clone());
                Some((replica_id(name, host_name), place))
            });
            let service = Service {
                path: hosts.eds_directory.join(format!("{}.pb", workload.service)),
                // The name that a mesh gives the cluster: direction, port, subset, service.
                cluster: format!("outbound|{}||{}", workload.cluster_port, workload.service),
                replicas: replicas.collect(),
            };
            (workload.service.clone(), service)
        });
        Self { services: services.collect(), writing: Mutex::new(()) }
    }

    /// Writes the file of a service that has none, with a whole share for each host that it was put on.
    pub(super) async fn write_missing(
        &self,
        service: &ServiceId,
        hosts: &BTreeSet<NodeId>,
    ) -> Result<(), PlatformError> {
        let known = self.service(service)?;
        if read(known).await?.is_some() {
            return Ok(());
        }
        let placed = known.replicas.iter().filter(|(_, (host, ..))| hosts.contains(host));
        let weights = placed.map(|(replica, _)| (replica.clone(), WHOLE)).collect();
        self.write(service, &weights).await
    }

    /// The weights that the file of a service has in force.
    ///
    /// # Errors
    /// When there is no such service or no such file, or the file cannot be read or understood.
    pub(super) async fn weights(
        &self,
        service: &ServiceId,
    ) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        let known = self.service(service)?;
        let file = read(known).await?.ok_or_else(|| PlatformError::Refused {
            object: known.path.display().to_string(),
            problem: "the file is gone, and Envoy goes on with the endpoints that it read last".to_owned(),
            remedy: "restart the planner, which writes it anew from the recorded placements".to_owned(),
        })?;
        let name_of = |address: SocketAddr| {
            let mut replicas = known.replicas.iter();
            let found = replicas.find(|(_, (_, of_replica, _))| *of_replica == address);
            found.map_or_else(|| ReplicaId::new(address.to_string()), |(replica, _)| replica.clone())
        };
        Ok(file.endpoints.into_iter().map(|(address, (_, weight))| (name_of(address), weight)).collect())
    }

    fn service(&self, service: &ServiceId) -> Result<&Service, PlatformError> {
        self.services.get(service).ok_or_else(|| PlatformError::Refused {
            object: format!("weights of service `{service}`"),
            problem: "the hosts file has no workload with this service".to_owned(),
            remedy: "correct the hosts file and restart the planner".to_owned(),
        })
    }

    async fn write(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        let known = self.service(service)?;
        let refused = |problem: String, remedy: &str| PlatformError::Refused {
            object: format!("weights of service `{service}`"),
            problem,
            remedy: remedy.to_owned(),
        };
        let mut endpoints = BTreeMap::new();
        for (replica, weight) in weights.iter().filter(|(_, weight)| **weight > 0) {
            let place = match known.replicas.get(replica) {
                Some((_, address, zone)) => Some((*address, zone.clone())),
                // An endpoint that somebody put into the file by hand goes by its address.
                None => replica.as_str().parse().ok().map(|address| (address, None)),
            };
            let (address, zone) = place.ok_or_else(|| {
                let problem = format!("`{replica}` is not one of its replicas");
                refused(problem, "correct the hosts file and restart the planner")
            })?;
            endpoints.insert(address, (zone, *weight));
        }
        if endpoints.is_empty() {
            let problem = "no replica would get traffic".to_owned();
            return Err(refused(problem, "give at least one replica that is ready a weight above 0"));
        }
        let _one_at_a_time = self.writing.lock().await;
        let version = read(known).await?.map_or(0, |file| file.version).wrapping_add(1);
        let file = Endpoints { version, cluster: known.cluster.clone(), endpoints };
        durable::replace(known.path.clone(), eds::encode(&file)).await?;
        tracing::info!(%service, version, weights = ?weights, "weights written");
        Ok(())
    }
}

async fn read(service: &Service) -> Result<Option<Endpoints>, PlatformError> {
    let content = durable::read(&service.path).await?;
    // An empty file is what one makes by hand for an Envoy that must start before its planner: no endpoints yet.
    let Some(content) = content.filter(|content| !content.is_empty()) else { return Ok(None) };
    eds::decode(&content).map(Some).map_err(|error| {
        let cause = error.source().map_or_else(String::new, |cause| format!(" ({cause})"));
        PlatformError::Refused {
            object: service.path.display().to_string(),
            problem: format!("{error}{cause}"),
            remedy:
                "delete the file and restart the planner, which writes it anew from the recorded placements"
                    .to_owned(),
        }
    })
}

#[async_trait]
impl TrafficShifter for HostsPlatform {
    async fn weights(&self, service: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        self.shared.endpoints.weights(service).await
    }

    async fn set_weights(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        self.shared.endpoints.write(service, weights).await
    }

    /// Nothing to take away: the endpoint file is how traffic is shared out at all times.
    async fn restore(&self, _: &ServiceId) -> Result<(), PlatformError> {
        Ok(())
    }
}
