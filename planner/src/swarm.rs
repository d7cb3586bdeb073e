//! A Docker Swarm as a platform.
//!
//! Where tasks run is asked of a manager each time. Who gets traffic is in the endpoint files, which follow the tasks: Envoys
//! send requests to the addresses of tasks, by weights, and fall back on Swarm's own names when the planner is away. A move
//! is in the Swarm itself, in the labels of its surge service, so that nothing of it is lost with the planner.
mod answering;
mod follow;
mod inventory;
mod relocate;
mod shares;
mod traffic;

use crate::{clock::Clock, endpoints::EndpointFiles, platform::PlatformError, settings::SwarmSettings};
use answering::{Answering, answering};
use foremesh_core::ids::{NodeId, ServiceId};
use foremesh_swarm::{Client, Relocate, SwarmError};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use traffic::Traffic;

/// A Swarm as a platform; clones share it.
#[derive(Clone, Debug)]
pub struct Swarm {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    relocate: Relocate,
    traffic: Traffic,
    clock: Clock,
    poll: Duration,
    start_within: Duration,
    hand_over: Duration,
    drain: Duration,
    /// Nodes by their addresses, as they were read last.
    addresses: RwLock<BTreeMap<String, NodeId>>,
}

impl Swarm {
    /// Reads what an earlier planner has left in the state directory, and asks the Swarm once. That it does not answer is no
    /// error here, but of each snapshot.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub async fn open(
        settings: &SwarmSettings,
        state_directory: &Path,
        clock: Clock,
    ) -> Result<Self, PlatformError> {
        let client = Client::new(settings.client())?;
        let directory = settings.eds_directory.clone().unwrap_or_else(|| state_directory.join("endpoints"));
        let traffic = Traffic::open(directory, settings.cluster_port, state_directory).await?;
        let shared = Shared {
            relocate: Relocate::new(client.clone(), settings.relocate()),
            client,
            traffic,
            clock,
            poll: settings.poll.duration(),
            start_within: settings.start_within.duration(),
            hand_over: settings.hand_over.duration(),
            drain: settings.drain.duration(),
            addresses: RwLock::default(),
        };
        let platform = Self { shared: Arc::new(shared) };
        match platform.shared.client.nodes().await {
            Ok(nodes) => platform.shared.keep_addresses(&nodes),
            Err(error) => {
                tracing::warn!(%error, "the Swarm is not known yet; nothing is decided until it is");
            }
        }
        Ok(platform)
    }

    /// The endpoint files, which can be served too.
    pub fn endpoints(&self) -> EndpointFiles {
        self.shared.traffic.files()
    }
}

impl Shared {
    fn keep_addresses(&self, nodes: &[foremesh_swarm::objects::Node]) {
        let names = foremesh_swarm::mapping::Names::of(nodes);
        let mut found: BTreeMap<String, Option<NodeId>> = BTreeMap::new();
        for node in nodes.iter().filter(|node| !node.status.addr.is_empty()) {
            let name = names.name(&node.id);
            let known = found.entry(node.status.addr.clone()).or_insert_with(|| Some(name.clone()));
            if known.as_ref() != Some(&name) {
                *known = None;
            }
        }
        let found = found.into_iter().filter_map(|(address, node)| Some((address, node?)));
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = found.collect();
    }

    /// Who answers for a service at this moment.
    async fn answering(&self, service: &ServiceId) -> Result<Answering, PlatformError> {
        let objects = self.client.objects().await?;
        answering(&objects).remove(service).ok_or_else(|| PlatformError::Refused {
            object: format!("service `{service}`"),
            problem: "there is no such service with a port and a network to reach its tasks".to_owned(),
            remedy: "see `foremesh check`".to_owned(),
        })
    }
}

impl From<SwarmError> for PlatformError {
    fn from(error: SwarmError) -> Self {
        let SwarmError { object, problem, remedy, .. } = error;
        Self::Refused { object, problem, remedy }
    }
}
