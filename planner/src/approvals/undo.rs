//! A human asks for the way back of a move that is over: planned and judged on the newest pass, on record, and begun.
use super::{Approvals, ApproveError, Begun, moves_at};
use crate::audit::Kind;
use foremesh_core::{
    approval::Approval,
    ids::RolloutId,
    inputs::Inputs,
    undo::{NotUndone, undo},
};
use serde_json::json;

/// Why a move was not undone.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// It cannot be, or not now.
    #[error("relocation `{relocation}` was not undone, and nothing was moved: {why}")]
    Refused {
        /// The move.
        relocation: RolloutId,
        /// Why not.
        #[source]
        why: Box<NotUndone>,
    },
    /// The same that keeps an approved plan from being begun.
    #[error(transparent)]
    NotBegun(#[from] ApproveError),
}

impl Approvals {
    /// Begins the way back of a move. The wish is on record before anything is done, and so is the refusal when there is
    /// one. It is brought to its end also when the caller does not wait for it.
    ///
    /// # Errors
    /// [`UndoError`]; nothing was begun then.
    pub async fn undo(&self, relocation: RolloutId, by: String, reason: String) -> Result<Begun, UndoError> {
        let own = self.clone();
        tokio::spawn(async move { own.way_back(relocation, by, reason).await })
            .await
            .map_err(ApproveError::Fault)?
    }

    async fn way_back(&self, relocation: RolloutId, by: String, reason: String) -> Result<Begun, UndoError> {
        let mut turn = self.turn().await?;
        let parts = &self.parts;
        let record = parts.rollouts.get(&relocation).await.map_err(ApproveError::Rollouts)?;
        let now = parts.clock.now();
        let inputs = self.newest_pass(now)?;
        let asked = json!({
            "event": "undo_asked", "relocation": relocation, "plan": record.plan, "by": by, "reason": reason,
        });
        let plan = record.plan.clone();
        let of = Some(plan.as_str());
        parts.audit.append(now, Kind::Event, of, &asked).map_err(ApproveError::Audit)?;
        let running = parts.rollouts.active().await.map_err(ApproveError::Rollouts)?;
        let newest = turn.newest.clone();
        let approval = Approval { by, reason, at: now };
        let judged = tokio::task::spawn_blocking(move || {
            let (in_flight, _) = moves_at(&inputs, &running);
            let inputs = Inputs {
                now,
                in_flight: &in_flight,
                newest_generation: newest.as_ref().map_or(0, |(_, generation)| *generation),
                parent: newest.as_ref().map(|(plan, _)| plan),
                ..inputs.borrow()
            };
            undo(&record, approval, &inputs)
        });
        let tested = match judged.await.map_err(ApproveError::Fault)? {
            Ok(tested) => tested,
            Err(why) => {
                tracing::warn!(%relocation, %why, "relocation is not undone");
                let refused =
                    json!({"event": "undo_refused", "relocation": relocation, "why": why.to_string()});
                parts.audit.append(now, Kind::Event, of, &refused).map_err(ApproveError::Audit)?;
                return Err(UndoError::Refused { relocation, why: Box::new(why) });
            }
        };
        let plan = tested.plan();
        let made = json!({
            "plan": plan, "generation": plan.generation, "mode": "undo",
            "explanation": format!(
                "{}: {} undoes {relocation}: {}",
                plan.moves.first().map(foremesh_core::plan::Move::in_words).unwrap_or_default(),
                tested.approval().map_or("somebody", |approval| approval.by.as_str()),
                tested.approval().map_or("", |approval| approval.reason.as_str()),
            ),
        });
        parts.audit.append(now, Kind::Plan, Some(plan.id.as_str()), &made).map_err(ApproveError::Audit)?;
        turn.made(plan);
        Ok(self.begin(&mut turn, &tested).await?)
    }
}
