//! The endpoint files of the services, written one change at a time.
use super::{
    answering::Answering,
    shares::{self, Memory, Shares},
};
use crate::{durable, endpoints::EndpointFiles, platform::PlatformError};
use foremesh_core::ids::{ReplicaId, ServiceId};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use tokio::sync::{Mutex, MutexGuard};

/// Who gets a service's traffic, durable.
#[derive(Debug)]
pub(super) struct Traffic {
    files: EndpointFiles,
    cluster_port: u16,
    memory: PathBuf,
    /// What is remembered of each service; whoever changes shares holds it.
    remembered: Mutex<BTreeMap<ServiceId, Memory>>,
}

/// The right to change shares.
pub(super) type Changing<'t> = MutexGuard<'t, BTreeMap<ServiceId, Memory>>;

impl Traffic {
    /// Reads what an earlier planner has remembered.
    ///
    /// # Errors
    /// When that makes no sense.
    pub(super) async fn open(
        directory: PathBuf,
        cluster_port: u16,
        state_directory: &Path,
    ) -> Result<Self, PlatformError> {
        let memory = state_directory.join("swarm-weights.json");
        let remembered = match durable::read(&memory).await? {
            None => BTreeMap::new(),
            Some(content) => serde_json::from_slice(&content).map_err(|error| PlatformError::Refused {
                object: memory.display().to_string(),
                problem: error.to_string(),
                remedy: "delete it; replicas that were to have no traffic get a whole share then".to_owned(),
            })?,
        };
        let files = EndpointFiles::open(directory);
        Ok(Self { files, cluster_port, memory, remembered: Mutex::new(remembered) })
    }

    pub(super) fn files(&self) -> EndpointFiles {
        self.files.clone()
    }

    /// Nobody else changes shares until this is dropped.
    pub(super) async fn changing(&self) -> Changing<'_> {
        self.remembered.lock().await
    }

    /// What the file of a service says; nothing when there is none.
    pub(super) async fn known(&self, service: &ServiceId) -> Result<Option<Shares>, PlatformError> {
        Ok(self.files.read(service).await?.map(|read| read.endpoints))
    }

    /// Makes shares follow the tasks of a service.
    pub(super) async fn follow(
        &self,
        changing: &mut Changing<'_>,
        service: &ServiceId,
        now: &Answering,
    ) -> Result<(), PlatformError> {
        let known = self.known(service).await?.unwrap_or_default();
        let remembered = changing.get(service).cloned().unwrap_or_default();
        let (shares, memory) = shares::followed(&known, &remembered, now);
        if shares.is_empty() {
            // It never loses its last endpoint; Envoy sees by itself whether that answers.
            return Ok(());
        }
        self.write(changing, service, shares, memory).await
    }

    /// Puts shares in force: first what is remembered, so that nobody is given what was taken.
    pub(super) async fn write(
        &self,
        changing: &mut Changing<'_>,
        service: &ServiceId,
        shares: Shares,
        memory: Memory,
    ) -> Result<(), PlatformError> {
        if changing.get(service).cloned().unwrap_or_default() != memory {
            let mut next = BTreeMap::clone(changing);
            next.insert(service.clone(), memory);
            next.retain(|_, memory| !memory.is_empty());
            let content = serde_json::to_vec_pretty(&next).map_err(|error| PlatformError::Refused {
                object: self.memory.display().to_string(),
                problem: error.to_string(),
                remedy: "report it as a fault of Foremesh".to_owned(),
            })?;
            durable::replace(self.memory.clone(), content).await?;
            **changing = next;
        }
        let cluster = format!("outbound|{}||{service}", self.cluster_port);
        self.files.replace(service, &cluster, shares).await
    }

    /// Weights in force, by replica; an endpoint that somebody wrote by hand goes by its address.
    pub(super) async fn weights(
        &self,
        service: &ServiceId,
    ) -> Result<Option<BTreeMap<ReplicaId, u32>>, PlatformError> {
        let Some(known) = self.known(service).await? else { return Ok(None) };
        let mut weights = BTreeMap::new();
        for (address, endpoint) in known {
            let id = endpoint.replica.unwrap_or_else(|| ReplicaId::new(address.to_string()));
            *weights.entry(id).or_default() += endpoint.weight;
        }
        Ok(Some(weights))
    }
}
