//! Kubernetes with Istio as a platform.
pub mod acceptance;
mod documents;
mod moves;

pub use documents::Documents;

use crate::{
    clock::Clock,
    platform::{Inventory, PlatformError},
    settings::KubernetesSettings,
};
use async_trait::async_trait;
use foremesh_core::{ids::NodeId, topology::Snapshot};
use foremesh_kubernetes::{Cluster, ClusterError};
use foremesh_summary::{
    WindowSummary,
    wire::{Direction, RouteWindow},
};
use moves::Moves;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Longest wait for the first lists when the planner starts. After that it starts without: its snapshots are errors, which
/// say why, until the lists are there.
const LISTED_WITHIN: Duration = Duration::from_secs(30);
const ASKED_EVERY: Duration = Duration::from_millis(200);

/// A cluster as a platform; clones share it.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    cluster: Arc<Cluster>,
    /// None where nothing may be changed.
    moves: Option<Arc<Moves>>,
}

impl Kubernetes {
    /// Watches a cluster, and waits a while for the first lists.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster.
    pub async fn connect(settings: &KubernetesSettings, clock: Clock) -> Result<Self, ClusterError> {
        let telling = clock.clone();
        let cluster = Cluster::connect(settings.cluster(), Arc::new(move || telling.now())).await?;
        let moves = match &settings.moves {
            Some(moves) => Some(Arc::new(Moves::begin(settings, moves, clock).await?)),
            None => None,
        };
        let platform = Self { cluster: Arc::new(cluster), moves };
        let listed = async {
            while platform.cluster.snapshot().await.is_err() {
                tokio::time::sleep(ASKED_EVERY).await;
            }
        };
        if tokio::time::timeout(LISTED_WITHIN, listed).await.is_err()
            && let Err(error) = platform.cluster.snapshot().await
        {
            tracing::warn!(%error, "the cluster is not known yet; nothing is decided until it is");
        }
        Ok(platform)
    }
}

impl From<ClusterError> for PlatformError {
    fn from(error: ClusterError) -> Self {
        let ClusterError { object, problem, remedy } = error;
        Self::Refused { object, problem, remedy }
    }
}

#[async_trait]
impl Inventory for Kubernetes {
    async fn snapshot(&self) -> Result<Snapshot, PlatformError> {
        Ok(self.cluster.snapshot().await?)
    }

    fn addresses(&self) -> BTreeMap<String, NodeId> {
        self.cluster.addresses()
    }

    async fn name(&self, summary: &mut WindowSummary) -> Result<bool, PlatformError> {
        let Some(proxy) = &mut summary.proxy else { return Ok(false) };
        // A proxy that knows no namespace is none of the cluster's.
        if proxy.namespace.is_empty() {
            return Ok(false);
        }
        let said = Some(proxy.node.as_str()).filter(|node| !node.is_empty());
        let place = self.cluster.proxy(&proxy.namespace, &proxy.workload, &proxy.pod, said).await?;
        for route in summary.routes.iter_mut().filter(|route| is_unnamed(route, &proxy.workload)) {
            route.callee = place.service.to_string();
        }
        proxy.workload = place.workload.to_string();
        if let Some(node) = place.node {
            proxy.node = node.to_string();
            proxy.zone = place.zone.map(|zone| zone.to_string()).unwrap_or_default();
        }
        Ok(true)
    }
}

/// A route whose callee is named after the proxy's own workload: what is called has no name in the callee's own sidecar.
fn is_unnamed(route: &RouteWindow, workload: &str) -> bool {
    route.direction() == Direction::Inbound && route.callee == workload
}
