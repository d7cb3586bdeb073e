//! Rollouts of a planner that may have to leave acting to another one.
//!
//! While it does, they stand still: nothing is observed, done or counted as a failure. What becomes of them when it may
//! act again is for whoever knows the platform to say: those that another planner has taken back meanwhile are
//! [ended](Rollouts::end), the others [go on](Rollouts::resume).
use super::{
    RolloutError, Rollouts,
    drive::{Live, Shared},
};
use crate::leader::Leader;
use foremesh_core::{ids::RolloutId, rollout::State};
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;

impl Shared {
    /// Why nothing may be done now.
    pub(super) fn not_leading(&self) -> Option<String> {
        self.leader.get().and_then(|leader| leader.refusal())
    }

    fn live(&self, id: &RolloutId) -> Option<Arc<Mutex<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

impl Rollouts {
    /// From now on they stand still while this says so; the first one counts. Without it they never do.
    pub fn led_by(&self, leader: Arc<dyn Leader>) {
        let _ = self.shared.leader.set(leader);
    }

    /// Why this planner may not act now; none when it may.
    pub fn not_leading(&self) -> Option<String> {
        self.shared.not_leading()
    }

    /// Ends a rollout where it stands, without doing anything: somebody else did what was to be done. Is content when it is
    /// over or unknown.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn end(&self, id: &RolloutId, why: &str) -> Result<(), RolloutError> {
        let Some(slot) = self.shared.live(id) else { return Ok(()) };
        let mut live = slot.lock().await;
        if live.record.state.is_last() {
            return Ok(());
        }
        self.shared.enter(&mut live, State::Aborted, why.to_owned()).await
    }

    /// Goes on with what stood still, with the same patience as after a restart.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn resume(&self) -> Result<(), RolloutError> {
        let shared = &*self.shared;
        for id in shared.live_ids() {
            let Some(slot) = shared.live(&id) else { continue };
            let mut live = slot.lock().await;
            let resumed = live.record.clone().resumed(&shared.limits, shared.clock.now());
            if resumed != live.record {
                shared.journal.save(&resumed).await?;
                live.record = resumed;
            }
            live.attempt = None;
        }
        shared.woken.notify_one();
        Ok(())
    }
}
