//! By how much the target is slower than it may be, and how sure that is.
//!
//! The limit is the objective, or a factor of the source copy's latency when that is worse itself, as in the gate of a
//! rollout. Requests that follow one another share queues and pauses, so they are no independent draws: runs of
//! neighbouring pairs are drawn anew instead of single ones (the block bootstrap; E. Carlstein, Annals of Statistics 14,
//! 1986), both ends together, so that what hits both cancels out. The spread is taken of the logarithm of the ratio.
use super::samples::{Answer, Pair, TrialSamples};
use crate::{splitmix::SplitMix, units::Quantile};

/// Runs of pairs; with fewer the spread is a guess.
const RUNS: usize = 40;
/// Draws: the error of a standard deviation of so many is one in twenty.
const DRAWS: usize = 200;

/// Logarithm of the target's latency over its limit, with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slower {
    /// Above 0: slower than it may be.
    log_ratio: f64,
    error: f64,
}

impl Slower {
    /// The ratio at so many standard errors from the estimate.
    pub(super) fn ratio(&self, z: f64) -> f64 {
        (self.log_ratio + z * self.error).exp()
    }
}

/// `None` when an end has no good answer, or too few for runs.
pub(super) fn slower(
    samples: &TrialSamples,
    quantile: Quantile,
    (objective_ms, factor): (f64, f64),
    seed: u64,
) -> Option<Slower> {
    if samples.pairs.len() < RUNS {
        return None;
    }
    let length = samples.pairs.len().div_ceil(RUNS);
    let source = Ranked::of(&samples.pairs, length, |pair| pair.source);
    let target = Ranked::of(&samples.pairs, length, |pair| pair.target);
    let ratio = |times: &[u32; RUNS]| {
        let limit = objective_ms.max(factor * source.quantile(quantile, times)?);
        // A latency of nothing at all is a clock's, not a service's.
        Some((target.quantile(quantile, times)?.max(1e-3) / limit.max(1e-3)).ln())
    };
    let log_ratio = ratio(&[1; RUNS])?;
    let mut random = SplitMix::new(seed);
    let mut drawn = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let mut times = [0; RUNS];
        for _ in 0..RUNS {
            times[random.below(RUNS)] += 1;
        }
        drawn.extend(ratio(&times));
    }
    let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
    let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (drawn.len() as f64 - 1.0);
    let error = variance.sqrt();
    (log_ratio.is_finite() && error.is_finite()).then_some(Slower { log_ratio, error })
}

/// Latencies of good answers, the highest first, each with its run; and how many each run has.
struct Ranked {
    falling: Vec<(f64, usize)>,
    counts: [u64; RUNS],
}

impl Ranked {
    fn of(pairs: &[Pair], length: usize, end: impl Fn(&Pair) -> Answer) -> Self {
        let answers = pairs.iter().enumerate().map(|(at, pair)| (end(pair), (at / length).min(RUNS - 1)));
        let mut falling: Vec<_> =
            answers.filter(|(answer, _)| answer.ok).map(|(answer, run)| (answer.latency_ms, run)).collect();
        falling.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut counts = [0; RUNS];
        for (_, run) in &falling {
            counts[*run] += 1;
        }
        Self { falling, counts }
    }

    /// The quantile when each run is there so many times.
    fn quantile(&self, quantile: Quantile, times: &[u32; RUNS]) -> Option<f64> {
        let all: u64 = self.counts.iter().zip(times).map(|(count, times)| count * u64::from(*times)).sum();
        let rank = (all as f64 * quantile.get()).ceil() as u64;
        let mut above = all.checked_sub(rank)?;
        for (value, run) in &self.falling {
            match above.checked_sub(u64::from(times[*run])) {
                Some(left) => above = left,
                None => return Some(*value),
            }
        }
        None
    }
}
