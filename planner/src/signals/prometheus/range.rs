//! Pieces of a range that a server accepts.
use foremesh_core::time::{Step, Timestamp};

/// A range on the grid of its step, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    step: Step,
}

impl Range {
    /// The grid `from, from + step, …` up to `to`; `None` when `to` is before `from`.
    pub(super) fn new(from: Timestamp, to: Timestamp, step: Step) -> Option<Self> {
        (to >= from).then(|| Self {
            first: from,
            last: from.plus_ms(step.count(from, to).saturating_mul(step.ms())),
            step,
        })
    }

    /// Its number of points.
    pub(super) fn points(&self) -> i64 {
        self.step.count(self.first, self.last).saturating_add(1)
    }

    /// Its first `points` points, at least one, and what remains.
    pub(super) fn split(self, points: i64) -> (Self, Option<Self>) {
        let next = self.first.plus_ms(points.max(1).saturating_mul(self.step.ms()));
        if next > self.last {
            return (self, None);
        }
        let last = next.plus_ms(-self.step.ms());
        (Self { last, ..self }, Some(Self { first: next, ..self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_have_every_point_once(from in -1000_i64..1000, length in 0_i64..5000, step in 1_i64..50, most in 1_i64..700) {
            let at = Timestamp::from_unix_ms;
            let step = Step::from_ms(step).unwrap();
            let whole = Range::new(at(from), at(from + length), step).unwrap();
            let mut points = Vec::new();
            let mut rest = Some(whole);
            while let Some(range) = rest {
                let (piece, remaining) = range.split(most);
                prop_assert!(piece.points() <= most);
                points.extend((0..piece.points()).map(|n| piece.first.plus_ms(n * step.ms()).unix_ms()));
                rest = remaining;
            }
            let want: Vec<i64> = (from..=from + length).step_by(step.ms() as usize).collect();
            prop_assert_eq!(points, want);
        }
    }

    #[test]
    fn an_end_before_the_start_is_no_range() {
        assert_eq!(Range::new(Timestamp::from_unix_ms(1), Timestamp::from_unix_ms(0), Step::MINUTE), None);
    }
}
