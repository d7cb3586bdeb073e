//! Who the proxies of a cluster are.
use super::Cluster;
use crate::{
    ClusterError,
    error::in_full,
    mapping::{Names, ProxyPlace},
    objects::Pod,
};
use foremesh_core::time::Timestamp;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Age from which on names are looked up anew, in milliseconds.
const OLD_MS: i64 = 10_000;

/// Age from which on they are for a pod whose controller they do not know, in milliseconds: it may be new.
const UNKNOWN_MS: i64 = 1_000;

/// Names as they were looked up last, and when.
pub(super) type Cached = Mutex<Option<(Timestamp, Arc<Names>)>>;

impl Cluster {
    /// What a proxy is a part of: `workload` and `node` are what it says itself. A pod that has just gone is placed by
    /// those.
    ///
    /// # Errors
    /// Until the first lists are complete. Later, what was known last is good enough: names do not change.
    pub async fn proxy(
        &self,
        namespace: &str,
        workload: &str,
        pod: &str,
        node: Option<&str>,
    ) -> Result<ProxyPlace, ClusterError> {
        let pod = self.watches.pods.get(namespace, pod);
        let names = self.names(pod.as_deref()).await?;
        Ok(names.place(namespace, workload, pod.as_deref(), node))
    }

    async fn names(&self, pod: Option<&Pod>) -> Result<Arc<Names>, ClusterError> {
        let now = (self.clock)();
        let mut cached = self.names.lock().await;
        if let Some((at, names)) = &*cached {
            let unknown = pod.is_some_and(|pod| !names.knows(pod));
            if now.ms_since(*at) < if unknown { UNKNOWN_MS } else { OLD_MS } {
                return Ok(Arc::clone(names));
            }
        }
        let (objects, _) = match self.held(now) {
            Ok(held) => held,
            Err(error) => return cached.as_ref().map(|(_, names)| Arc::clone(names)).ok_or(error),
        };
        let conventions = self.settings.conventions.clone();
        // As a snapshot, it takes tens of milliseconds in a large cluster.
        let made = tokio::task::spawn_blocking(move || Names::of(&objects, &conventions)).await;
        let names = Arc::new(made.map_err(|error| {
            ClusterError::new("names of the cluster", in_full(&error), "report it as a fault of Foremesh")
        })?);
        *cached = Some((now, Arc::clone(&names)));
        Ok(names)
    }
}
