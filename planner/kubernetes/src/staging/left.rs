//! What trials have made, found by its label and taken away.
use super::{
    GONE_WITHIN, POLL, Staging, TRIAL_LABEL,
    api::kind_path,
    label_of,
    space::{MAKE, is_ours},
};
use crate::ClusterError;
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::time::{Instant, sleep};

/// Kinds that a trial makes, pods first: what reads the others must be on its way out before they go.
const KINDS: [&str; 4] = ["pods", "services", "configmaps", "serviceaccounts"];
/// Only where it may be copied.
const SECRETS: &str = "secrets";

/// An object of a trial.
struct Made {
    path: String,
    object: Value,
}

impl Made {
    fn trial(&self) -> &str {
        self.object["metadata"]["labels"][TRIAL_LABEL].as_str().unwrap_or_default()
    }

    /// A copy that runs, or will.
    fn is_alive(&self) -> bool {
        let ended = ["Failed", "Succeeded"].iter().any(|phase| self.object["status"]["phase"] == *phase);
        self.path.contains("/pods/") && !ended && self.object["metadata"]["deletionTimestamp"].is_null()
    }
}

impl Staging {
    /// Removes everything of a trial, and waits until it is gone. Is content when there is nothing.
    ///
    /// # Errors
    /// When it could not be removed, or is still there after a minute.
    pub async fn clear(&self, id: &str) -> Result<(), ClusterError> {
        if self.is_there().await? {
            let own = label_of(id);
            self.remove(Some(&own), self.made(Some(&own)).await?).await?;
        }
        Ok(())
    }

    /// Removes what every trial left. To be called before any trial is made, when the planner starts. Returns the names of
    /// the trials.
    ///
    /// # Errors
    /// When it cannot be looked, the namespace is somebody else's, or something cannot be removed.
    pub async fn sweep(&self) -> Result<Vec<String>, ClusterError> {
        if !self.is_there().await? {
            return Ok(Vec::new());
        }
        let left = self.made(None).await?;
        let trials: BTreeSet<String> = left.iter().map(|made| made.trial().to_owned()).collect();
        self.remove(None, left).await?;
        Ok(trials.into_iter().collect())
    }

    /// Removes what is left of this trial, and of others whose copies have ended: a teardown may have failed.
    ///
    /// # Errors
    /// When copies of another trial run, or something cannot be removed.
    pub(super) async fn make_room(&self, id: &str) -> Result<(), ClusterError> {
        let own = label_of(id);
        let left = self.made(None).await?;
        if let Some(other) = left.iter().find(|made| made.trial() != own && made.is_alive()) {
            let remedy = "another planner may be making it, which needs a staging namespace of its own; else wait until its \
                          deadline ends it";
            let problem = format!("{} of trial {} runs in it", other.path, other.trial());
            return Err(ClusterError::new(self.name(), problem, remedy));
        }
        self.remove(None, left).await
    }

    /// Whether there is anything to look at.
    ///
    /// # Errors
    /// When the namespace is somebody else's.
    async fn is_there(&self) -> Result<bool, ClusterError> {
        let Some(namespace) = self.staging.get(&self.path()).await? else { return Ok(false) };
        is_ours(&namespace).map_err(|why| ClusterError::new(self.name(), why, MAKE))?;
        Ok(true)
    }

    /// Deletes what was found of one trial, or of all, and waits until nothing of that is there any more.
    async fn remove(&self, trial: Option<&str>, left: Vec<Made>) -> Result<(), ClusterError> {
        for made in &left {
            self.staging.delete(&made.path, &made.object).await?;
        }
        let deadline = Instant::now() + GONE_WITHIN;
        let mut waits = !left.is_empty();
        while waits {
            let left = self.made(trial).await?;
            waits = !left.is_empty();
            if let Some(made) = left.first().filter(|_| Instant::now() > deadline) {
                let problem = format!("{} is still there after {} s", made.path, GONE_WITHIN.as_secs());
                let remedy = "see what holds it with `kubectl describe`; pods stop by themselves";
                return Err(ClusterError::new(self.name(), problem, remedy));
            }
            if waits {
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// All that is there of a trial, or of all trials.
    async fn made(&self, trial: Option<&str>) -> Result<Vec<Made>, ClusterError> {
        let label = trial.map_or_else(|| TRIAL_LABEL.to_owned(), |trial| format!("{TRIAL_LABEL}={trial}"));
        let kinds = KINDS.into_iter().chain(self.place.secrets.then_some(SECRETS));
        let lists = kinds.map(|plural| {
            let (path, label) = (kind_path("", plural, Some(&self.place.namespace)), &label);
            async move {
                let all = self.staging.list(&path, label).await?;
                let made = |object: Value| Made {
                    path: format!("{path}/{}", object["metadata"]["name"].as_str().unwrap_or_default()),
                    object,
                };
                Ok::<_, ClusterError>(all.into_iter().map(made).collect::<Vec<_>>())
            }
        });
        let made = futures::future::try_join_all(lists).await?.into_iter().flatten();
        // Whatever a server makes of the selector: what has another label, or none, stays.
        Ok(made
            .filter(|made| match trial {
                Some(trial) => made.trial() == trial,
                None => !made.trial().is_empty(),
            })
            .collect())
    }
}
