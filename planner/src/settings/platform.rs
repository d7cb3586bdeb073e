//! Where services run: the part of the settings that names the platform.
use super::{Span, StagingSettings, SwarmSettings};
use foremesh_istio::ProxySettings;
use foremesh_kubernetes::{
    ClusterSettings, Conventions,
    lease::{LEASE_NAME, LeaseSettings},
    resources::relocation::Keep,
    webhook::WebhookAddress,
};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

/// Shortest time after which a watch of Kubernetes may be called stale.
const LEAST_STALE_MS: i64 = 120_000;

/// Where services run.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WrittenPlatform")]
pub enum Platform {
    /// Plain hosts, described by this file; relative to the settings file.
    Hosts(PathBuf),
    /// A Kubernetes cluster.
    Kubernetes(Box<KubernetesSettings>),
    /// A Docker Swarm.
    Swarm(Box<SwarmSettings>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenPlatform {
    hosts: Option<PathBuf>,
    kubernetes: Option<KubernetesSettings>,
    swarm: Option<SwarmSettings>,
}

impl TryFrom<WrittenPlatform> for Platform {
    type Error = &'static str;

    fn try_from(written: WrittenPlatform) -> Result<Self, Self::Error> {
        match (written.hosts, written.kubernetes, written.swarm) {
            (Some(hosts), None, None) => Ok(Self::Hosts(hosts)),
            (None, Some(kubernetes), None) => Ok(Self::Kubernetes(Box::new(kubernetes))),
            (None, None, Some(swarm)) => Ok(Self::Swarm(Box::new(swarm))),
            (None, None, None) => Err(
                "no platform is set; write `hosts: FILE` for plain hosts, `kubernetes: {}` for the cluster of the \
                 current kubeconfig, or `swarm: {}` for the Docker Swarm of this machine",
            ),
            _ => Err(
                "several platforms are set, but one planner works with one; leave one of `hosts`, `kubernetes` and \
                 `swarm`",
            ),
        }
    }
}

/// How a Kubernetes cluster is reached and read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct KubernetesSettings {
    /// File that says where the API server is; relative to the settings file. Without one the usual places are looked at
    /// (`KUBECONFIG`, `~/.kube/config`), then the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of that file; its current one when left out.
    pub context: Option<String>,
    /// Label of the namespaces that Foremesh may work in; its value there is `true`.
    pub opt_in_label: String,
    /// Domain of the cluster, the end of its services' host names.
    pub cluster_domain: String,
    /// A watch that has heard nothing for longer makes the planner blind; at least 2m, because what is quiet is heard of
    /// every half minute.
    pub stale_after: Span,
    /// Policies and calendars of the cluster.
    pub resources: KubernetesResources,
    /// How workloads are moved. Without it nothing is ever changed in the cluster.
    pub moves: Option<KubernetesMoves>,
    /// How moves are tried before they touch production. Without it a policy that moves must waive the trial.
    pub staging: Option<StagingSettings>,
}

/// Whether policies and calendars are taken from the cluster too, beside those of files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct KubernetesResources {
    /// Policies and calendars are watched, and their status is written. Where their definitions are not in the cluster, this
    /// waits for them.
    pub enabled: bool,
    /// The planner's own namespace: what is written there may be about the whole mesh, and what is written elsewhere is about
    /// its own namespace only. That of `moves` when left out; without both, no namespace is the planner's.
    pub namespace: Option<String>,
}

impl Default for KubernetesResources {
    fn default() -> Self {
        Self { enabled: true, namespace: None }
    }
}

/// What moves in a cluster need.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KubernetesMoves {
    /// The planner's own namespace: what moves, and the certificate of the webhook, are kept there.
    pub namespace: String,
    /// The placement webhook.
    pub webhook: PlacementWebhook,
    /// Where istiod is asked what the proxies have.
    #[serde(default)]
    pub istiod: Istiod,
    /// By what is settled which of several planners acts.
    #[serde(default)]
    pub lease: LeaderLease,
    /// How long `Relocation` resources of what is over stay.
    #[serde(default)]
    pub relocations: ShownRelocations,
}

/// How long `Relocation` resources of what is over stay. The journal and the audit trail go further back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ShownRelocations {
    /// Since the end.
    pub keep: Span,
    /// In each namespace, the newest.
    pub at_most: usize,
}

impl Default for ShownRelocations {
    fn default() -> Self {
        Self { keep: Span::from_secs(7 * 86_400), at_most: 50 }
    }
}

impl ShownRelocations {
    /// As the writer of the resources takes it.
    pub const fn keep(&self) -> Keep {
        Keep { for_ms: self.keep.ms(), at_most: self.at_most }
    }
}

/// The Lease that the planner which acts holds, in the planner's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct LeaderLease {
    /// Its name; the same for all planners of which only one may act.
    pub name: String,
    /// How long it lasts: after that another planner takes the place of one that was killed. Whole seconds, 5s to 5m.
    pub duration: Span,
}

/// Limits of a lease, in milliseconds.
const LEASES_MS: std::ops::RangeInclusive<i64> = 5_000..=300_000;

impl Default for LeaderLease {
    fn default() -> Self {
        Self { name: LEASE_NAME.to_owned(), duration: Span::from_secs(15) }
    }
}

/// Where the API server finds the placement webhook.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlacementWebhook {
    /// Address that it listens on.
    pub listen: SocketAddr,
    /// A Service of the planner's namespace, for a planner in the cluster; its port is 443 when nothing else is said.
    pub service: Option<String>,
    /// A name or an address that API servers can connect to, for a planner outside; at the port that is listened on.
    pub host: Option<String>,
}

/// The control plane of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Istiod {
    /// Its namespace.
    pub namespace: String,
    /// A service account in it, for which the planner may create tokens.
    pub account: String,
}

impl Default for Istiod {
    fn default() -> Self {
        let ProxySettings { namespace, account, .. } = ProxySettings::default();
        Self { namespace, account }
    }
}

impl KubernetesMoves {
    /// As the election takes it.
    pub fn lease(&self) -> LeaseSettings {
        LeaseSettings {
            name: self.lease.name.clone(),
            ..LeaseSettings::new(&self.namespace, self.lease.duration.duration())
        }
    }

    /// Where the API server finds the webhook; none when it is not said, or said twice.
    pub fn address(&self) -> Option<WebhookAddress> {
        match (&self.webhook.service, &self.webhook.host) {
            (Some(name), None) => Some(WebhookAddress::Service { name: name.clone(), port: 443 }),
            (None, Some(host)) => {
                Some(WebhookAddress::Url { host: host.clone(), port: self.webhook.listen.port() })
            }
            _ => None,
        }
    }
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        let Conventions { opt_in_label, cluster_domain } = Conventions::default();
        Self {
            kubeconfig: None,
            context: None,
            opt_in_label,
            cluster_domain,
            stale_after: Span::from_secs(120),
            resources: KubernetesResources::default(),
            moves: None,
            staging: None,
        }
    }
}

impl KubernetesSettings {
    /// The planner's own namespace, where it is known.
    pub fn own_namespace(&self) -> Option<&str> {
        let of_moves = || self.moves.as_ref().map(|moves| moves.namespace.as_str());
        self.resources.namespace.as_deref().or_else(of_moves)
    }

    /// As the reader of the cluster takes them.
    pub fn cluster(&self) -> ClusterSettings {
        ClusterSettings {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            conventions: Conventions {
                opt_in_label: self.opt_in_label.clone(),
                cluster_domain: self.cluster_domain.clone(),
            },
            stale_after: self.stale_after.duration(),
        }
    }
}

impl Platform {
    /// Whether policies may come from elsewhere than files.
    pub(super) fn has_policies(&self) -> bool {
        matches!(self, Self::Kubernetes(kubernetes) if kubernetes.resources.enabled)
    }

    /// What cannot be: field, value, limit and remedy.
    pub(super) fn problem(&self) -> Option<(&'static str, String, &'static str, &'static str)> {
        let kubernetes = match self {
            Self::Hosts(_) => return None,
            Self::Swarm(swarm) => return swarm.problem(),
            Self::Kubernetes(kubernetes) => kubernetes,
        };
        if kubernetes.stale_after.ms() < LEAST_STALE_MS {
            return Some((
                "platform.kubernetes.staleAfter",
                kubernetes.stale_after.to_string(),
                "2m or more",
                "a watch of what is quiet is heard of every half minute only; leave it out for 2m",
            ));
        }
        let duration = kubernetes.moves.as_ref().map_or(Span::from_secs(15), |moves| moves.lease.duration);
        if !LEASES_MS.contains(&duration.ms()) || duration.ms() % 1000 != 0 {
            return Some((
                "platform.kubernetes.moves.lease.duration",
                duration.to_string(),
                "whole seconds, 5s to 5m",
                "leave it out for 15s",
            ));
        }
        if let Some(problem) = kubernetes.staging.as_ref().and_then(StagingSettings::problem) {
            return Some(problem);
        }
        kubernetes.moves.as_ref().filter(|moves| moves.address().is_none()).map(|_| {
            (
                "platform.kubernetes.moves.webhook",
                "without an address that is clear".to_owned(),
                "either `service` or `host` beside `listen`",
                "a planner in the cluster is found by its Service, one outside by a host",
            )
        })
    }
}
