//! CPU in use, from whoever measures it.
mod metrics_api;

pub use metrics_api::MetricsApi;

use async_trait::async_trait;
use foremesh_core::time::Timestamp;
use std::{collections::HashMap, fmt::Debug, sync::Arc};

/// Says how much CPU nodes and pods use now.
#[async_trait]
pub trait UsageSource: Send + Sync + Debug {
    /// What is known now. What could not be measured is missing, and never zero.
    async fn usage(&self, now: Timestamp) -> Arc<Usage>;
}

/// CPU in use, in millicores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    nodes: HashMap<String, f64>,
    /// By namespace and name.
    pods: HashMap<String, HashMap<String, f64>>,
}

impl Usage {
    /// Notes what a node uses.
    pub fn set_node(&mut self, node: impl Into<String>, millicores: f64) {
        self.nodes.insert(node.into(), millicores);
    }

    /// Notes what a pod uses.
    pub fn set_pod(&mut self, namespace: impl Into<String>, name: impl Into<String>, millicores: f64) {
        self.pods.entry(namespace.into()).or_default().insert(name.into(), millicores);
    }

    /// What a node uses, in millicores.
    pub fn node(&self, name: &str) -> Option<f64> {
        self.nodes.get(name).copied()
    }

    /// What a pod uses, in millicores.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<f64> {
        self.pods.get(namespace)?.get(name).copied()
    }
}
