//! `placements.json`: where the planner put the replicas of each workload, and what it still has to stop.
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
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    owed: BTreeSet<Owed>,
}

/// Something that is to be stopped and is not yet known to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owed {
    pub(super) workload: WorkloadId,
    pub(super) host: NodeId,
    /// It is the copy of a trial, and not the workload itself.
    #[serde(default)]
    pub(super) copy: bool,
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
            None => Stored { version: VERSION, workloads: BTreeMap::new(), owed: BTreeSet::new() },
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
        stored.owed.retain(|owed| {
            let known = hosts.workloads.get(&owed.workload).is_some_and(|of| of.ports.contains_key(&owed.host));
            if !known {
                let Owed { workload, host, .. } = owed;
                tracing::warn!(%workload, %host, "what had to be stopped there is not in the hosts file any more");
            }
            known
        });
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

    /// Where all workloads were put.
    pub(super) async fn all(&self) -> BTreeMap<WorkloadId, BTreeSet<NodeId>> {
        self.stored.lock().await.workloads.clone()
    }

    /// What is still to be stopped.
    pub(super) async fn owed(&self) -> BTreeSet<Owed> {
        self.stored.lock().await.owed.clone()
    }

    /// Workloads that are still to be stopped on a host.
    pub(super) async fn owed_pairs(&self) -> BTreeSet<(WorkloadId, NodeId)> {
        let owed = self.owed().await.into_iter().filter(|owed| !owed.copy);
        owed.map(|owed| (owed.workload, owed.host)).collect()
    }

    /// Records a host before the replica is started there.
    pub(super) async fn add(&self, workload: &WorkloadId, host: &NodeId) -> Result<(), PlatformError> {
        let stop = Owed { workload: workload.clone(), host: host.clone(), copy: false };
        self.change(|stored| {
            let is_new = stored.workloads.entry(workload.clone()).or_default().insert(host.clone());
            // What is to run there is not to be stopped any more.
            stored.owed.remove(&stop) | is_new
        })
        .await
    }

    /// Forgets a host after the replica was stopped there.
    pub(super) async fn remove(&self, workload: &WorkloadId, host: &NodeId) -> Result<(), PlatformError> {
        self.change(|stored| stored.workloads.entry(workload.clone()).or_default().remove(host)).await
    }

    /// Records that something is to be stopped: a copy before it is started, or a workload on a host that cannot be asked,
    /// which is not counted as running there from now on.
    pub(super) async fn owe(&self, stops: &[Owed]) -> Result<(), PlatformError> {
        self.change(|stored| {
            let before = stored.owed.len();
            for stop in stops {
                stored.owed.insert(stop.clone());
                if !stop.copy
                    && let Some(hosts) = stored.workloads.get_mut(&stop.workload)
                {
                    hosts.remove(&stop.host);
                }
            }
            stored.owed.len() != before
        })
        .await
    }

    /// Records that it is stopped.
    pub(super) async fn paid(&self, stop: &Owed) -> Result<(), PlatformError> {
        self.change(|stored| stored.owed.remove(stop)).await
    }

    async fn change(&self, change: impl FnOnce(&mut Stored) -> bool) -> Result<(), PlatformError> {
        let mut stored = self.stored.lock().await;
        let mut next = stored.clone();
        if change(&mut next) {
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
