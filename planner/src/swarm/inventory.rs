//! What runs where, with the weights of the endpoint files.
use super::{Swarm, answering::answering};
use crate::{
    causes::chain,
    endpoints::located,
    platform::{Inventory, PlatformError},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::NodeId,
    topology::{Capabilities, Snapshot},
};
use foremesh_summary::WindowSummary;
use foremesh_swarm::mapping;
use std::{collections::BTreeMap, sync::PoisonError};

#[async_trait]
impl Inventory for Swarm {
    async fn snapshot(&self) -> Result<Snapshot, PlatformError> {
        let shared = &*self.shared;
        let objects = shared.client.objects().await?;
        shared.keep_addresses(&objects.nodes);
        let mut snapshot = mapping::snapshot(&objects, shared.clock.now());
        let mut all_weights_known = true;
        for service in answering(&objects).into_keys() {
            let weights = match shared.traffic.weights(&service).await {
                Ok(weights) => weights,
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(%service, why, "weights are not known, so no traffic will be shifted");
                    all_weights_known = false;
                    continue;
                }
            };
            // One whose file is not written yet has whole shares, as it will be.
            let Some(weights) = weights else { continue };
            for workload in snapshot.workloads.values_mut().filter(|workload| workload.service == service) {
                for (id, replica) in &mut workload.replicas {
                    replica.weight = weights.get(id).copied().unwrap_or(0);
                }
            }
        }
        snapshot.capabilities = Capabilities { weights: all_weights_known };
        Ok(snapshot)
    }

    fn addresses(&self) -> BTreeMap<String, NodeId> {
        self.shared.addresses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An edge proxy knows from its endpoints' metadata which replica answered.
    async fn name(&self, summary: &mut WindowSummary) -> Result<bool, PlatformError> {
        Ok(located(summary))
    }
}
