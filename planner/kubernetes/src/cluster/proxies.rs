//! Who the proxies of a cluster are.
use super::Cluster;
use crate::{
    ClusterError,
    error::in_full,
    mapping::{Names, ProxyPlace},
    objects::Pod,
};
use foremesh_core::time::Timestamp;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Age from which on names are looked up anew, in milliseconds.
const OLD_MS: i64 = 10_000;

/// The same for a pod of which it is not known what makes it: it may be new, or its namespace may just have opted in.
const MISSED_MS: i64 = 1_000;

/// How long such a pod is asked to wait, in milliseconds. The watches are apart, so it may be known before what makes it;
/// after that, nothing that Foremesh knows does.
const WAIT_MS: i64 = 30_000;

/// Names as they were looked up last.
#[derive(Debug, Default)]
pub(super) struct Cached {
    made: Option<(Timestamp, Arc<Names>)>,
    /// What made pods and was not known, by uid, with the time when it was missed first.
    missed: HashMap<String, Timestamp>,
}

impl Cluster {
    /// What a proxy is a part of: `workload` and `node` are what it says itself. A pod that has just gone is placed by
    /// those.
    ///
    /// # Errors
    /// Until the first lists are complete, and for a while when it is not known what makes the pod: a guess would be kept
    /// for good. Where the API server does not answer later on, what was known last is good enough.
    pub async fn proxy(
        &self,
        namespace: &str,
        workload: &str,
        pod: &str,
        node: Option<&str>,
    ) -> Result<ProxyPlace, ClusterError> {
        let found = self.watches.pods.get(namespace, pod);
        let managed = || {
            let label = &self.settings.conventions.opt_in_label;
            let space = self.watches.namespaces.get("", namespace);
            space.is_some_and(|space| space.meta.labels.get(label).is_some_and(|value| value == "true"))
        };
        let managed = found.as_deref().filter(|_| managed());
        let names = self.names(managed).await?;
        Ok(names.place(namespace, workload, found.as_deref(), node))
    }

    /// The names, which know what makes this pod unless it has been missed for long.
    pub(super) async fn names(&self, pod: Option<&Pod>) -> Result<Arc<Names>, ClusterError> {
        let now = (self.clock)();
        let mut cached = self.names.lock().await;
        let missed = |names: &Names| pod.filter(|pod| !names.knows(pod));
        let current = match &cached.made {
            None => None,
            Some((at, names)) => {
                let since = missed(names).map(|pod| cached.missed.get(&pod.meta.owner).copied());
                let waits = since.is_some_and(|since| since.is_none_or(|at| now.ms_since(at) < WAIT_MS));
                let old_ms = if waits { MISSED_MS } else { OLD_MS };
                (now.ms_since(*at) < old_ms).then(|| Arc::clone(names))
            }
        };
        let names = match current {
            Some(names) => names,
            None => self.look_up(&mut cached, now).await?,
        };
        if let Some(pod) = missed(&names) {
            let since = *cached.missed.entry(pod.meta.owner.clone()).or_insert(now);
            if now.ms_since(since) < WAIT_MS {
                return Err(ClusterError::new(
                    format!("pod {}/{}", pod.meta.namespace, pod.meta.name),
                    "what makes it is not known yet",
                    "nothing is to be done: its proxy sends again",
                ));
            }
        }
        Ok(names)
    }

    async fn look_up(&self, cached: &mut Cached, now: Timestamp) -> Result<Arc<Names>, ClusterError> {
        let (objects, _) = match self.held(now) {
            Ok(held) => held,
            Err(error) => return cached.made.as_ref().map(|(_, names)| Arc::clone(names)).ok_or(error),
        };
        let conventions = self.settings.conventions.clone();
        // As a snapshot, it takes tens of milliseconds in a large cluster.
        let made = tokio::task::spawn_blocking(move || {
            let names = Names::of(&objects, &conventions);
            let owners = objects.pods.iter().map(|pod| pod.meta.owner.clone()).collect();
            (names, owners)
        })
        .await;
        let (names, owners): (Names, HashSet<String>) = made.map_err(|error| {
            ClusterError::new("names of the cluster", in_full(&error), "report it as a fault of Foremesh")
        })?;
        let names = Arc::new(names);
        cached.missed.retain(|owner, _| owners.contains(owner));
        cached.made = Some((now, Arc::clone(&names)));
        Ok(names)
    }
}
