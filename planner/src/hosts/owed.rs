//! Stops that could not be made when they were due, because their host could not be asked, or the planner was killed.
use super::{HostsPlatform, Shared, asked::Answer, command::Copied, placements::Owed, relocate::Stopped};
use crate::{causes::chain, platform::PlatformError};
use foremesh_core::ids::NodeId;
use std::collections::{BTreeMap, BTreeSet};

impl HostsPlatform {
    /// What is still to be stopped, in words.
    pub(crate) async fn owed(&self) -> Vec<String> {
        let owed = self.shared.placements.owed().await;
        let in_words = |owed: &Owed| {
            let what = if owed.copy { "a copy of workload" } else { "workload" };
            format!(
                "{what} `{}` is still to be stopped on host `{}`, which could not be asked",
                owed.workload, owed.host
            )
        };
        owed.iter().map(in_words).collect()
    }

    /// Makes the stops that are owed on hosts that answered, without anybody waiting for it.
    pub(super) fn pay_in_time(&self, answers: &BTreeMap<NodeId, Answer>) {
        if !self.shared.acts {
            return;
        }
        let there = answers.iter().filter(|(_, answer)| answer.unreachable.is_none());
        let there: BTreeSet<NodeId> = there.map(|(node, _)| node.clone()).collect();
        let platform = self.clone();
        tokio::spawn(async move { platform.shared.pay(&there).await });
    }
}

impl Shared {
    async fn pay(&self, there: &BTreeSet<NodeId>) {
        for owed in self.placements.owed().await.into_iter().filter(|owed| there.contains(&owed.host)) {
            // A copy of a trial that goes on is stopped when that is over.
            let trying = self.trying.try_lock();
            if owed.copy && trying.is_err() {
                continue;
            }
            let Ok(_alone) = self.paying.try_lock() else { return };
            let Owed { workload, host, .. } = &owed;
            match self.pay_one(&owed).await {
                Ok(()) => {
                    tracing::info!(%workload, %host, copy = owed.copy, "what had to be stopped there is stopped");
                }
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(%workload, %host, copy = owed.copy, why, "what has to be stopped there is not yet");
                }
            }
        }
    }

    /// Stops one thing that is owed, if it still is. The caller sees to it that nobody starts it meanwhile.
    async fn pay_one(&self, owed: &Owed) -> Result<(), PlatformError> {
        if !self.placements.owed().await.contains(owed) {
            return Ok(());
        }
        if !owed.copy {
            self.has_no_traffic(&owed.workload, &owed.host).await?;
        }
        let copy = owed.copy.then(|| self.copied(&owed.host, 0));
        match self.stop(&owed.workload, &owed.host, copy).await? {
            Stopped::Gone => self.placements.paid(owed).await,
            Stopped::Unasked(error) => Err(error),
        }
    }

    /// Stops every copy that is left of trials.
    ///
    /// # Errors
    /// When one of them may still be there; the others are stopped all the same.
    pub(super) async fn clear_copies(&self) -> Result<(), PlatformError> {
        let _alone = self.paying.lock().await;
        let mut failed = Ok(());
        for owed in self.placements.owed().await.iter().filter(|owed| owed.copy) {
            if let Err(error) = self.pay_one(owed).await {
                failed = Err(error);
            }
        }
        failed
    }

    /// The copy of a workload on a host.
    pub(super) fn copied(&self, host: &NodeId, lives_s: u64) -> Copied {
        let ports = self.hosts.staging.as_ref().map(|staging| &staging.ports);
        Copied { port: ports.and_then(|ports| ports.get(host)).copied().unwrap_or(0), lives_s }
    }
}
