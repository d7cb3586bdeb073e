//! Latency as a median and a tail, which are forecast apart.
//!
//! The 99th percentile of one step is the worst few of its requests, so with few requests it is mostly chance. The
//! median is known well from one step; the shape of the tail above it changes slowly, and can be read from the merged
//! histograms of many steps. The logarithms of the two add up to the logarithm of the quantile.
use crate::history::KEPT_QUANTILES;
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

    /// Natural logarithm of the ratio to the median that the quantile at this place in [`KEPT_QUANTILES`] usually has
    /// when it is read from so many requests alone: half of the times it is above. Of thirty requests the 99th
    /// percentile is the slowest, which more often than not is faster than that of thousands.
    pub fn log_ratio_of(self, at: usize, requests: u32) -> Option<f64> {
        let quantile = *KEPT_QUANTILES.get(at)?;
        let requests = f64::from(requests.max(1));
        // Benard's approximation of the median level of the value at a rank.
        let rank = (quantile * requests).ceil().clamp(1.0, requests);
        let level = ((rank - 0.3) / (requests + 0.4)).max(KEPT_QUANTILES[0]);
        // Straight between two quantiles for latencies that are exponential or Weibull, and nearly so for log-normal ones.
        let scale = |level: f64| (-(1.0 - level).ln()).ln();
        let upper = KEPT_QUANTILES.iter().position(|kept| *kept >= level).unwrap_or(TAIL_QUANTILES).max(1);
        let (low, high) = (scale(KEPT_QUANTILES[upper - 1]), scale(KEPT_QUANTILES[upper]));
        let share = ((scale(level) - low) / (high - low)).clamp(0.0, 1.0);
        Some(self.log_ratio(upper - 1)? * (1.0 - share) + self.log_ratio(upper)? * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_packed_form_takes_anything() {
        for (name, latency) in [
            ("zero", [0.0, 1.0, 1.0, 1.0, 1.0]),
            ("negative", [-1.0, 1.0, 1.0, 1.0, 1.0]),
            ("no number", [f64::NAN; 5]),
            ("no number above", [1.0, 2.0, 3.0, f64::NAN, f64::NAN]),
            ("endless", [1.0, 2.0, 3.0, 4.0, f64::INFINITY]),
            ("descending", [2.0, 1.0, 3.0, 4.0, 5.0]),
        ] {
            let packed = Tail::of(latency);
            for at in 0..=TAIL_QUANTILES {
                assert!(packed.log_ratio(at).is_some_and(f64::is_finite), "case {name}");
                assert!(packed.log_ratio_of(at, 30).is_some_and(f64::is_finite), "case {name}");
            }
        }
        assert_eq!(Tail::of([1.0; 5]).log_ratio(5), None);
        assert_eq!(Tail::of([1.0; 5]).log_ratio_of(5, 30), None);
    }

    /// Exponential latencies, of which every quantile is known, and so is the median of the largest of a few.
    #[test]
    fn few_requests_show_less_of_a_tail_than_many() {
        let latency = |level: f64| -(1.0 - level).ln();
        let tail = Tail::of(KEPT_QUANTILES.map(latency));
        let ratio_of = |requests: u32| tail.log_ratio_of(3, requests).unwrap();
        for (requests, off_by) in [(1, 0.001), (3, 0.06), (10, 0.06), (30, 0.02), (99, 0.02)] {
            let slowest = latency(0.5_f64.powf(1.0 / f64::from(requests)));
            let want = (slowest / latency(0.5)).ln();
            assert!(
                (ratio_of(requests) - want).abs() < off_by,
                "{requests}: {} not {want}",
                ratio_of(requests)
            );
        }
        assert!((ratio_of(1_000_000) - tail.log_ratio(3).unwrap()).abs() < 1e-3, "many show it as it is");
        assert!(
            ratio_of(0) <= ratio_of(30) && ratio_of(30) < ratio_of(3000) && ratio_of(u32::MAX).is_finite()
        );
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read_again(
            median in 0.01_f64..100_000.0,
            factors in prop::array::uniform4(1.0_f64..20.0),
        ) {
            let mut latency = [median; 5];
            for (at, factor) in factors.into_iter().enumerate() {
                latency[at + 1] = latency[at] * factor;
            }
            let packed = Tail::of(latency);
            for (at, value) in latency.into_iter().enumerate() {
                let want = (value / median).ln();
                prop_assert!((packed.log_ratio(at).unwrap() - want).abs() <= 0.5 / PER_UNIT + 1e-12);
            }
        }
    }
}
