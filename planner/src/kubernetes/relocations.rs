//! Rollouts as `Relocation` resources, kept up to date beside the rollouts and never in their way.
use crate::{
    causes::chain,
    clock::Clock,
    leader::Leader,
    rollout::{RolloutError, Rollouts},
};
use async_trait::async_trait;
use foremesh_core::{ids::RolloutId, rollout::RolloutRecord};
use foremesh_kubernetes::resources::relocation::{
    Journal, JournalError, Keep, Projection, ProjectionError, Store, StoreError,
};
use std::time::Duration;

/// Looks at the resources when nothing is told of them: what is over goes when it is old enough.
const LOOKED_EVERY: Duration = Duration::from_secs(60);
/// The same when it is not known whether something would be told, or the last look failed.
const LOOKED_OFTEN: Duration = Duration::from_secs(3);
/// Changes of state come in twos and threes.
const GATHERED: Duration = Duration::from_millis(200);

/// Shows rollouts as resources.
#[derive(Debug)]
pub(super) struct Relocations {
    projection: Projection,
    clock: Clock,
}

impl Relocations {
    pub(super) const fn new(store: Store, keep: Keep, clock: Clock) -> Self {
        Self { projection: Projection::new(store, keep), clock }
    }

    /// Follows the rollouts while this planner may act.
    pub(super) async fn follow(mut self, rollouts: &Rollouts, leader: &dyn Leader) {
        let mut changes = rollouts.changes();
        let news = self.projection.news();
        // What went wrong last, so that it is logged once.
        let mut failing = None;
        loop {
            // Everything of ours is told of all namespaces.
            let mark = news.as_ref().and_then(|news| news.mark(""));
            let mut pause = LOOKED_EVERY;
            if leader.refusal().is_none() {
                match self.projection.look(rollouts, self.clock.now()).await {
                    Ok(()) => failing = None,
                    // It is read again.
                    Err(ProjectionError::Store(StoreError::Overtaken(_))) => pause = LOOKED_OFTEN,
                    Err(error) => {
                        let missing = matches!(error, ProjectionError::Store(StoreError::Missing));
                        if !missing {
                            pause = LOOKED_OFTEN;
                        }
                        let why = chain(&error);
                        if failing.as_ref() != Some(&why) {
                            if missing {
                                tracing::info!("moves are not shown as resources: {why}");
                            } else {
                                tracing::warn!(error = %why, "moves are not shown as resources for now, and go on without");
                            }
                            failing = Some(why);
                        }
                    }
                }
            } else {
                // Whoever comes to lead looks soon; that asks nobody.
                pause = LOOKED_OFTEN;
            }
            let told = async {
                match &news {
                    Some(news) => news.more("", mark, pause, LOOKED_OFTEN).await,
                    None => tokio::time::sleep(LOOKED_OFTEN).await,
                }
            };
            tokio::select! {
                () = told => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::time::sleep(GATHERED).await;
                }
            }
        }
    }
}

#[async_trait]
impl Journal for Rollouts {
    async fn active(&self) -> Result<Vec<RolloutRecord>, JournalError> {
        self.active().await.map_err(failed)
    }

    async fn get(&self, rollout: &RolloutId) -> Result<Option<RolloutRecord>, JournalError> {
        match self.get(rollout).await {
            Ok(record) => Ok(Some(record)),
            Err(RolloutError::Unknown(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn noted(&self) -> Result<Vec<RolloutRecord>, JournalError> {
        let noted = |record: &RolloutRecord| record.benefit.is_some() || record.moved_back.is_some();
        let mut records = self.remembered().await.map_err(failed)?;
        records.retain(noted);
        Ok(records)
    }

    async fn abort(&self, rollout: &RolloutId, why: &str) -> Result<(), JournalError> {
        match self.abort(rollout, "whoever changed the resource", why).await {
            Ok(()) | Err(RolloutError::TooLate { .. } | RolloutError::TurningBack(_)) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: RolloutError) -> JournalError {
    JournalError(Box::new(error))
}
