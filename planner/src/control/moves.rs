//! What the decision must know of our own moves: those that are over, those that are not, how long they take, and
//! where they cut a history in two.
use foremesh_core::{
    aftermath::Worth,
    forecast::Excluded,
    ids::{ServiceId, WorkloadId},
    inputs::InFlight,
    policy::PastMove,
    rollout::{Phase, RolloutRecord},
    time::Timestamp,
    trial::{Trial, TrialVerdict},
};
use std::collections::BTreeMap;

/// Moves are remembered this long for cooldown and history, in milliseconds: longer than any cooldown, and than the
/// history that forecasts learn from by default.
pub const REMEMBERED_MS: i64 = 7 * 24 * 3_600_000;

/// When a service's traffic last changed its place: the last transition of its rollouts that had given the target any
/// traffic, whether they ended there or went back.
///
/// A move is an intervention: latency that was measured before it is no guide to what comes after it.
pub fn last_change(records: &[RolloutRecord], service: &ServiceId) -> Option<Timestamp> {
    let of_service = records.iter().filter(|record| record.relocation.service == *service);
    of_service
        .filter(|record| record.shifted_at().is_some())
        .filter_map(|record| {
            let back = record.moved_back.as_ref().map(|back| back.at);
            back.or_else(|| Some(record.history.last()?.at))
        })
        .max()
}

/// What forecasts of a service must not learn from: everything before its traffic last changed its place.
pub fn excluded(records: &[RolloutRecord], service: &ServiceId) -> Vec<Excluded> {
    let from = Timestamp::from_unix_ms(i64::MIN);
    last_change(records, service).map(|to| Excluded { from, to }).into_iter().collect()
}

/// When the traffic of a service was shared between two places, oldest first; a move that is not over has no end.
pub fn moves_of(records: &[RolloutRecord], service: &ServiceId) -> Vec<Excluded> {
    let of_service = records.iter().filter(|record| record.relocation.service == *service);
    let mut moves: Vec<Excluded> = of_service
        .filter_map(|record| {
            let from = record.shifted_at()?;
            let over = record.state.is_last().then(|| record.history.last().map(|last| last.at)).flatten();
            Some(Excluded { from, to: over.unwrap_or(Timestamp::from_unix_ms(i64::MAX)) })
        })
        .collect();
    moves.sort_by_key(|moving| (moving.to, moving.from));
    moves
}

/// Moves that are over, with success or without, if anything was done for them: a replica that never became ready is a
/// failed move, one that was called off before its turn came is none. One that somebody else took back is followed by that,
/// so that the workload rests from then on, and longer.
pub(crate) fn past_moves(records: &[RolloutRecord]) -> Vec<PastMove> {
    let over = records.iter().filter(|record| record.state.is_last() && began(record));
    let own = over.filter_map(|record| {
        let planned = &record.relocation;
        let phase = record.state.phase();
        Some(PastMove {
            workload: planned.workload.clone(),
            service: planned.service.clone(),
            from: planned.from.clone(),
            to: planned.to.clone(),
            started_at: record.history.first()?.at,
            ended_at: record.history.last()?.at,
            // What an operator stopped says nothing of the target.
            failed: matches!(phase, Phase::RolledBack | Phase::Failed)
                || record.benefit.as_ref().is_some_and(|benefit| benefit.verdict == Worth::NotWorthIt)
                || record.trial.report().is_some_and(|report| report.verdict == TrialVerdict::Fail),
            then: if phase == Phase::Succeeded { planned.then.clone() } else { Vec::new() },
        })
    });
    let back = records.iter().filter_map(|record| {
        let (planned, back) = (&record.relocation, record.moved_back.as_ref()?);
        Some(PastMove {
            workload: planned.workload.clone(),
            service: planned.service.clone(),
            from: planned.to.clone(),
            to: back.to.clone(),
            started_at: back.at,
            ended_at: back.at,
            failed: false,
            then: Vec::new(),
        })
    });
    own.chain(back).collect()
}

/// Whether anything was done on the platform. A shift begins with its first weights. A trial counts, or a move that is not
/// let through would be tried again with every pass.
fn began(record: &RolloutRecord) -> bool {
    let tried = !matches!(record.trial, Trial::Waived { .. });
    if tried && record.history.iter().any(|change| change.to.phase() == Phase::Trial) {
        return true;
    }
    let acts = |phase| matches!(phase, Phase::Reserving | Phase::Surging | Phase::Ramping | Phase::Settling);
    record.history.iter().any(|change| acts(change.to.phase()))
}

/// Moves that are not over.
pub(crate) fn in_flight(records: &[RolloutRecord]) -> Vec<InFlight> {
    let going = records.iter().filter(|record| !record.state.is_last());
    going.map(|record| InFlight::of(&record.relocation)).collect()
}

/// How long the last successful move of each workload took from the decision until the target had all traffic, in
/// milliseconds. `pending_ms` is the wait between the decision and the first action. A shift tells nothing of that: it
/// starts no replica.
pub(super) fn durations(records: &[RolloutRecord], pending_ms: i64) -> BTreeMap<WorkloadId, i64> {
    let done = records.iter().filter(|record| record.state.phase() == Phase::Succeeded);
    let moves = done.filter(|record| !record.relocation.is_shift());
    moves
        .filter_map(|record| {
            let begun = record.history.first()?.at;
            let moved = record.history.iter().find(|change| change.to.phase() == Phase::Draining)?.at;
            Some((record.relocation.workload.clone(), moved.ms_since(begun).saturating_add(pending_ms)))
        })
        .collect()
}

#[cfg(test)]
mod tests;
