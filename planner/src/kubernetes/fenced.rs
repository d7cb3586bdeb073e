//! A platform that is changed only while this planner is the leader.
//!
//! The lease is looked at before each step of a change, and a change that is under way when it ends is dropped where it
//! stands; all of them can be taken up again by whoever leads then.
use super::Kubernetes;
use crate::platform::{Inventory, PlatformError, Relocator, TrafficShifter};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    topology::Snapshot,
};
use foremesh_kubernetes::{lease::Leadership, moving::Moved};
use foremesh_summary::WindowSummary;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// Lets through what only reads; what changes anything needs the lease. Clones share the platform.
#[derive(Clone, Debug)]
pub struct Fenced<P> {
    platform: P,
    leadership: Leadership,
}

impl<P> Fenced<P> {
    /// Fences a platform.
    pub const fn new(platform: P, leadership: Leadership) -> Self {
        Self { platform, leadership }
    }

    async fn guard<T>(
        &self,
        object: &str,
        change: impl Future<Output = Result<T, PlatformError>>,
    ) -> Result<T, PlatformError> {
        self.leadership.guard(change).await.unwrap_or_else(|why| {
            Err(PlatformError::Refused {
                object: object.to_owned(),
                problem: why.to_string(),
                remedy: "leave it to the planner that leads".to_owned(),
            })
        })
    }
}

impl Fenced<Kubernetes> {
    /// What is under way in the cluster, whoever began it.
    ///
    /// # Errors
    /// When it is not known.
    pub(super) async fn moving(&self) -> Result<BTreeMap<WorkloadId, Moved>, PlatformError> {
        self.platform.moving().await
    }

    /// Takes back what is under way of other workloads than these.
    ///
    /// # Errors
    /// When this planner does not lead, or it is not known what is under way.
    pub(super) async fn sweep(&self, alive: &BTreeSet<WorkloadId>) -> Result<(), PlatformError> {
        self.guard("moves of which nothing is known", Box::pin(self.platform.sweep(alive))).await
    }

    /// Takes the route of a workload away that nothing moves any more.
    ///
    /// # Errors
    /// When this planner does not lead, or it could not be taken away.
    pub(super) async fn forget(
        &self,
        workload: &WorkloadId,
        service: &ServiceId,
    ) -> Result<(), PlatformError> {
        self.guard(workload.as_str(), Box::pin(self.platform.forget(workload, service))).await
    }
}

#[async_trait]
impl<P: Inventory> Inventory for Fenced<P> {
    async fn snapshot(&self) -> Result<Snapshot, PlatformError> {
        self.platform.snapshot().await
    }

    fn addresses(&self) -> BTreeMap<String, NodeId> {
        self.platform.addresses()
    }

    async fn name(&self, summary: &mut WindowSummary) -> Result<bool, PlatformError> {
        self.platform.name(summary).await
    }
}

#[async_trait]
impl<P: Relocator> Relocator for Fenced<P> {
    async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError> {
        self.guard(workload.as_str(), self.platform.prepare(workload, node)).await
    }

    async fn place(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        leaving: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        self.guard(workload.as_str(), self.platform.place(workload, node, leaving)).await
    }

    async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: &ReplicaId,
    ) -> Result<bool, PlatformError> {
        self.platform.is_ready(workload, node, replica).await
    }

    async fn overtaken(&self, workload: &WorkloadId) -> Result<Option<String>, PlatformError> {
        self.platform.overtaken(workload).await
    }

    fn remembered(&self) -> u64 {
        self.platform.remembered()
    }

    fn forget_answers(&self) {
        self.platform.forget_answers();
    }

    async fn let_go(&self, workload: &WorkloadId) -> Result<(), PlatformError> {
        self.guard(workload.as_str(), self.platform.let_go(workload)).await
    }

    async fn retire(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: Option<&ReplicaId>,
    ) -> Result<(), PlatformError> {
        self.guard(workload.as_str(), self.platform.retire(workload, node, replica)).await
    }
}

#[async_trait]
impl<P: TrafficShifter> TrafficShifter for Fenced<P> {
    async fn weights(&self, service: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        self.platform.weights(service).await
    }

    fn keeps_weights(&self) -> bool {
        self.platform.keeps_weights()
    }

    async fn set_weights(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        self.guard(service.as_str(), self.platform.set_weights(service, weights)).await
    }

    async fn restore(&self, service: &ServiceId) -> Result<(), PlatformError> {
        self.guard(service.as_str(), self.platform.restore(service)).await
    }
}
