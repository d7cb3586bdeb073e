//! Our own moves are interventions: what was measured before one is no guide to what comes after it.
use foremesh_core::{ids::ServiceId, rollout::RolloutRecord, time::Timestamp};
use std::collections::BTreeMap;

/// For each service, when its traffic last changed its place: the last transition of every rollout that had given
/// the target any traffic, whether it ended there or went back.
pub(super) fn last_changes(records: &[RolloutRecord]) -> BTreeMap<ServiceId, Timestamp> {
    let mut changes = BTreeMap::new();
    for record in records.iter().filter(|record| record.shifted_at().is_some()) {
        let Some(last) = record.history.last() else { continue };
        let known = changes.entry(record.relocation.service.clone()).or_insert(last.at);
        *known = (*known).max(last.at);
    }
    changes
}
