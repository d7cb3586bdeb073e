//! Kubernetes with Istio as a platform.
pub mod acceptance;
mod documents;
mod fenced;
mod lease;
mod moves;
mod relocations;
mod staging;

pub use fenced::Fenced;
pub use lease::Candidate;
pub use staging::Trials;

pub use documents::Documents;

use crate::{
    clock::{Clock, monotonic},
    platform::{Inventory, PlatformError},
    settings::KubernetesSettings,
};
use async_trait::async_trait;
use foremesh_core::{ids::NodeId, topology::Snapshot};
use foremesh_kubernetes::{Cluster, ClusterError, client, lease::Elector, resources::relocation::Store};
use foremesh_summary::{
    WindowSummary,
    wire::{Direction, RouteWindow},
};
use moves::Moves;
use relocations::Relocations;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

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
    /// None where no move is tried.
    trials: Option<Trials>,
}

impl Kubernetes {
    /// Watches a cluster, and waits a while for the first lists.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster.
    pub async fn connect(settings: &KubernetesSettings, clock: Clock) -> Result<Self, ClusterError> {
        let telling = clock.clone();
        let mut cluster = Cluster::connect(settings.cluster(), Arc::new(move || telling.now())).await?;
        if settings.moves.is_some() {
            cluster = cluster.with_mesh();
        }
        let moves = match &settings.moves {
            Some(moves) => Some(Arc::new(Moves::begin(settings, moves, &cluster, clock).await?)),
            None => None,
        };
        let trials = match &settings.staging {
            Some(staging) => Some(Trials::open(settings, staging).await?),
            None => None,
        };
        let platform = Self { cluster: Arc::new(cluster), moves, trials };
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

    /// Makes this planner a candidate for acting in the cluster, and gives the platform as such a one may use it; none where
    /// nothing may be changed.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster, or the state directory cannot be used.
    pub async fn candidate(
        &self,
        settings: &KubernetesSettings,
        state_directory: &Path,
        clock: Clock,
    ) -> Result<Option<(Fenced<Self>, Candidate)>, ClusterError> {
        let Some(moves) = &settings.moves else { return Ok(None) };
        let client = client(&settings.cluster()).await?;
        let me = lease::identity(state_directory)?;
        let telling = clock.clone();
        let store = Store::new(client.clone(), &moves.namespace, &me)
            .watched(&settings.cluster(), Arc::new(move || telling.now()))
            .await?;
        let shown = Relocations::new(store, moves.relocations.keep(), clock.clone());
        let clock = Arc::new(move || clock.now());
        let elector = Elector::new(client, moves.lease(), me, Arc::new(monotonic), clock);
        let fenced = Fenced::new(self.clone(), elector.leadership());
        let candidate = Candidate::new(elector, fenced.clone(), shown, state_directory);
        Ok(Some((fenced, candidate)))
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
