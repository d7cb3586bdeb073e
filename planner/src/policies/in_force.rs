//! The policies that a pass decides by: those of files, and those that the cluster has now.
use super::judge::{Accepted, Judged, Judging, in_force, judge, while_unknown};
use foremesh_core::{ids::ServiceId, policy::RelocationPolicy, topology::Snapshot};
use foremesh_kubernetes::resources::{DEFINE, Resources, Written};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Policies, asked anew at each pass.
#[derive(Debug)]
pub struct Policies {
    files: Vec<RelocationPolicy>,
    cluster: Option<(Arc<Resources>, Judging)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    accepted: Accepted,
    /// Services of the newest pass.
    services: BTreeSet<ServiceId>,
    /// Why it is not known what the cluster has, as it was said last.
    unknown: Option<String>,
}

impl Policies {
    /// Those of files alone.
    pub fn of_files(files: Vec<RelocationPolicy>) -> Self {
        Self { files, cluster: None, state: Mutex::default() }
    }

    /// Those of files, and of a cluster.
    #[must_use]
    pub fn with_cluster(mut self, resources: Arc<Resources>, judging: Judging) -> Self {
        let taken = self.files.iter().map(|policy| policy.id.clone()).collect();
        self.cluster = Some((resources, Judging { taken, ..judging }));
        self
    }

    /// Those of files.
    pub fn files(&self) -> &[RelocationPolicy] {
        &self.files
    }

    /// What is in force now, those of files first.
    pub fn now(&self) -> Vec<RelocationPolicy> {
        let mut policies = self.files.clone();
        policies.extend(self.look().0);
        policies
    }

    /// Tells what the newest pass found in the mesh.
    pub fn saw(&self, snapshot: &Snapshot) {
        let services = snapshot.workloads.values().map(|workload| workload.service.clone()).collect();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).services = services;
    }

    /// Every policy that the cluster has, with what becomes of it and how many services it is about; none while it is not
    /// known what the cluster has.
    pub fn judged(&self) -> Vec<(Judged, usize)> {
        let judged = self.look().1;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let about = |policy: &RelocationPolicy| {
            state.services.iter().filter(|service| policy.selects(service)).count()
        };
        judged
            .into_iter()
            .map(|one| (one.policy.as_ref().map_or(0, about), one))
            .map(|(n, one)| (one, n))
            .collect()
    }

    fn look(&self) -> (Vec<RelocationPolicy>, Vec<Judged>) {
        let Some((resources, judging)) = &self.cluster else { return Default::default() };
        let stored = resources.stored(Written::Policy);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match stored {
            Ok(stored) => {
                if state.unknown.take().is_some() {
                    tracing::info!("the policies of the cluster are known");
                }
                let judged: Vec<Judged> = stored.iter().map(|stored| judge(stored, judging)).collect();
                (in_force(&judged, &mut state.accepted), judged)
            }
            Err(error) => {
                let observing = while_unknown(&state.accepted);
                // What it says changes with every second.
                if state.unknown.as_ref() != Some(&error.remedy) {
                    if error.remedy == DEFINE && observing.is_empty() {
                        tracing::info!(
                            "policies and calendars come from files alone, as the cluster does not define theirs; {DEFINE}"
                        );
                    } else {
                        tracing::warn!(%error, "the policies of the cluster are not known, so those known before only observe");
                    }
                    state.unknown = Some(error.remedy);
                }
                (observing, Vec::new())
            }
        }
    }
}
