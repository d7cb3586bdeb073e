//! A real Kubernetes with Istio, from `scripts/testbed`.
//!
//! [`Cluster`] is one testbed in a folder of its own; it goes down with the process that started it, however that ends
//! (`up --owner`). Tests share one, [`Cluster::shared`], and have a [`Namespace`] each.
mod dump;
mod installed;
mod load;
mod namespace;
mod planner;
mod workload;

pub use dump::Dump;
pub use installed::{Installed, load_planner};
pub(crate) use installed::{PACKED_WITHIN, pack};
pub use load::Load;
pub use namespace::Namespace;
pub use planner::InCluster;
pub use workload::{Pod, WorkloadSpec};

use crate::testbed::{COMMAND_WITHIN, Node, Testbed, run, said};
use serde_json::Value;
use std::ops::Deref;
use tokio::sync::OnceCell;

/// Nodes of the shared testbed, with their zones and quotas in millicores.
pub const NODES: [Node; 3] =
    [("node-1", "zone-a", Some(500)), ("node-2", "zone-b", Some(1_500)), ("node-3", "zone-a", None)];

static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// A cluster that is up, or the folder of one.
#[derive(Debug)]
pub struct Cluster(Testbed);

impl Cluster {
    /// The testbed of this test process, with [`NODES`]; the first call starts it.
    ///
    /// # Panics
    /// When it does not come up, with what the script said.
    pub async fn shared() -> &'static Self {
        SHARED
            .get_or_init(|| async {
                let cluster = Self::at("test");
                cluster.up_anew(&NODES).await;
                cluster
            })
            .await
    }

    /// The folder of a testbed in `build/testbed`, or where `FOREMESH_TESTBEDS` says; nothing is started.
    pub fn at(name: &str) -> Self {
        Self(Testbed::at(&[], "testbed", name))
    }

    /// Runs kubectl.
    pub async fn kubectl(&self, argv: &[&str]) -> Result<String, String> {
        self.exec(&[&["kubectl"], argv].concat()).await
    }

    /// What kubectl gives as JSON.
    pub async fn get(&self, argv: &[&str]) -> Result<Value, String> {
        let text = self.kubectl(&[&["get", "-o", "json"], argv].concat()).await?;
        serde_json::from_str(&text).map_err(|error| format!("kubectl gave no JSON ({error}): {text}"))
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: &str) -> Result<String, String> {
        self.exec_with(&["kubectl", "apply", "-f", "-"], Some(manifest), COMMAND_WITHIN).await
    }
}

impl Deref for Cluster {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        &self.0
    }
}
