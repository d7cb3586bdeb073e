//! A processor-sharing node, simulated once: how many times longer a request takes than on an idle node.
//!
//! `cores` cores are shared equally by the jobs present, none getting more than one core. Jobs arrive as a
//! Poisson stream with lognormal sizes. What comes out is the distribution of the slowdown (response time
//! over size) by utilisation and by the size of the job relative to the mean size, because a short job's
//! slowdown varies more than a long one's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, OnceLock};

use crate::random::{Draw, Key};

/// Utilisations that are simulated; between them the slowdown is interpolated, above the last it is the last.
const GRID: [f64; 14] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.72, 0.79, 0.85, 0.9, 0.94, 0.965, 0.98];
/// Classes of relative size: below 1/4, then doubling, then 4 and above.
const CLASSES: usize = 6;
/// Quantiles kept of each distribution.
const QUANTILES: usize = 256;
/// Spread of the job sizes; their squared coefficient of variation is e^(sigma^2) - 1.
const SIZE_SIGMA: f64 = 0.9;
/// The tables are the same for every seed of a world.
const TABLE_SEED: u64 = 0x7ab1e;

/// Distributions of the slowdown on a node.
#[derive(Debug)]
pub(crate) struct Slowdowns {
    /// By utilisation, class and quantile.
    values: Vec<f32>,
}

/// The two rows of the table between which a utilisation lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between {
    low: usize,
    high: usize,
    share: f32,
}

/// One job that left the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// Core seconds of work.
    pub(crate) size: f64,
    /// Seconds from arrival to completion.
    pub(crate) response: f64,
}

/// Simulates a processor-sharing node and hands each job that leaves to `left`.
///
/// `sizes` gives the size of job `i`, of mean 1; jobs arrive with rate `utilisation * cores`. The first tenth
/// of `jobs` warms the node up and is not reported.
pub(crate) fn simulate(
    cores: f64,
    utilisation: f64,
    jobs: usize,
    seed: u64,
    sizes: impl Fn(u64) -> f64,
    mut left: impl FnMut(Job),
) {
    let key = Key::new(seed, Draw::Table);
    let mean_gap = 1.0 / (utilisation * cores);
    // All jobs present are served at the same rate, so one clock of work per job orders their completions.
    let mut present: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut arrived = vec![(0.0, 0.0); jobs];
    let (mut now, mut work, mut next) = (0.0_f64, 0.0_f64, 0_u64);
    let mut next_arrival = 0.0;
    let mut reported = 0;
    while reported < jobs {
        let count = present.len() as f64;
        let rate = if count > cores { cores / count } else { 1.0 };
        let completion =
            present.peek().map(|Reverse((end, _))| now + (f64::from_bits(*end) - work).max(0.0) / rate);
        let arrives =
            (next as usize) < jobs && completion.is_none_or(|completion| next_arrival <= completion);
        if arrives {
            work += (next_arrival - now) * rate;
            now = next_arrival;
            let size = sizes(next);
            arrived[next as usize] = (now, size);
            // Positive floats order like their bits.
            present.push(Reverse(((work + size).to_bits(), next)));
            next_arrival += -mean_gap * (1.0 - key.with(next).unit()).ln();
            next += 1;
        } else if let (Some(completion), Some(Reverse((_, job)))) = (completion, present.pop()) {
            work += (completion - now) * rate;
            now = completion;
            let (since, size) = arrived[job as usize];
            reported += 1;
            if job as usize >= jobs / 10 {
                left(Job { size, response: now - since });
            }
        } else {
            return;
        }
    }
}

impl Slowdowns {
    /// The table for a node of `cores` cores; simulated at the first call of the process.
    pub(crate) fn of(cores: u32) -> Arc<Self> {
        static TABLES: OnceLock<Mutex<BTreeMap<u32, Arc<Slowdowns>>>> = OnceLock::new();
        let tables = TABLES.get_or_init(|| Mutex::new(BTreeMap::new()));
        let mut tables = tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(tables.entry(cores).or_insert_with(|| Arc::new(Self::simulated(cores))))
    }

    fn simulated(cores: u32) -> Self {
        let key = Key::new(TABLE_SEED, Draw::Demand);
        let mut values = Vec::with_capacity(GRID.len() * CLASSES * QUANTILES);
        for (row, utilisation) in GRID.into_iter().enumerate() {
            let mut classes: [Vec<f32>; CLASSES] = Default::default();
            // A busy node forgets slowly and needs the longer run.
            let jobs = if utilisation < 0.8 { 60_000 } else { 240_000 };
            let sizes = |job: u64| key.with(row as u64).with(job).lognormal(SIZE_SIGMA);
            simulate(f64::from(cores), utilisation, jobs, TABLE_SEED + row as u64, sizes, |job| {
                classes[class(job.size as f32)].push((job.response / job.size) as f32);
            });
            for slowdowns in &mut classes {
                slowdowns.sort_unstable_by(f32::total_cmp);
                for quantile in 0..QUANTILES {
                    let at = (quantile as f64 + 0.5) / QUANTILES as f64 * slowdowns.len() as f64;
                    let value = slowdowns.get((at as usize).min(slowdowns.len().saturating_sub(1)));
                    values.push(value.copied().unwrap_or(1.0).max(1.0));
                }
            }
        }
        Self { values }
    }

    pub(crate) fn between(utilisation: f64) -> Between {
        let high = GRID.partition_point(|at| *at < utilisation).min(GRID.len() - 1);
        if high == 0 || utilisation >= GRID[GRID.len() - 1] {
            return Between { low: high, high, share: 0.0 };
        }
        let share = (utilisation - GRID[high - 1]) / (GRID[high] - GRID[high - 1]);
        Between { low: high - 1, high, share: share as f32 }
    }

    /// Slowdown of a job of `relative` size at the quantile given by the eight bits of `bits`.
    #[inline]
    pub(crate) fn sample(&self, at: Between, relative: f32, bits: u64) -> f32 {
        let cell = class(relative) * QUANTILES + (bits as usize & (QUANTILES - 1));
        let low = self.values[at.low * CLASSES * QUANTILES + cell];
        let high = self.values[at.high * CLASSES * QUANTILES + cell];
        low + (high - low) * at.share
    }
}

/// The class of a relative size, from the exponent of the number.
#[inline]
fn class(relative: f32) -> usize {
    let exponent = (relative.to_bits() >> 23) as i32 - 127;
    (exponent.clamp(-3, 2) + 3) as usize
}

#[cfg(test)]
mod tests {
    use super::{Slowdowns, simulate};
    use crate::random::{Draw, Key};

    /// Mean response over mean size.
    fn mean_slowdown(cores: f64, utilisation: f64, sizes: impl Fn(u64) -> f64) -> f64 {
        let (mut responses, mut work) = (0.0, 0.0);
        simulate(cores, utilisation, 600_000, 7, sizes, |job| {
            responses += job.response;
            work += job.size;
        });
        responses / work
    }

    #[test]
    fn one_core_has_the_mean_of_theory_whatever_the_sizes() {
        let key = Key::new(3, Draw::Demand);
        for utilisation in [0.2, 0.5, 0.7, 0.85] {
            let theory = 1.0 / (1.0 - utilisation);
            let exponential = mean_slowdown(1.0, utilisation, |job| -(1.0 - key.with(job).unit()).ln());
            let lognormal = mean_slowdown(1.0, utilisation, |job| key.with(job).lognormal(0.9));
            for measured in [exponential, lognormal] {
                assert!((measured / theory - 1.0).abs() < 0.05, "{utilisation}: {measured} not {theory}");
            }
        }
    }

    #[test]
    fn four_cores_have_the_mean_of_erlang_c() {
        let key = Key::new(4, Draw::Demand);
        for utilisation in [0.5_f64, 0.8, 0.9] {
            let load = 4.0 * utilisation;
            let below: f64 = 1.0 + load + load.powi(2) / 2.0 + load.powi(3) / 6.0;
            let above = load.powi(4) / 24.0 / (1.0 - utilisation);
            let theory = 1.0 + above / (below + above) / (4.0 * (1.0 - utilisation));
            let measured = mean_slowdown(4.0, utilisation, |job| -(1.0 - key.with(job).unit()).ln());
            assert!((measured / theory - 1.0).abs() < 0.05, "{utilisation}: {measured} not {theory}");
        }
    }

    #[test]
    fn slowdowns_grow_with_utilisation_and_start_at_one() {
        let table = Slowdowns::of(4);
        let mean = |utilisation: f64| {
            let at = Slowdowns::between(utilisation);
            (0..256).map(|bits| f64::from(table.sample(at, 0.8, bits))).sum::<f64>() / 256.0
        };
        let means: Vec<f64> = [0.0, 0.3, 0.6, 0.8, 0.9, 0.96, 2.0].into_iter().map(mean).collect();
        assert!(means.is_sorted(), "{means:?}");
        assert!((means[0] - 1.0).abs() < 0.01 && means[6] > 5.0, "{means:?}");
    }

    /// Responses drawn from the table are those of a node that was simulated for the purpose, though its sizes
    /// spread less and its utilisation is none of the table's.
    #[test]
    fn the_table_stands_for_a_simulation() {
        let key = Key::new(5, Draw::Demand);
        let quantiles = |mut responses: Vec<f64>| {
            responses.sort_by(f64::total_cmp);
            [0.5, 0.95, 0.99].map(|at: f64| responses[(at * responses.len() as f64) as usize])
        };
        for (cores, utilisation) in [(4, 0.5), (4, 0.83), (8, 0.92)] {
            let size = |job: u64| key.with(job).lognormal(0.6);
            let mut simulated = Vec::new();
            let keep = |job: super::Job| simulated.push(job.response);
            simulate(f64::from(cores), utilisation, 400_000, 11, size, keep);
            let (table, at) = (Slowdowns::of(cores), Slowdowns::between(utilisation));
            let draw =
                |job: u64| size(job) * f64::from(table.sample(at, size(job) as f32, key.with(job).draw(9)));
            let drawn = quantiles((0..400_000).map(draw).collect());
            for (drawn, simulated) in drawn.into_iter().zip(quantiles(simulated)) {
                assert!(
                    (drawn / simulated - 1.0).abs() < 0.1,
                    "{cores} {utilisation}: {drawn} not {simulated}"
                );
            }
        }
    }
}
