//! What a cluster is to be read by.
use std::{path::PathBuf, time::Duration};

/// How a cluster is reached, and how its words are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// File that says where the API server is; without one the usual places are looked at, then the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of that file; without one its current context.
    pub context: Option<String>,
    /// How words are read.
    pub conventions: Conventions,
    /// A watch that has heard nothing for longer makes the snapshot an error. Less than two minutes makes no sense: what is
    /// quiet is heard of once in half a minute.
    pub stale_after: Duration,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            conventions: Conventions::default(),
            stale_after: Duration::from_secs(120),
        }
    }
}

/// Names that differ between clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conventions {
    /// Label of a namespace that is `true` where Foremesh may move workloads.
    pub opt_in_label: String,
    /// Domain of the cluster, the end of its services' host names.
    pub cluster_domain: String,
}

impl Default for Conventions {
    fn default() -> Self {
        Self { opt_in_label: "foremesh.dev/managed".to_owned(), cluster_domain: "cluster.local".to_owned() }
    }
}
