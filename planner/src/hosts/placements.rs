//! `placements.json`: where the planner put the replicas of each workload.
use super::config::Hosts;
use crate::{durable, platform::PlatformError};
use foremesh_core::ids::{NodeId, WorkloadId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use tokio::sync::Mutex;

/// The form of the file; a file of another version is refused.
const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    workloads: BTreeMap<WorkloadId, BTreeSet<NodeId>>,
}

/// The recorded placements, in memory and on disk.
#[derive(Debug)]
pub(super) struct Placements {
    path: PathBuf,
    stored: Mutex<Stored>,
}

impl Placements {
    /// Reads the file; a workload that it does not have yet starts where `runsOn` says.
    pub(super) async fn read(state_dir: &Path, hosts: &Hosts) -> Result<Self, PlatformError> {
        let path = state_dir.join("placements.json");
        let mut stored = match durable::read(&path).await? {
            None => Stored { version: VERSION, workloads: BTreeMap::new() },
            Some(content) => parse(&path, &content)?,
        };
        for (name, workload) in &hosts.workloads {
            let recorded = stored.workloads.entry(name.clone()).or_default();
            // A host that was taken out of the hosts file can neither be asked nor get traffic.
            recorded.retain(|host| hosts.hosts.contains_key(host));
            if recorded.is_empty() {
                recorded.clone_from(&workload.runs_on);
            }
        }
        Ok(Self { path, stored: Mutex::new(stored) })
    }

    /// Writes what is known, so that the next run starts from it whatever the hosts file says then.
    pub(super) async fn save(&self) -> Result<(), PlatformError> {
        self.write(&*self.stored.lock().await).await
    }

    /// Where the workload was put.
    pub(super) async fn of(&self, workload: &WorkloadId) -> BTreeSet<NodeId> {
        self.stored.lock().await.workloads.get(workload).cloned().unwrap_or_default()
    }

    /// Records a host before the replica is started there.
    pub(super) async fn add(&self, workload: &WorkloadId, host: &NodeId) -> Result<(), PlatformError> {
        self.change(workload, |recorded| recorded.insert(host.clone())).await
    }

    /// Forgets a host after the replica was stopped there.
    pub(super) async fn remove(&self, workload: &WorkloadId, host: &NodeId) -> Result<(), PlatformError> {
        self.change(workload, |recorded| recorded.remove(host)).await
    }

    async fn change(
        &self,
        workload: &WorkloadId,
        change: impl FnOnce(&mut BTreeSet<NodeId>) -> bool,
    ) -> Result<(), PlatformError> {
        let mut stored = self.stored.lock().await;
        let mut next = stored.clone();
        if change(next.workloads.entry(workload.clone()).or_default()) {
            self.write(&next).await?;
            *stored = next;
        }
        Ok(())
    }

    async fn write(&self, stored: &Stored) -> Result<(), PlatformError> {
        let content = serde_json::to_vec_pretty(stored).map_err(|error| PlatformError::File {
            action: "write",
            path: self.path.clone(),
            source: error.into(),
        })?;
        durable::replace(self.path.clone(), content).await
    }
}

fn parse(path: &Path, content: &[u8]) -> Result<Stored, PlatformError> {
    let refused = |problem: String| PlatformError::Refused {
        object: path.display().to_string(),
        problem,
        remedy: "restore the file from a copy, or delete it so that `runsOn` of the hosts file counts again"
            .to_owned(),
    };
    let stored: Stored =
        serde_json::from_slice(content).map_err(|error| refused(format!("it makes no sense ({error})")))?;
    if stored.version != VERSION {
        return Err(refused(format!(
            "it has version {}, this planner knows version {VERSION}",
            stored.version
        )));
    }
    Ok(stored)
}
