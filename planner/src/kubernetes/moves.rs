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
use foremesh_core::ids::{NodeId, ReplicaId, ServiceId, WorkloadId};
use foremesh_istio::{Host, IstioError, Proxies, ProxySettings, Shifter, Traffic};
use foremesh_kubernetes::{
    Answers, Cluster, ClusterError, client,
    moving::{Moved, MovingList},
    relocate::{Relocate, RelocateError, RelocateSettings},
    webhook::{Placement, WebhookSettings},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::net::TcpListener;

/// What changes a cluster.
#[derive(Debug)]
pub(super) struct Moves {
    list: MovingList,
    relocate: Relocate,
    shifter: Shifter,
    overtaken: Answers<WorkloadId, Option<String>>,
    ready: Answers<(WorkloadId, NodeId, ReplicaId), bool>,
    traffic: Answers<ServiceId, Traffic>,
    /// Answers that were given again.
    given: Arc<AtomicU64>,
}

impl Moves {
    /// Serves the placement webhook; changes nothing yet.
    pub(super) async fn begin(
        settings: &KubernetesSettings,
        moves: &KubernetesMoves,
        cluster: &Cluster,
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
        let news = cluster.news();
        let relocate = Relocate::new(client.clone(), list.clone(), how)
            .with_placement(Arc::new(placement))
            .with_news(news.clone());
        let asked = ProxySettings {
            namespace: moves.istiod.namespace.clone(),
            account: moves.istiod.account.clone(),
            ..ProxySettings::default()
        };
        let mut shifter = Shifter::new(client.clone(), Proxies::new(client, asked));
        if let Some(mesh) = cluster.mesh() {
            shifter = shifter.with_index(mesh);
        }
        let given = Arc::<AtomicU64>::default();
        Ok(Self {
            list,
            relocate,
            shifter,
            overtaken: Answers::new(news.clone(), Arc::clone(&given)),
            ready: Answers::new(news.clone(), Arc::clone(&given)),
            traffic: Answers::new(news, Arc::clone(&given)),
            given,
        })
    }
}

impl Moves {
    /// How the traffic of a service is shared out, as it was read last if nothing was heard since.
    async fn traffic(&self, service: &ServiceId) -> Result<Traffic, IstioError> {
        let namespace = Host::of(service)?.namespace;
        let ask = Box::pin(self.shifter.traffic(service));
        self.traffic.get(service, &namespace, ask, |_| true).await
    }
}

/// The namespace of a workload.
fn namespace(workload: &WorkloadId) -> &str {
    workload.as_str().split('/').next().unwrap_or_default()
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
                let service = self.service_of(&workload).await?;
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
        let mut theirs = BTreeSet::new();
        for workload in kept {
            theirs.insert(self.service_of(workload).await?);
        }
        for service in changed.difference(&theirs) {
            tracing::warn!(%service, "a route of a move of which nothing is known is taken away");
            moves.shifter.restore(service).await?;
        }
        Ok(())
    }
}

impl Kubernetes {
    async fn service_of(&self, workload: &WorkloadId) -> Result<ServiceId, PlatformError> {
        self.cluster.service_of(workload).await?.ok_or_else(|| PlatformError::Refused {
            object: format!("workload `{workload}`"),
            problem: "it is not in the cluster, or its namespace has not opted in".to_owned(),
            remedy: "see `foremesh check`".to_owned(),
        })
    }
}

#[async_trait]
impl Relocator for Kubernetes {
    async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError> {
        let moves = self.moves(workload.as_str())?;
        let snapshot = self.cluster.snapshot().await?;
        moves.shifter.check(&self.service_of(workload).await?).await?;
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
            let service = self.service_of(workload).await?;
            let weights = moves.shifter.traffic(&service).await?.weights;
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
        let moves = self.moves(workload.as_str())?;
        let asked = (workload.clone(), node.clone(), replica.clone());
        let ask = moves.relocate.is_ready(workload, node, replica);
        // That it is not may change without anything that is watched: endpoints are not.
        Ok(moves.ready.get(&asked, namespace(workload), ask, |is_ready| *is_ready).await?)
    }

    async fn overtaken(&self, workload: &WorkloadId) -> Result<Option<String>, PlatformError> {
        let moves = self.moves(workload.as_str())?;
        let ask = moves.relocate.overtaken(workload);
        if let Some(seen) = moves.overtaken.get(workload, namespace(workload), ask, Option::is_none).await? {
            return Ok(Some(seen));
        }
        let service = self.service_of(workload).await?;
        let starves = moves.traffic(&service).await?.starves;
        Ok(starves
            .then(|| format!("the routes of `{service}` give traffic to none of its pods that are ready")))
    }

    fn remembered(&self) -> u64 {
        self.moves.as_ref().map_or(0, |moves| moves.given.load(Ordering::SeqCst))
    }

    fn forget_answers(&self) {
        if let Some(moves) = &self.moves {
            moves.overtaken.clear();
            moves.ready.clear();
            moves.traffic.clear();
        }
    }

    async fn let_go(&self, workload: &WorkloadId) -> Result<(), PlatformError> {
        let moves = self.moves(workload.as_str())?;
        let service = self.service_of(workload).await?;
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
        Ok(self.moves(service.as_str())?.traffic(service).await?.weights)
    }

    /// Routes by location are there for a move only.
    fn keeps_weights(&self) -> bool {
        false
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
        for workload in moves.list.all().await?.into_keys() {
            if self.service_of(&workload).await.is_ok_and(|of| of == *service) {
                moves.relocate.release(&workload).await?;
            }
        }
        Ok(())
    }
}
