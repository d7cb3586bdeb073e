//! Points in time onto steps: what a forecast can use.
use foremesh_core::time::{Step, Timestamp};
use std::{collections::BTreeMap, ops::Bound};

/// Mean value of each of `count` steps from `start` on; `NaN` where nothing is known.
///
/// A value holds from its time to the next one's, `hold_ms` at most. A step's value is the mean over the part of the step
/// that is covered, weighted by time: an hourly plan fills sixty steps of a minute alike, and four samples in one step
/// become their mean.
pub(super) fn on_grid(
    points: &BTreeMap<Timestamp, f64>,
    hold_ms: i64,
    start: Timestamp,
    step: Step,
    count: usize,
) -> Vec<f64> {
    let start = step.floor(start);
    let end = start.plus_ms(step.times(count));
    let (mut sums, mut covered) = (vec![0.0; count], vec![0.0; count]);
    // The newest point before the grid may still hold in it.
    let before = points.range(..start).next_back();
    let inside = points.range((Bound::Included(start), Bound::Excluded(end)));
    let mut segments = before.into_iter().chain(inside).peekable();
    while let Some((&at, &value)) = segments.next() {
        let next = segments.peek().map_or(end, |(at, _)| **at);
        let until = at.plus_ms(hold_ms).min(next).min(end);
        let mut from = at.max(start);
        while from < until {
            let index = usize::try_from(step.count(start, from)).unwrap_or(count);
            let part_end = step.floor(from).plus_ms(step.ms()).min(until);
            // Shares of a step, so that no finite value overflows.
            let share = part_end.ms_since(from) as f64 / step.ms() as f64;
            if let (Some(sum), Some(covered)) = (sums.get_mut(index), covered.get_mut(index)) {
                *sum += value * share;
                *covered += share;
            }
            from = part_end;
        }
    }
    sums.into_iter()
        .zip(covered)
        .map(
            |(sum, covered)| if covered > 0.0 { (sum / covered).clamp(f64::MIN, f64::MAX) } else { f64::NAN },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    fn grid(points: &[(i64, f64)], hold_ms: i64, count: usize) -> Vec<f64> {
        let points = points.iter().map(|(at, value)| (Timestamp::from_unix_ms(*at), *value)).collect();
        on_grid(&points, hold_ms, Timestamp::from_unix_ms(10 * MINUTE), Step::MINUTE, count)
    }

    #[test]
    fn a_value_holds_to_the_next_one_and_no_longer_than_it_may() {
        const NAN: f64 = f64::NAN;
        for (name, points, hold_ms, want) in [
            ("nothing", vec![], MINUTE, [NAN; 4]),
            ("held from before the grid", vec![(8 * MINUTE, 3.0)], 3 * MINUTE, [3.0, NAN, NAN, NAN]),
            ("over before the grid", vec![(8 * MINUTE, 3.0)], 2 * MINUTE, [NAN; 4]),
            ("a plan", vec![(10 * MINUTE, 1.0), (12 * MINUTE, 5.0)], 60 * MINUTE, [1.0, 1.0, 5.0, 5.0]),
            (
                "half a step each",
                vec![(10 * MINUTE, 1.0), (10 * MINUTE + 30_000, 5.0)],
                MINUTE,
                [3.0, 5.0, NAN, NAN],
            ),
            ("only the covered part counts", vec![(11 * MINUTE + 30_000, 5.0)], 15_000, [NAN, 5.0, NAN, NAN]),
            ("after the grid", vec![(14 * MINUTE, 5.0)], MINUTE, [NAN; 4]),
        ] {
            let found = grid(&points, hold_ms, 4);
            let same =
                found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan()));
            assert!(same, "case {name}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn a_step_is_never_outside_the_values_that_cover_it(
            points in proptest::collection::vec((0..30 * MINUTE, any::<f64>().prop_filter("finite", |v| v.is_finite())), 0..20),
            hold_ms in 1..20 * MINUTE,
        ) {
            let (lowest, highest) = points.iter().fold((f64::MAX, f64::MIN), |(low, high), (_, v)| (low.min(*v), high.max(*v)));
            let found = grid(&points, hold_ms, 10);
            prop_assert_eq!(found.len(), 10);
            let slack = 1e-9 * lowest.abs().max(highest.abs());
            for value in found.iter().filter(|value| !value.is_nan()) {
                prop_assert!(lowest - slack <= *value && *value <= highest + slack, "{value}");
            }
        }
    }
}
