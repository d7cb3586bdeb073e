//! Latency as a median and a tail, which are forecast apart.
//!
//! The 99th percentile of one step is the worst few of its requests, so with few requests it is mostly chance. The
//! median is known well from one step; the shape of the tail above it changes slowly, and can be read from the merged
//! histograms of many steps. The logarithms of the two add up to the logarithm of the quantile.
use crate::{forecast::ForecastStep, history::KEPT_QUANTILES};
use serde::{Deserialize, Serialize};

/// Quantiles above the median that are kept.
pub const TAIL_QUANTILES: usize = KEPT_QUANTILES.len() - 1;

/// Steps of the stored numbers in one unit of natural logarithm. 1/4096 is 0.024 %, far below the 0.79 % to which a
/// histogram knows a value; the largest number stands for a quantile 8.9 million times the median.
const PER_UNIT: f64 = 4096.0;

/// How far the upper quantiles are above the median: natural logarithms of their ratios to it, in two bytes each,
/// because two days of a thousand services are kept in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tail([u16; TAIL_QUANTILES]);

impl Tail {
    /// The tail of latencies at each of [`KEPT_QUANTILES`], in any unit; ratios that are no number count as 1.
    pub fn of(latency: [f64; KEPT_QUANTILES.len()]) -> Self {
        let [median, upper @ ..] = latency;
        Self(upper.map(|value| {
            let log_ratio = (value / median).ln();
            // Float to integer conversion saturates, and makes 0 of NaN.
            (log_ratio * PER_UNIT).round() as u16
        }))
    }

    /// Natural logarithm of the ratio to the median of the quantile at this place in [`KEPT_QUANTILES`]; 0 for the
    /// median itself.
    pub fn log_ratio(self, at: usize) -> Option<f64> {
        match at.checked_sub(1) {
            None => Some(0.0),
            Some(upper) => self.0.get(upper).map(|units| f64::from(*units) / PER_UNIT),
        }
    }
}

impl Tail {
    /// Natural logarithm of the ratio to the median that the quantile at this place in [`KEPT_QUANTILES`] usually has
    /// when it is read from so many requests alone: half of the times it is above. Of thirty requests the 99th
    /// percentile is the slowest, which more often than not is faster than that of thousands.
    pub fn log_ratio_of(self, at: usize, requests: u32) -> Option<f64> {
        let quantile = *KEPT_QUANTILES.get(at)?;
        let requests = f64::from(requests.max(1));
        // Benard's approximation of the median level of the value at a rank.
        let rank = (quantile * requests).ceil().clamp(1.0, requests);
        let level = ((rank - 0.3) / (requests + 0.4)).max(KEPT_QUANTILES[0]);
        // Between two quantiles the ratio goes about with the logarithm of the share of requests that are slower.
        let slower = |level: f64| -(1.0 - level).ln();
        let upper = KEPT_QUANTILES.iter().position(|kept| *kept >= level).unwrap_or(TAIL_QUANTILES).max(1);
        let (low, high) = (slower(KEPT_QUANTILES[upper - 1]), slower(KEPT_QUANTILES[upper]));
        let share = ((slower(level) - low) / (high - low)).clamp(0.0, 1.0);
        Some(self.log_ratio(upper - 1)? * (1.0 - share) + self.log_ratio(upper)? * share)
    }
}

/// Latency of one step, split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Natural logarithm of the median in milliseconds.
    pub log_p50: f64,
    /// Natural logarithms of the ratios to the median of the other [`KEPT_QUANTILES`], in their order.
    pub log_ratios: [f64; TAIL_QUANTILES],
}

/// Splits latencies in milliseconds at each of [`KEPT_QUANTILES`]; `None` unless they are positive numbers that ascend.
pub fn split(latency_ms: [f64; KEPT_QUANTILES.len()]) -> Option<Split> {
    let ascends = latency_ms.windows(2).all(|pair| matches!(pair, [low, high] if low <= high));
    let [median, upper @ ..] = latency_ms;
    let last = upper.last().copied().unwrap_or(median);
    if !(median > 0.0 && last.is_finite() && ascends) {
        return None;
    }
    Some(Split { log_p50: median.ln(), log_ratios: upper.map(|value| (value / median).ln()) })
}

/// The forecast of an upper quantile in milliseconds, from a forecast of the logarithm of the median (in milliseconds)
/// and one of the logarithm of the ratio to it, for the same step.
///
/// The two errors count as independent: the distance of each level from the point is the root of the sum of the
/// squares, as for standard deviations. A step that is far off for one cause is seldom far off for the other.
pub fn joined(log_p50: &ForecastStep, log_ratio: &ForecastStep) -> ForecastStep {
    let point = log_p50.point + log_ratio.point;
    let mut quantiles = std::array::from_fn(|level| {
        let distance = |of: &ForecastStep| of.quantiles.get(level).copied().unwrap_or(of.point) - of.point;
        let (of_median, of_ratio) = (distance(log_p50), distance(log_ratio));
        let squares = of_median * of_median.abs() + of_ratio * of_ratio.abs();
        (point + squares.signum() * squares.abs().sqrt()).exp()
    });
    quantiles.sort_unstable_by(f64::total_cmp);
    ForecastStep { at: log_p50.at, point: point.exp(), quantiles }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{forecast::LEVELS, time::Timestamp};
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_split_is_refused() {
        for (name, latency) in [
            ("zero", [0.0, 1.0, 1.0, 1.0, 1.0]),
            ("negative", [-1.0, 1.0, 1.0, 1.0, 1.0]),
            ("no number", [f64::NAN; 5]),
            ("no number above", [1.0, 2.0, 3.0, f64::NAN, f64::NAN]),
            ("endless", [1.0, 2.0, 3.0, 4.0, f64::INFINITY]),
            ("descending", [2.0, 1.0, 3.0, 4.0, 5.0]),
        ] {
            assert_eq!(split(latency), None, "case {name}");
            // The packed form takes anything.
            let packed = Tail::of(latency);
            assert!(
                (0..=TAIL_QUANTILES).all(|at| packed.log_ratio(at).is_some_and(f64::is_finite)),
                "case {name}"
            );
        }
        assert_eq!(Tail::of([1.0; 5]).log_ratio(5), None);
    }

    fn certain(value: f64) -> ForecastStep {
        ForecastStep { at: Timestamp::from_unix_ms(5), point: value, quantiles: [value; LEVELS.len()] }
    }

    proptest! {
        #[test]
        fn what_was_split_is_joined_again(
            median in 0.01_f64..100_000.0,
            factors in prop::array::uniform4(1.0_f64..20.0),
        ) {
            let mut latency = [median; 5];
            for (at, factor) in factors.into_iter().enumerate() {
                latency[at + 1] = latency[at] * factor;
            }
            let parts = split(latency).unwrap();
            let packed = Tail::of(latency);
            for (at, log_ratio) in parts.log_ratios.into_iter().enumerate() {
                let again = joined(&certain(parts.log_p50), &certain(log_ratio));
                prop_assert!((again.point / latency[at + 1] - 1.0).abs() < 1e-9);
                prop_assert!(again.quantiles.iter().all(|value| (value / again.point - 1.0).abs() < 1e-9));
                prop_assert!((packed.log_ratio(at + 1).unwrap() - log_ratio).abs() <= 0.5 / PER_UNIT + 1e-12);
            }
        }

        #[test]
        fn joined_bands_ascend_and_hold_the_wider_part(
            point in -2.0_f64..8.0,
            ratio in 0.0_f64..3.0,
            offsets in prop::collection::vec(-1.0_f64..1.0, 2 * LEVELS.len()),
        ) {
            let step = |point: f64, offsets: &[f64]| {
                let mut quantiles: [f64; LEVELS.len()] = std::array::from_fn(|at| point + offsets[at]);
                quantiles.sort_unstable_by(f64::total_cmp);
                ForecastStep { at: Timestamp::from_unix_ms(5), point, quantiles }
            };
            let (median, tail) = (step(point, &offsets), step(ratio, &offsets[LEVELS.len()..]));
            let both = joined(&median, &tail);
            prop_assert!(both.quantiles.is_sorted());
            let top = LEVELS.len() - 1;
            let (of_median, of_tail) = (median.quantiles[top] - point, tail.quantiles[top] - ratio);
            if of_median >= 0.0 && of_tail >= 0.0 {
                let width = (both.quantiles[top] / both.point).ln();
                prop_assert!(width >= of_median.max(of_tail) - 1e-9, "{} of {} and {}", width, of_median, of_tail);
                prop_assert!(width <= of_median + of_tail + 1e-9);
            }
        }
    }
}
