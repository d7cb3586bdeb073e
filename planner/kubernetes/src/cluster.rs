//! A cluster that is watched.
mod proxies;
#[cfg(test)]
mod tests;

use crate::{
    Clock, ClusterError, ClusterSettings, MetricsApi, UsageSource,
    error::in_full,
    mapping,
    mesh::Mesh,
    objects::{
        Budget, Claim, Deployment, Namespace, Node, Objects, PersistentVolume, Pod, Quota, ReplicaSet,
        Scaler, Service, StatefulSet,
    },
    watch::{Heard, How, Told, Watch, news::News},
};
use foremesh_core::{
    ids::{NodeId, ServiceId, WorkloadId},
    time::Timestamp,
    topology::Snapshot,
};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use proxies::Cached;
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::{sync::Mutex, task::JoinSet};

/// The read side of a cluster. Dropping it ends its watches.
pub struct Cluster {
    settings: ClusterSettings,
    client: Client,
    clock: Clock,
    heard: Heard,
    told: Told,
    watches: Arc<Watches>,
    /// None where nothing is moved.
    mesh: Option<Arc<Mesh>>,
    usage: Box<dyn UsageSource>,
    names: Mutex<Cached>,
    tasks: JoinSet<()>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("settings", &self.settings)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

/// One for each kind. Daemon sets are not watched: their pods are what takes up room, and those are.
struct Watches {
    nodes: Watch<Node>,
    pods: Watch<Pod>,
    deployments: Watch<Deployment>,
    replica_sets: Watch<ReplicaSet>,
    stateful_sets: Watch<StatefulSet>,
    services: Watch<Service>,
    budgets: Watch<Budget>,
    scalers: Watch<Scaler>,
    claims: Watch<Claim>,
    volumes: Watch<PersistentVolume>,
    quotas: Watch<Quota>,
    namespaces: Watch<Namespace>,
}

impl Cluster {
    /// Starts to watch a cluster, with CPU in use from `metrics.k8s.io`. It does not wait for the first lists: until they
    /// are complete a snapshot is an error.
    ///
    /// Its account must be able to list and watch, in all namespaces: nodes, pods, namespaces, services,
    /// persistentvolumes, persistentvolumeclaims, resourcequotas, deployments, replicasets and statefulsets (`apps`),
    /// poddisruptionbudgets (`policy`), horizontalpodautoscalers (`autoscaling`); and to list nodes and pods of
    /// `metrics.k8s.io`.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster. That it cannot be reached is what [`Self::snapshot`] says.
    pub async fn connect(settings: ClusterSettings, clock: Clock) -> Result<Self, ClusterError> {
        let heard = Heard::new(Arc::clone(&clock));
        let client = heard_client(&settings, &heard).await?;
        Ok(Self::watch(&client, heard, settings, clock))
    }

    /// Watches through a client that is listened to.
    fn watch(client: &Client, heard: Heard, settings: ClusterSettings, clock: Clock) -> Self {
        let usage = Box::new(MetricsApi::new(client.clone()));
        let mut tasks = JoinSet::new();
        let told = Told::default();
        // What decides on a move beside the mesh itself.
        let how = || How { told: Some(told.clone()), ..How::default() };
        let watches = Watches {
            nodes: Watch::start(client, &heard, &clock, &mut tasks),
            pods: Watch::start_as(client, &heard, &clock, &mut tasks, how()),
            deployments: Watch::start_as(client, &heard, &clock, &mut tasks, how()),
            replica_sets: Watch::start_as(client, &heard, &clock, &mut tasks, how()),
            stateful_sets: Watch::start(client, &heard, &clock, &mut tasks),
            services: Watch::start_as(client, &heard, &clock, &mut tasks, how()),
            budgets: Watch::start(client, &heard, &clock, &mut tasks),
            scalers: Watch::start_as(client, &heard, &clock, &mut tasks, how()),
            claims: Watch::start(client, &heard, &clock, &mut tasks),
            volumes: Watch::start(client, &heard, &clock, &mut tasks),
            quotas: Watch::start(client, &heard, &clock, &mut tasks),
            namespaces: Watch::start(client, &heard, &clock, &mut tasks),
        };
        Self {
            settings,
            client: client.clone(),
            clock,
            heard,
            told,
            watches: Arc::new(watches),
            mesh: None,
            usage,
            names: Mutex::default(),
            tasks,
        }
    }

    /// Also watches which routes and rules of the mesh are about which hosts, for moves. Where there is no Gateway API, there
    /// are no routes of it.
    ///
    /// Its account must be able to list and watch virtualservices and destinationrules (`networking.istio.io`) and
    /// httproutes (`gateway.networking.k8s.io`) in all namespaces.
    #[must_use]
    pub fn with_mesh(mut self) -> Self {
        let Self { client, heard, clock, told, tasks, .. } = &mut self;
        self.mesh = Some(Arc::new(Mesh::watch(client, heard, clock, told, tasks)));
        self
    }

    /// Which routes and rules are about which hosts; none unless the mesh is watched.
    pub fn mesh(&self) -> Option<Arc<Mesh>> {
        self.mesh.clone()
    }

    /// Tells when something changes that decides on moves.
    pub fn news(&self) -> News {
        let (watches, mesh) = (Arc::clone(&self.watches), self.mesh.clone());
        let (heard, clock) = (self.heard.clone(), Arc::clone(&self.clock));
        News::new(self.told.clone(), move || {
            let now = clock();
            watches.pods.is_live(&heard, now)
                && watches.deployments.is_live(&heard, now)
                && watches.replica_sets.is_live(&heard, now)
                && watches.services.is_live(&heard, now)
                && watches.scalers.is_live(&heard, now)
                && mesh.as_ref().is_none_or(|mesh| mesh.is_live())
        })
    }

    /// What callers of a workload call it, as it was looked up at most ten seconds ago; none when there is no such workload
    /// in a namespace that has opted in.
    ///
    /// # Errors
    /// Until the first lists are complete.
    pub async fn service_of(&self, workload: &WorkloadId) -> Result<Option<ServiceId>, ClusterError> {
        Ok(self.names(None).await?.workload(workload).cloned())
    }

    /// Takes CPU in use from somewhere else.
    #[must_use]
    pub fn with_usage(mut self, usage: impl UsageSource + 'static) -> Self {
        self.usage = Box::new(usage);
        self
    }

    /// What is there now. Its time is that of the watch that was heard of longest ago.
    ///
    /// # Errors
    /// When a watch is not complete, has missed something, or was not heard of for too long: names the watch, and since
    /// when. Nothing may be moved by half a picture.
    pub async fn snapshot(&self) -> Result<Snapshot, ClusterError> {
        let now = (self.clock)();
        // Before the usage, which may take a while to come.
        self.held(now)?;
        let usage = self.usage.usage(now).await;
        let (objects, at) = self.held((self.clock)())?;
        let conventions = self.settings.conventions.clone();
        // It takes tens of milliseconds in a large cluster: too long for a thread that serves requests.
        let mapped =
            tokio::task::spawn_blocking(move || mapping::snapshot(&objects, &usage, &conventions, at)).await;
        mapped.map_err(|error| {
            ClusterError::new("snapshot of the cluster", in_full(&error), "report it as a fault of Foremesh")
        })
    }

    /// Nodes by their addresses, for sources that name a node by its address. An address of several nodes is left out.
    pub fn addresses(&self) -> BTreeMap<String, NodeId> {
        let Ok(nodes) = self.watches.nodes.held(&self.heard, (self.clock)(), self.settings.stale_after)
        else {
            return BTreeMap::new();
        };
        let mut found: BTreeMap<String, Option<NodeId>> = BTreeMap::new();
        for node in &nodes.objects {
            for address in &node.status.addresses {
                let id = NodeId::new(node.meta.name.clone());
                let known = found.entry(address.address.clone()).or_insert_with(|| Some(id.clone()));
                if known.as_ref() != Some(&id) {
                    *known = None;
                }
            }
        }
        found.into_iter().filter_map(|(address, node)| Some((address, node?))).collect()
    }

    fn held(&self, now: Timestamp) -> Result<(Objects, Timestamp), ClusterError> {
        let (heard, stale_after, watches) = (&self.heard, self.settings.stale_after, &self.watches);
        let mut oldest = now;
        macro_rules! take {
            ($watch:ident) => {{
                let held = watches.$watch.held(heard, now, stale_after)?;
                oldest = oldest.min(held.at);
                held.objects
            }};
        }
        let objects = Objects {
            nodes: take!(nodes),
            pods: take!(pods),
            deployments: take!(deployments),
            replica_sets: take!(replica_sets),
            stateful_sets: take!(stateful_sets),
            services: take!(services),
            budgets: take!(budgets),
            scalers: take!(scalers),
            claims: take!(claims),
            volumes: take!(volumes),
            quotas: take!(quotas),
            namespaces: take!(namespaces),
        };
        Ok((objects, oldest))
    }
}

/// A client of the cluster, for single requests.
///
/// # Errors
/// When it is not known how to reach the cluster.
pub async fn client(settings: &ClusterSettings) -> Result<Client, ClusterError> {
    Client::try_from(config(settings).await?).map_err(|error| unusable(settings, &error))
}

/// A client that is listened to.
pub(crate) async fn heard_client(settings: &ClusterSettings, heard: &Heard) -> Result<Client, ClusterError> {
    let config = config(settings).await?;
    let builder = ClientBuilder::try_from(config).map_err(|error| unusable(settings, &error))?;
    Ok(builder.with_layer(heard).build())
}

async fn config(settings: &ClusterSettings) -> Result<Config, ClusterError> {
    let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
    let Some(path) = &settings.kubeconfig else {
        if settings.context.is_some() {
            return Config::from_kubeconfig(&options).await.map_err(|error| unusable(settings, &error));
        }
        return Config::infer().await.map_err(|error| unusable(settings, &error));
    };
    let read = Kubeconfig::read_from(path).map_err(|error| unusable(settings, &error))?;
    Config::from_custom_kubeconfig(read, &options).await.map_err(|error| unusable(settings, &error))
}

fn unusable(settings: &ClusterSettings, error: &(dyn std::error::Error + 'static)) -> ClusterError {
    let object = match &settings.kubeconfig {
        Some(path) => format!("kubeconfig {}", path.display()),
        None => "kubeconfig".to_owned(),
    };
    let remedy =
        "name a file that `kubectl --kubeconfig` can work with, or run in the cluster with an account";
    ClusterError::new(object, in_full(error), remedy)
}
