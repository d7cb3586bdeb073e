//! Moves of replicas in a cluster: the webhook places the new one, traffic goes over by location, and the old one goes.
//!
//! A pod that is ready gets traffic in Kubernetes, and without its label it gets none where there is a route by location. So
//! that route is there before the new pod is, and after its label is gone: `place` begins with it, and `restore` takes it
//! away before the labels.
use super::Kubernetes;
use crate::{
    clock::Clock,
    platform::{PlatformError, Relocator, TrafficShifter},
    settings::{KubernetesMoves, KubernetesSettings},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    topology::Snapshot,
};
use foremesh_istio::{IstioError, Proxies, ProxySettings, Shifter};
use foremesh_kubernetes::{
    ClusterError, client,
    moving::{Moved, MovingList},
    relocate::{Relocate, RelocateError, RelocateSettings},
    webhook::{Placement, WebhookSettings},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::net::TcpListener;

/// What changes a cluster.
#[derive(Debug)]
pub(super) struct Moves {
    list: MovingList,
    relocate: Relocate,
    shifter: Shifter,
}

impl Moves {
    /// Serves the placement webhook; changes nothing yet.
    pub(super) async fn begin(
        settings: &KubernetesSettings,
        moves: &KubernetesMoves,
        clock: Clock,
    ) -> Result<Self, ClusterError> {
        let client = client(&settings.cluster()).await?;
        let listen = moves.webhook.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| ClusterError {
            object: format!("placement webhook at {listen}"),
            problem: error.to_string(),
            remedy: "stop what uses the address, or change `platform.kubernetes.moves.webhook.listen`"
                .to_owned(),
        })?;
        let address = moves.address().ok_or_else(|| ClusterError {
            object: "placement webhook".to_owned(),
            problem: "it is not said where the API server finds it".to_owned(),
            remedy: "name a `service` or a `host`".to_owned(),
        })?;
        let mut webhook = WebhookSettings::new(&moves.namespace, address);
        webhook.opt_in_label.clone_from(&settings.opt_in_label);
        let placement = Placement::start(&client, webhook, listener, Arc::new(move || clock.now()))?;
        let list = MovingList::new(client.clone(), &moves.namespace);
        let how =
            RelocateSettings { opt_in_label: settings.opt_in_label.clone(), ..RelocateSettings::default() };
        let relocate = Relocate::new(client.clone(), list.clone(), how).with_placement(Arc::new(placement));
        let asked = ProxySettings {
            namespace: moves.istiod.namespace.clone(),
            account: moves.istiod.account.clone(),
            ..ProxySettings::default()
        };
        let shifter = Shifter::new(client.clone(), Proxies::new(client, asked));
        Ok(Self { list, relocate, shifter })
    }
}

impl From<RelocateError> for PlatformError {
    fn from(error: RelocateError) -> Self {
        let RelocateError { object, problem, remedy, .. } = error;
        Self::Refused { object, problem, remedy }
    }
}

impl From<IstioError> for PlatformError {
    fn from(error: IstioError) -> Self {
        let IstioError { object, problem, remedy, .. } = error;
        Self::Refused { object, problem, remedy }
    }
}

impl Kubernetes {
    fn moves(&self, object: &str) -> Result<&Moves, PlatformError> {
        self.moves.as_deref().ok_or_else(|| PlatformError::Refused {
            object: object.to_owned(),
            problem:
                "nothing may be changed in this cluster: the settings have no `platform.kubernetes.moves`"
                    .to_owned(),
            remedy: "add it, or set `mode: recommend` in the policy and carry the plan out by hand"
                .to_owned(),
        })
    }

    /// What is under way in the cluster, whoever began it.
    ///
    /// # Errors
    /// When it is not known.
    pub async fn moving(&self) -> Result<BTreeMap<WorkloadId, Moved>, PlatformError> {
        let Some(moves) = &self.moves else { return Ok(BTreeMap::new()) };
        Ok(moves.list.all().await?)
    }

    /// Takes the route of a workload away that nothing moves any more.
    ///
    /// # Errors
    /// When it could not be.
    pub async fn forget(&self, workload: &WorkloadId, service: &ServiceId) -> Result<(), PlatformError> {
        let Some(moves) = &self.moves else { return Ok(()) };
        if moves.list.get(workload).await?.is_none() {
            moves.shifter.restore(service).await?;
        }
        Ok(())
    }

    /// Takes moves back of which the journal knows nothing, as after it was lost; to be called before anything is moved.
    ///
    /// # Errors
    /// When it is not known what moves.
    pub async fn sweep(&self, alive: &BTreeSet<WorkloadId>) -> Result<(), PlatformError> {
        if let Some(trials) = &self.trials
            && let Err(error) = trials.swept().await
        {
            // Its copies stop by themselves, and the next trial of the same rollout removes them.
            tracing::error!(%error, "what interrupted trials have left could not be removed");
        }
        let Some(moves) = &self.moves else { return Ok(()) };
        let mut kept = alive.clone();
        for workload in moves.list.all().await?.into_keys().filter(|workload| !alive.contains(workload)) {
            let restored = async {
                let service = service_of(&self.cluster.snapshot().await?, &workload)?;
                Ok::<_, PlatformError>(moves.shifter.restore(&service).await?)
            };
            // While its route is there, the new replica may have all of the traffic.
            if let Err(error) = restored.await {
                tracing::error!(%workload, %error, "a move of which nothing is known keeps its route and its replicas");
                kept.insert(workload);
            }
        }
        moves.relocate.sweep(&kept).await?;
        self.restore_unlisted(moves, &kept).await
    }

    /// Takes routes away that were made for a move which did not come as far as the list.
    async fn restore_unlisted(
        &self,
        moves: &Moves,
        kept: &BTreeSet<WorkloadId>,
    ) -> Result<(), PlatformError> {
        let snapshot = self.cluster.snapshot().await?;
        let services = snapshot.workloads.values().map(|workload| workload.service.clone()).collect();
        let changed = moves.shifter.changed(&services).await?;
        if changed.is_empty() {
            return Ok(());
        }
        let theirs = kept.iter().map(|workload| service_of(&snapshot, workload));
        let theirs = theirs.collect::<Result<BTreeSet<ServiceId>, _>>()?;
        for service in changed.difference(&theirs) {
            tracing::warn!(%service, "a route of a move of which nothing is known is taken away");
            moves.shifter.restore(service).await?;
        }
        Ok(())
    }
}

fn service_of(snapshot: &Snapshot, workload: &WorkloadId) -> Result<ServiceId, PlatformError> {
    let known = snapshot.workloads.get(workload).map(|workload| workload.service.clone());
    known.ok_or_else(|| PlatformError::Refused {
        object: format!("workload `{workload}`"),
        problem: "it is not in the cluster, or its namespace has not opted in".to_owned(),
        remedy: "see `foremesh check`".to_owned(),
    })
}

#[async_trait]
impl Relocator for Kubernetes {
    async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError> {
        let moves = self.moves(workload.as_str())?;
        let snapshot = self.cluster.snapshot().await?;
        moves.shifter.check(&service_of(&snapshot, workload)?).await?;
        Ok(moves.relocate.prepare(&snapshot, workload, node).await?)
    }

    async fn place(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        leaving: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        let moves = self.moves(workload.as_str())?;
        if leaving.is_some() {
            let service = service_of(&self.cluster.snapshot().await?, workload)?;
            let weights = moves.shifter.weights(&service).await?;
            moves.shifter.set_weights(&service, &weights, leaving).await?;
        }
        Ok(moves.relocate.place(workload, node).await?)
    }

    async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: &ReplicaId,
    ) -> Result<bool, PlatformError> {
        Ok(self.moves(workload.as_str())?.relocate.is_ready(workload, node, replica).await?)
    }

    async fn overtaken(&self, workload: &WorkloadId) -> Result<Option<String>, PlatformError> {
        let moves = self.moves(workload.as_str())?;
        if let Some(seen) = moves.relocate.overtaken(workload).await? {
            return Ok(Some(seen));
        }
        let service = service_of(&self.cluster.snapshot().await?, workload)?;
        let starves = moves.shifter.starves(&service).await?;
        Ok(starves
            .then(|| format!("the routes of `{service}` give traffic to none of its pods that are ready")))
    }

    async fn let_go(&self, workload: &WorkloadId) -> Result<(), PlatformError> {
        let moves = self.moves(workload.as_str())?;
        let service = service_of(&self.cluster.snapshot().await?, workload)?;
        moves.shifter.restore(&service).await?;
        Ok(moves.relocate.abandon(workload).await?)
    }

    async fn retire(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: Option<&ReplicaId>,
    ) -> Result<(), PlatformError> {
        Ok(self.moves(workload.as_str())?.relocate.retire(workload, node, replica).await?)
    }
}

#[async_trait]
impl TrafficShifter for Kubernetes {
    async fn weights(&self, service: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        Ok(self.moves(service.as_str())?.shifter.weights(service).await?)
    }

    async fn set_weights(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        Ok(self.moves(service.as_str())?.shifter.set_weights(service, weights, None).await?)
    }

    async fn restore(&self, service: &ServiceId) -> Result<(), PlatformError> {
        let moves = self.moves(service.as_str())?;
        moves.shifter.restore(service).await?;
        let snapshot = self.cluster.snapshot().await?;
        for workload in moves.list.all().await?.into_keys() {
            if service_of(&snapshot, &workload).is_ok_and(|of| of == *service) {
                moves.relocate.release(&workload).await?;
            }
        }
        Ok(())
    }
}
