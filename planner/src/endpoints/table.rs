//! The newest endpoints of every cluster, in memory, in the order in which they changed.
use super::{Endpoints, codec};
use envoy_types::pb::google::protobuf::Any;
use foremesh_core::ids::ServiceId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};
use tokio::{sync::watch, time::Instant};

/// The endpoints of one cluster as proxies get them.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) said: Endpoints,
    pub(super) encoded: Any,
    /// Counted up with each change of any cluster.
    pub(super) change: u64,
    /// When they became known.
    pub(super) at: Instant,
}

/// All clusters.
#[derive(Debug, Default)]
pub(super) struct Table {
    state: RwLock<State>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    newest: u64,
    clusters: HashMap<Arc<str>, Arc<Resource>>,
    /// Each cluster once, by its last change: what is new to somebody is found without looking at the rest.
    changes: BTreeMap<u64, Arc<str>>,
    services: HashMap<ServiceId, Arc<str>>,
}

impl Table {
    /// Takes what a service's file says. Endpoints that nobody could be sent to are not taken: whoever has some keeps them.
    pub(super) fn publish(&self, service: &ServiceId, said: &Endpoints) {
        if said.endpoints.values().all(|endpoint| endpoint.weight == 0) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let known = state.clusters.get(said.cluster.as_str());
        if known.is_some_and(|known| known.said.endpoints == said.endpoints) {
            return;
        }
        let cluster: Arc<str> = said.cluster.as_str().into();
        // The file had another cluster's name before.
        let before = state.services.insert(service.clone(), Arc::clone(&cluster));
        for old in before.iter().chain([&cluster]) {
            if let Some(resource) = state.clusters.remove(old) {
                state.changes.remove(&resource.change);
            }
        }
        state.newest += 1;
        let change = state.newest;
        let (encoded, at) = (codec::resource(said), Instant::now());
        let resource = Resource { said: said.clone(), encoded, change, at };
        state.clusters.insert(Arc::clone(&cluster), Arc::new(resource));
        state.changes.insert(change, cluster);
        self.newest.send_replace(change);
    }

    /// Tells that something changed.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Takes out of `due` what there is to be sent, up to about `bytes`, after putting into it what changed since `seen` among
    /// what is wanted. A name that nobody knows is no longer due: once it is known, it is a change.
    pub(super) fn take(
        &self,
        seen: &mut u64,
        wanted: &HashSet<String>,
        due: &mut BTreeSet<String>,
        bytes: usize,
    ) -> Vec<Arc<Resource>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        for (_, cluster) in state.changes.range(seen.saturating_add(1)..) {
            if let Some(name) = wanted.get(&**cluster) {
                due.insert(name.clone());
            }
        }
        *seen = state.newest;
        let (mut taken, mut size) = (Vec::new(), 0_usize);
        while size < bytes
            && let Some(name) = due.pop_first()
        {
            if let Some(resource) = state.clusters.get(name.as_str()) {
                size = size.saturating_add(resource.encoded.value.len());
                taken.push(Arc::clone(resource));
            }
        }
        taken
    }
}
