//! What is kept of the objects of a cluster: the few fields that decide where a replica may be.
//!
//! Each kind is read into a struct of just these fields, so that the rest is skipped while it is parsed and never takes
//! up memory. The names of the fields are those of the Kubernetes API.
mod controllers;
mod limits;
mod manifest;
mod node;
mod pod;
mod quantity;
mod requested;
mod rules;
mod selector;
mod storage;

pub(crate) use controllers::{Deployment, ReplicaSet, StatefulSet};
pub(crate) use limits::{Budget, Namespace, Quota, Scaler, Service};
pub(crate) use manifest::{Keep, Kept, Kind, Manifest, Meta, Unread};
pub(crate) use node::{Node, NodeTaint};
pub(crate) use pod::Pod;
pub(crate) use quantity::Quantity;
pub(crate) use requested::Requested;
pub(crate) use rules::{Mount, PodTerm, Rules, SpreadRule, effect};
pub(crate) use selector::{NodeTerm, Selector, equals};
pub(crate) use storage::{Claim, PersistentVolume};

use std::sync::Arc;

/// Everything that a snapshot is made of, as it was at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) deployments: Vec<Arc<Deployment>>,
    pub(crate) replica_sets: Vec<Arc<ReplicaSet>>,
    pub(crate) stateful_sets: Vec<Arc<StatefulSet>>,
    pub(crate) services: Vec<Arc<Service>>,
    pub(crate) budgets: Vec<Arc<Budget>>,
    pub(crate) scalers: Vec<Arc<Scaler>>,
    pub(crate) claims: Vec<Arc<Claim>>,
    pub(crate) volumes: Vec<Arc<PersistentVolume>>,
    pub(crate) quotas: Vec<Arc<Quota>>,
    pub(crate) namespaces: Vec<Arc<Namespace>>,
}
