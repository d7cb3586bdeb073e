//! Weights through one endpoint file for each service.
use super::{HostsPlatform, config::Hosts, replica_id};
use crate::{
    endpoints::{Endpoint, EndpointFiles, Endpoints},
    platform::{PlatformError, TrafficShifter},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, Zone},
    plan::WHOLE,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// The endpoint files and who is behind each address.
#[derive(Debug)]
pub(super) struct Traffic {
    services: BTreeMap<ServiceId, Service>,
    files: EndpointFiles,
}

#[derive(Debug)]
struct Service {
    cluster: String,
    replicas: BTreeMap<ReplicaId, Place>,
}

#[derive(Debug)]
struct Place {
    host: NodeId,
    address: SocketAddr,
    zone: Option<Zone>,
}

impl Place {
    fn endpoint(&self, replica: &ReplicaId, weight: u32) -> Endpoint {
        Endpoint {
            zone: self.zone.clone(),
            weight,
            replica: Some(replica.clone()),
            node: Some(self.host.clone()),
        }
    }
}

impl Traffic {
    pub(super) fn new(hosts: &Hosts) -> Self {
        let services = hosts.workloads.iter().map(|(name, workload)| {
            let replicas = workload.ports.iter().filter_map(|(host_name, port)| {
                let host = hosts.host(host_name)?;
                let address = SocketAddr::new(host.address, *port);
                let place = Place { host: host_name.clone(), address, zone: host.zone.clone() };
                Some((replica_id(name, host_name), place))
            });
            let service = Service {
                // The name that a mesh gives the cluster: direction, port, subset, service.
                cluster: format!("outbound|{}||{}", workload.cluster_port, workload.service),
                replicas: replicas.collect(),
            };
            (workload.service.clone(), service)
        });
        Self { services: services.collect(), files: EndpointFiles::open(&hosts.eds_directory) }
    }

    pub(super) fn files(&self) -> EndpointFiles {
        self.files.clone()
    }

    /// Writes the file of a service that has none, with a whole share for each host that it was put on. Of one that is there
    /// the weights stay; what the hosts file says of each replica is put in where it differs, so that proxies know who is behind
    /// an endpoint that an older planner wrote, or one whose host has another zone now.
    pub(super) async fn bring_up_to_date(
        &self,
        service: &ServiceId,
        hosts: &BTreeSet<NodeId>,
    ) -> Result<(), PlatformError> {
        let known = self.service(service)?;
        if let Some(Endpoints { mut endpoints, .. }) = self.files.read(service).await? {
            for (replica, place) in &known.replicas {
                if let Some(endpoint) = endpoints.get_mut(&place.address) {
                    *endpoint = place.endpoint(replica, endpoint.weight);
                }
            }
            // One that was emptied by hand is for a human to fill.
            if endpoints.values().all(|endpoint| endpoint.weight == 0) {
                return Ok(());
            }
            return self.files.replace(service, &known.cluster, endpoints).await;
        }
        let placed = known.replicas.iter().filter(|(_, place)| hosts.contains(&place.host));
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
        let Some(file) = self.files.read(service).await? else {
            return Err(PlatformError::Refused {
                object: self.files.path(service)?.display().to_string(),
                problem: "the file is gone, and Envoy goes on with the endpoints that it read last"
                    .to_owned(),
                remedy: "restart the planner, which writes it anew from the recorded placements".to_owned(),
            });
        };
        let name_of = |address: SocketAddr| {
            let found = known.replicas.iter().find(|(_, place)| place.address == address);
            found.map_or_else(|| ReplicaId::new(address.to_string()), |(replica, _)| replica.clone())
        };
        let weights = file.endpoints.into_iter();
        Ok(weights.map(|(address, endpoint)| (name_of(address), endpoint.weight)).collect())
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
        let mut endpoints = BTreeMap::new();
        for (replica, weight) in weights.iter().filter(|(_, weight)| **weight > 0) {
            let of_place = |place: &Place| (place.address, place.endpoint(replica, *weight));
            // An endpoint that somebody put into the file by hand goes by its address.
            let by_hand = || {
                let address = replica.as_str().parse().ok()?;
                Some((address, Endpoint { weight: *weight, ..Endpoint::default() }))
            };
            let endpoint = known.replicas.get(replica).map(of_place).or_else(by_hand);
            let (address, endpoint) = endpoint.ok_or_else(|| PlatformError::Refused {
                object: format!("weights of service `{service}`"),
                problem: format!("`{replica}` is not one of its replicas"),
                remedy: "correct the hosts file and restart the planner".to_owned(),
            })?;
            endpoints.insert(address, endpoint);
        }
        self.files.replace(service, &known.cluster, endpoints).await
    }
}

#[async_trait]
impl TrafficShifter for HostsPlatform {
    async fn weights(&self, service: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        self.shared.traffic.weights(service).await
    }

    async fn set_weights(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        self.shared.traffic.write(service, weights).await
    }

    /// Nothing to take away: the endpoint file is how traffic is shared out at all times.
    async fn restore(&self, _: &ServiceId) -> Result<(), PlatformError> {
        Ok(())
    }
}
