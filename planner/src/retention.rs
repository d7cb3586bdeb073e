//! Forgets old records of the audit trail and the rollout journal, in the background and in bounded pieces, so that no
//! decision waits for it. (The store forgets old steps by itself, with each flush.)
use crate::{
    audit::{Audit, AuditError, AuditRetention},
    causes::chain,
    clock::Clock,
    rollout::{RolloutError, Rollouts},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Rows of one piece: a few milliseconds of work.
const PIECE: u32 = 500;
/// Time between two looks when nothing is left to do.
const REST: Duration = Duration::from_secs(60);
/// Time between two pieces. A pass every 50 ms, the shortest allowed, writes 20 records in it.
const PAUSE: Duration = Duration::from_secs(1);

/// Why records could not be forgotten; they are tried again later.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The audit trail refused.
    #[error("old records of the audit trail cannot be forgotten")]
    Audit(#[from] AuditError),
    /// The journal refused.
    #[error("old rollouts cannot be forgotten")]
    Rollouts(#[from] RolloutError),
    /// The work ended in a fault.
    #[error("forgetting ended in a fault of the planner")]
    Fault(#[from] tokio::task::JoinError),
}

/// What is forgotten, and when.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Tells the time.
    pub clock: Clock,
    /// The audit trail.
    pub audit: Arc<Audit>,
    /// The rollouts.
    pub rollouts: Arc<Rollouts>,
    /// How long the audit goes back; rollouts are kept as long as the records of their plans.
    pub kept: AuditRetention,
}

impl Retention {
    /// Forgets one piece of each; gives how many records went.
    ///
    /// # Errors
    /// When one of the files refuses.
    pub async fn forget_some(&self) -> Result<usize, RetentionError> {
        let now = self.clock.now();
        let (audit, kept) = (Arc::clone(&self.audit), self.kept);
        let records = tokio::task::spawn_blocking(move || audit.forget(now, kept, PIECE)).await??;
        let rollouts = self.rollouts.forget(now.plus_ms(-kept.plans_ms), PIECE).await?;
        Ok(records + rollouts)
    }

    /// Goes on until `stop` says so.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let wait = match self.forget_some().await {
                Ok(0) => REST,
                Ok(records) => {
                    tracing::debug!(records, "forgot what is over its retention");
                    PAUSE
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "the audit trail or the journal is not shortened");
                    REST
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
