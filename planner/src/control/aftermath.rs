//! What became of the moves that are over: judged once what was predicted has passed, and seen when somebody else takes one
//! back. Both are kept in the journal and the audit trail, and count in the decisions that follow.
use super::Parts;
use crate::{
    audit::{AuditError, Kind},
    causes::chain,
    rollout::RolloutError,
};
use foremesh_core::{
    aftermath::{Benefit, Judged, Worth, benefit, moved_back},
    history::Metric,
    learned::Learned,
    rollout::{RolloutRecord, State},
    series::Series,
    time::Timestamp,
    topology::Snapshot,
};
use serde_json::{Value, json};

/// Looks at all moves that are over, and gives them back with what is known of them now. What could not be kept is looked at
/// again in the next pass. `complete` is the time until which all that was measured is there.
pub(super) async fn look(
    parts: &Parts,
    snapshot: &Snapshot,
    mut rollouts: Vec<RolloutRecord>,
    learned: &Learned,
    (now, complete): (Timestamp, Timestamp),
) -> Vec<RolloutRecord> {
    // Another planner may have moved what this one's journal has.
    if parts.rollouts.not_leading().is_some() {
        return rollouts;
    }
    for place in 0..rollouts.len() {
        let (record, later) = (&rollouts[place], &rollouts[place + 1..]);
        if record.state != State::Succeeded || (record.benefit.is_some() && record.moved_back.is_some()) {
            continue;
        }
        let mut known = record.clone();
        let again = moved_again(record, later);
        if again.is_none() {
            known.moved_back = known.moved_back.or_else(|| moved_back(record, snapshot, now));
        }
        if known.benefit.is_none() {
            let ends = [again, known.moved_back.as_ref().map(|back| back.at)].into_iter().flatten().min();
            known.benefit = judge(parts, snapshot, record, learned, (ends, complete)).await;
        }
        if known != *record {
            match keep(parts, record, &known, now).await {
                Ok(()) => rollouts[place] = known,
                Err(error) => {
                    tracing::warn!(rollout = %record.id, error = chain(&error), "what became of a move is not kept yet");
                }
            }
        }
    }
    rollouts
}

/// When the same workload was given other traffic by a move of ours after this one.
fn moved_again(record: &RolloutRecord, later: &[RolloutRecord]) -> Option<Timestamp> {
    let same = later.iter().filter(|other| other.relocation.workload == record.relocation.workload);
    // One that runs is about to.
    same.filter_map(|other| other.shifted_at().or((!other.state.is_last()).then_some(other.entered_at))).min()
}

async fn judge(
    parts: &Parts,
    snapshot: &Snapshot,
    record: &RolloutRecord,
    learned: &Learned,
    (moved_again, now): (Option<Timestamp>, Timestamp),
) -> Option<Benefit> {
    let planned = &record.relocation;
    let over = record.history.last()?.at;
    let replicas = snapshot.workloads.get(&planned.workload)?.replicas.len();
    let observed = parts.observed.read().await;
    let history = observed.service(&planned.service);
    let series =
        history.and_then(|history| Some(history.series(Metric::latency(planned.reason.quantile.get())?)));
    let empty = || Series::new(now, parts.store.levels().base().step, Vec::new());
    let latency = series.unwrap_or_else(empty);
    let spread = f64::from(learned.twin.spread().1);
    let prediction = record.prediction.as_ref();
    benefit(&Judged { planned, prediction, over, moved_again, latency: &latency, replicas, spread, now })
}

/// What is on record is not forgotten, so the trail comes first; a planner that is killed in between says it twice.
async fn keep(
    parts: &Parts,
    before: &RolloutRecord,
    known: &RolloutRecord,
    now: Timestamp,
) -> Result<(), KeepError> {
    let plan = Some(known.plan.as_str());
    let tell = |record: Value| parts.audit.append(now, Kind::Event, plan, &record);
    let judged = known.benefit.as_ref().filter(|_| before.benefit.is_none());
    if let Some(benefit) = judged {
        tell(json!({"event": "move_judged", "relocation": known.id, "benefit": benefit}))?;
    }
    let back = known.moved_back.as_ref().filter(|_| before.moved_back.is_none());
    if let Some(back) = back {
        let why = back.in_words();
        tell(json!({"event": "moved_back", "relocation": known.id, "to": back.to, "why": why}))?;
    }
    parts.rollouts.note(known).await?;
    if let Some(benefit) = judged {
        parts.metrics.move_judged(benefit.verdict);
        let (rollout, verdict, why) = (&known.id, benefit.verdict.name(), &benefit.why);
        if benefit.verdict == Worth::NotWorthIt {
            tracing::warn!(%rollout, verdict, why, "a move is regretted");
        } else {
            tracing::info!(%rollout, verdict, why, "a move was judged");
        }
    }
    if let Some(back) = back {
        parts.metrics.moved_back();
        tracing::warn!(rollout = %known.id, workload = %known.relocation.workload, why = back.in_words(), "a move was taken back");
    }
    Ok(())
}

/// Why what became of a move was not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("the audit trail did not take it")]
    Audit(#[from] AuditError),
    #[error("the journal did not take it")]
    Journal(#[from] RolloutError),
}
