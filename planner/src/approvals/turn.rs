//! Whose turn it is to begin plans: the loop's, from the look at what runs until its plan has begun, or that of a human
//! who approves one. Never both, or each would plan without the other's moves.
use super::{ApproveError, Waiting, plan_in};
use crate::{
    audit::{Audit, Kind},
    rollout::{RolloutQuery, Rollouts},
};
use foremesh_core::{ids::PlanId, plan::Plan, policy::Mode, time::Timestamp};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Recommendations that are read from the trail to find those that may still be approved.
const READ: u32 = 200;

/// What whoever has the turn knows and changes.
#[derive(Debug)]
pub struct Turn {
    /// The newest plan that was made to be carried out, with its generation; the next plan gets the next one.
    pub newest: Option<(PlanId, u64)>,
    /// The newest plan that was begun. One that was made and refused changes nothing, so it makes no plan out of date.
    pub begun: Option<(PlanId, u64)>,
    /// The plans that wait for a human.
    pub waiting: Waiting,
}

/// The turn; whoever holds the lock has it.
pub type SharedTurn = Arc<Mutex<Turn>>;

impl Turn {
    /// As it was left: generations count on from the newest plan, and plans that waited for a human wait on, up to
    /// `within_ms` milliseconds after they were made.
    ///
    /// # Errors
    /// When the trail or the journal cannot be read.
    pub async fn open(
        audit: &Audit,
        rollouts: &Rollouts,
        within_ms: i64,
        now: Timestamp,
    ) -> Result<Self, ApproveError> {
        let made = audit.last_generation()?.map(|(plan, generation)| (PlanId::new(plan), generation));
        // An approved plan is on record as one that waited; that it was begun the journal knows.
        let begun = rollouts.list(RolloutQuery { limit: 1, ..RolloutQuery::default() }).await?;
        let begun = begun.first().map(|record| (record.plan.clone(), record.generation));
        let newest = made.into_iter().chain(begun.clone()).max_by_key(|(_, generation)| *generation);
        let waited = audit.newest(Some(Kind::Recommendation), None, READ)?;
        let of_approve =
            waited.iter().rev().filter(|entry| entry.record["mode"].as_str() == Some(Mode::Approve.name()));
        let mut waiting = Waiting::new(within_ms);
        for plan in of_approve.filter_map(|entry| plan_in(entry).ok()) {
            waiting.hold(plan, begun.as_ref().map_or(0, |(_, generation)| *generation), now);
        }
        Ok(Self { newest, begun, waiting })
    }

    /// Generation of the newest plan that was begun, 0 when there is none.
    pub fn begun_generation(&self) -> u64 {
        self.begun.as_ref().map_or(0, |(_, generation)| *generation)
    }

    /// A plan was made to be carried out.
    pub fn made(&mut self, plan: &Plan) {
        // One that waited can have the number of one that was made later and refused.
        let newest = self.newest.as_ref().map_or(0, |(_, generation)| *generation);
        if plan.generation >= newest {
            self.newest = Some((plan.id.clone(), plan.generation));
        }
    }

    /// A plan was begun.
    pub fn began(&mut self, plan: &Plan) {
        self.made(plan);
        self.begun = Some((plan.id.clone(), plan.generation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(generation: u64) -> Plan {
        let id = format!("plan-{generation}");
        serde_json::from_value(json!({
            "id": id, "parent": null, "generation": generation, "made_at": 0, "input_digest": "", "moves": [],
            "rejected": [],
        }))
        .unwrap()
    }

    /// Numbers never repeat, and only what was begun makes what waits out of date.
    #[test]
    fn a_plan_that_was_made_and_refused_does_not_count_as_begun() {
        let mut turn = Turn { newest: None, begun: None, waiting: Waiting::new(0) };
        let newest = |turn: &Turn| turn.newest.as_ref().map_or(0, |(_, generation)| *generation);
        turn.made(&plan(1));
        turn.made(&plan(2));
        assert_eq!((newest(&turn), turn.begun_generation()), (2, 0), "two were refused");
        // One that was made with the second of them is approved after a third one was refused too.
        turn.made(&plan(4));
        turn.began(&plan(3));
        assert_eq!((newest(&turn), turn.begun_generation()), (4, 3));
        let same = Plan { id: PlanId::new("plan-that-waited"), ..plan(4) };
        turn.began(&same);
        assert_eq!(turn.newest, Some((same.id, 4)), "the parent of the next one is what was begun");
        turn.began(&plan(5));
        assert_eq!((newest(&turn), turn.begun_generation()), (5, 5));
    }
}
