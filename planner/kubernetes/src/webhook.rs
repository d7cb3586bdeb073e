//! The placement webhook: new pods of a workload that moves are given their location, without an edit of its template.
//!
//! While something moves, the API server asks about each new pod of it. The one that is the extra replica prefers the new
//! node, has the label [`LOCATION_LABEL`] `target`, and a deletion cost by which anybody's scale-down takes it first. Any
//! other has the label `stay` and goes where the scheduler wants, so that it is in one of the subsets that traffic is shared
//! out by. No pod is refused, and one that cannot be asked about in time comes up as if there were no webhook.
//!
//! **Which workload a pod is of** is said by its owner references: its replica set, by name and uid, is read, and the
//! Deployment in that one's own reference is meant. The name of a replica set proves nothing.
//!
//! **Which pod is the extra one** is said by counting: all replicas of before are there, and none has been sent yet.
//! A replica set starts what it makes with one pod, and goes on when that one is stored, so that two pods do not both find
//! that they are the first.
//!
//! **A preference can be ignored** by the scheduler: the node may have no room any more, and what else is preferred, such as
//! an even spread, may weigh more. A requirement would leave the pod pending, and pending for good should the node go away.
//! So the label `target` says what was meant, and the relocator compares the pod's node with the planned one: a pod that
//! is elsewhere is taken back, by the scale of before, which its deletion cost makes safe.
//!
//! **A cluster at rest pays nothing**: the configuration `foremesh-placement` exists, so that no right to create one is
//! needed, but has no webhooks in it. [`Placement::arm`] fills it for the namespaces and names of what moves.
mod admission;
mod configuration;
mod decision;
mod identity;
mod lookup;
mod patch;
mod registration;
mod review;
mod secret;
mod server;
#[cfg(test)]
mod tests;

use crate::{Clock, ClusterError, Conventions, error::in_full, moving::MovingList};
use admission::Admission;
use configuration::{Configuration, Synced};
use kube::Client;
use rustls::crypto::CryptoProvider;
use secret::SharedIdentity;
use server::Served;
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Notify},
    task::JoinSet,
    time::timeout,
};

/// Label of pods of a workload that moves: `source`, `target` or `stay`.
pub const LOCATION_LABEL: &str = "foremesh.dev/location";
/// Annotation of pods: who has less goes first when replicas become fewer.
pub const COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Usual name of the `MutatingWebhookConfiguration`.
pub const PLACEMENT_CONFIGURATION: &str = "foremesh-placement";
/// Name of the Secret, in the planner's namespace.
pub const WEBHOOK_SECRET: &str = "foremesh-webhook";

/// How often certificate and configuration are looked at when nobody asks for it and something moves, or has just moved.
const KEPT_EVERY: Duration = Duration::from_secs(30);
/// The same while nothing moves: then only the age of the certificate can ask for something.
const KEPT_SELDOM: Duration = Duration::from_secs(600);
/// One such look.
const KEPT_WITHIN: Duration = Duration::from_secs(20);
/// Other API servers than the one that was heard of learn of the configuration at about the same time.
const OTHERS_WITHIN: Duration = Duration::from_millis(250);

/// How the webhook is reached, and whom it is for. All planners of a cluster must have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The planner's own namespace.
    pub namespace: String,
    /// Where the API server finds the webhook.
    pub address: WebhookAddress,
    /// Name of the `MutatingWebhookConfiguration`; each Foremesh of a cluster has its own.
    pub configuration: String,
    /// Label of namespaces that is `true` where Foremesh may move workloads.
    pub opt_in_label: String,
}

/// Where the API server finds the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookAddress {
    /// By a Service of the planner's namespace.
    Service {
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// By an address that API servers can connect to, for a planner outside the cluster.
    Url {
        /// DNS name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl WebhookSettings {
    /// With the usual names.
    pub fn new(namespace: &str, address: WebhookAddress) -> Self {
        Self {
            namespace: namespace.to_owned(),
            address,
            configuration: PLACEMENT_CONFIGURATION.to_owned(),
            opt_in_label: Conventions::default().opt_in_label,
        }
    }

    /// What the API server takes the webhook's certificate to be for.
    fn hosts(&self) -> BTreeSet<String> {
        let host = match &self.address {
            WebhookAddress::Service { name, .. } => format!("{name}.{}.svc", self.namespace),
            WebhookAddress::Url { host, .. } => host.clone(),
        };
        [host].into()
    }
}

/// The running webhook. Dropping it ends it; the API server goes on without.
///
/// Its account must be able to get, create and patch secrets and configmaps in the planner's namespace; to get
/// replicasets (`apps`) and list pods in all namespaces; and to get and patch the `MutatingWebhookConfiguration`
/// `foremesh-placement`, or to create it when nobody has.
pub struct Placement {
    keeper: Arc<Keeper>,
    _tasks: JoinSet<()>,
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement").field("settings", &self.keeper.settings).finish_non_exhaustive()
    }
}

impl Placement {
    /// Serves the webhook on this listener, and keeps its certificate and its configuration. It does not wait for the API
    /// server: what does not work is logged, and said by [`Self::arm`].
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn start(
        client: &Client,
        settings: WebhookSettings,
        listener: TcpListener,
        clock: Clock,
    ) -> Result<Self, ClusterError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let served = Served::default();
        let config = server::config(Arc::clone(&provider), served.clone()).map_err(|error| {
            ClusterError::new("placement webhook", in_full(&error), "report it as a fault of Foremesh")
        })?;
        let moving = MovingList::new(client.clone(), &settings.namespace);
        let keeper = Arc::new(Keeper {
            identities: SharedIdentity::new(client.clone(), &settings.namespace, Arc::clone(&provider)),
            configuration: Configuration::new(client, moving.clone(), settings.clone()),
            settings,
            served,
            provider,
            clock,
            is_serving: Mutex::new(false),
            asked: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(listener, config, Arc::new(Admission::new(client, moving))));
        tasks.spawn(Arc::clone(&keeper).keep());
        Ok(Self { keeper, _tasks: tasks })
    }

    /// Makes certain that the API server asks about the pods of all that is stored as moving; to be called between the
    /// storing of a move and the scale-up, also when a move is resumed. It tries it with a dry run of the planner's own list, so that a webhook that
    /// cannot be reached is known before anything is scaled. Takes tens of milliseconds, at most about half a minute.
    ///
    /// # Errors
    /// When it is not certain; says what the API server says of the webhook.
    pub async fn arm(&self) -> Result<(), ClusterError> {
        self.keeper.asked.notify_one();
        if let Synced::Written { stamp } = self.keeper.look(true).await? {
            self.keeper.configuration.heard(&stamp).await?;
            tokio::time::sleep(OTHERS_WITHIN).await;
        }
        Ok(())
    }

    /// Makes the configuration follow what is stored as moving, so that the API server asks about nothing more than that;
    /// to be called when a move is over. Without it that happens within half a minute.
    ///
    /// # Errors
    /// When the configuration could not be written.
    pub async fn disarm(&self) -> Result<(), ClusterError> {
        self.keeper.asked.notify_one();
        self.keeper.look(false).await.map(drop)
    }
}

/// Keeps certificate and configuration.
struct Keeper {
    identities: SharedIdentity,
    configuration: Configuration,
    settings: WebhookSettings,
    served: Served,
    provider: Arc<CryptoProvider>,
    clock: Clock,
    /// Whether connections can be served. Held while anything is looked at, so that looks do not overtake each other.
    is_serving: Mutex<bool>,
    /// Somebody has asked for a look.
    asked: Notify,
}

impl Keeper {
    async fn keep(self: Arc<Self>) {
        let mut failing = false;
        loop {
            let looked = self.look(false).await;
            let is_idle = matches!(looked, Ok(Synced::Idle));
            match looked {
                Ok(_) => failing = false,
                // Once, and again when it had worked meanwhile.
                Err(error) if !failing => {
                    tracing::warn!(%error, "the placement webhook is not kept up to date");
                    failing = true;
                }
                Err(_) => {}
            }
            if is_idle {
                // Whatever was asked for meanwhile is looked after, whether that went well or not.
                let _ = timeout(KEPT_SELDOM, self.asked.notified()).await;
            }
            tokio::time::sleep(KEPT_EVERY).await;
        }
    }

    async fn look(&self, anew: bool) -> Result<Synced, ClusterError> {
        let looked = timeout(KEPT_WITHIN, self.look_at_all(anew)).await;
        looked.unwrap_or_else(|_| {
            Err(ClusterError::new(
                "placement webhook",
                format!("its certificate and configuration took more than {} s", KEPT_WITHIN.as_secs()),
                "check that the API server answers and is not overloaded",
            ))
        })
    }

    async fn look_at_all(&self, anew: bool) -> Result<Synced, ClusterError> {
        let mut is_serving = self.is_serving.lock().await;
        let now = (self.clock)();
        let identity = self.identities.current(&self.settings.hosts(), now).await?;
        let synced = self.configuration.sync(&identity, now, anew).await?;
        // A new certificate is served when API servers have been told a while ago to trust it: at the next look.
        if !*is_serving || !matches!(synced, Synced::Written { .. }) {
            let certified = identity.certified(&self.provider).map_err(|problem| {
                ClusterError::new("certificate of the placement webhook", problem, "delete its Secret")
            })?;
            self.served.replace(certified);
            *is_serving = true;
        }
        Ok(synced)
    }
}
