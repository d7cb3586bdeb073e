//! Which ranges are read, in which steps.
use crate::store::Levels;
use foremesh_core::time::{Step, Timestamp};
use std::collections::VecDeque;

/// Steps that are read and stored at once; what is stored is not read again after a restart in the middle.
const STEPS_AT_ONCE: i64 = 2000;

/// Points `first, first + step, …, last`; each tells of the step before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) step: Step,
}

/// Points after `from` up to `to`, in pieces.
pub(super) fn pieces(from: Timestamp, to: Timestamp, step: Step) -> VecDeque<Piece> {
    let mut pieces = VecDeque::new();
    let mut first = step.floor(from).plus_ms(step.ms());
    let last = step.floor(to);
    while first <= last {
        let end = first.plus_ms((STEPS_AT_ONCE - 1).saturating_mul(step.ms())).min(last);
        pieces.push_back(Piece { first, last: end, step });
        first = end.plus_ms(step.ms());
    }
    pieces
}

/// The past, oldest first: what the base steps are kept for in base steps, and what is older in the steps that are still
/// kept of it.
pub(super) fn past(levels: &Levels, backfill_ms: i64, to: Timestamp) -> VecDeque<Piece> {
    let mut past = VecDeque::new();
    let mut end = to;
    // Every level begins at a whole step of the longest, so that the next one ends where this one begins.
    let Some(longest) = levels.iter().map(|(_, level)| level.step).max_by_key(|step| step.ms()) else {
        return past;
    };
    for (_, level) in levels.iter() {
        let kept_from = to.plus_ms(-backfill_ms.min(level.retention_ms));
        let from = longest.floor(kept_from);
        let mut older = pieces(from, end, level.step);
        end = end.min(from);
        older.append(&mut past);
        past = older;
    }
    past
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn the_past_is_read_without_hole_or_overlap_oldest_first() {
        let levels = Levels::from_base(Step::MINUTE);
        let to = Timestamp::from_unix_ms(1_700_000_000_000);
        for days in [0, 1, 2, 3, 14, 100] {
            let past = past(&levels, days * DAY_MS, to);
            let mut covered_to: Option<Timestamp> = None;
            let mut longest = i64::MAX;
            for piece in &past {
                let from = piece.first.plus_ms(-piece.step.ms());
                assert!(
                    covered_to.is_none_or(|end| end == from),
                    "{days} days: {covered_to:?} then {piece:?}"
                );
                assert!(piece.step.ms() <= longest, "coarse steps come first");
                (covered_to, longest) = (Some(piece.last), piece.step.ms());
            }
            let first = past.front().map_or(to, |piece| piece.first);
            let reached = to.ms_since(first) as f64 / DAY_MS as f64;
            assert!((reached - days as f64).abs() < 0.1, "{days} days reach {reached}");
            if days > 0 {
                assert_eq!(covered_to, Some(Step::MINUTE.floor(to)), "{days} days");
            }
        }
        assert_eq!(past(&levels, 14 * DAY_MS, to).iter().map(|piece| piece.step.ms()).max(), Some(600_000));
    }
}
