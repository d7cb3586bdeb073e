//! CPU per request of a workload, from CPU against throughput.
//!
//! A straight line whose slope is the CPU of one request and whose start is the CPU without any (the utilisation law,
//! Denning and Buzen 1978). It is the median of the slopes between all pairs of points (Theil 1950; Sen 1968), which
//! up to a quarter of odd points does not move: a nightly job, or a deployment that warms up. Points are gathered into
//! bins of similar throughput first, so that noise of throughput does not flatten the slope and thousands of points
//! cost little.
use crate::learned::Demand;
use serde::{Deserialize, Serialize};

/// Steps without which nothing is fitted.
const FEWEST: usize = 30;
/// Bins of similar throughput, at most.
const BINS: usize = 24;
/// Least distance between the tenth and the ninetieth percentile of throughput, as a share of the latter: with less
/// there is no telling what CPU without requests is.
const LEAST_SPREAD: f64 = 0.15;
/// Half the width of an interval that holds nine in ten, in standard errors.
const NINE_IN_TEN: f64 = 1.645;
/// Standard deviations from which on a point is odd.
const ODD: f64 = 3.0;
/// Standard deviation over the median of absolute deviations, for normal residuals.
const OVER_MEDIAN: f64 = 1.4826;

/// Why CPU per request cannot be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DemandUnknown {
    /// Too few steps have both CPU and throughput.
    #[error("{have} steps have both CPU and throughput, but {need} are needed")]
    TooFew {
        /// Steps that have both.
        have: usize,
        /// Steps that are needed.
        need: usize,
    },
    /// Throughput hardly changes, so what CPU would be without it is not known.
    #[error("throughput varies by {:.0} % only, but at least {:.0} % are needed", spread * 100.0, need * 100.0)]
    TooConstant {
        /// Distance between the tenth and the ninetieth percentile as a share of the latter.
        spread: f64,
        /// The least that is needed.
        need: f64,
    },
    /// More requests do not take more CPU.
    #[error("CPU does not rise with throughput")]
    NoEffect,
}

/// Fits CPU in millicores against requests per second, step by step; steps in which one is not a number are left out.
/// Both are of the same replicas; the idle CPU is of all of them together.
///
/// # Errors
/// [`DemandUnknown`] when the points do not tell.
pub fn fit(cpu: &[f64], rps: &[f64]) -> Result<Demand, DemandUnknown> {
    let known = rps.iter().copied().zip(cpu.iter().copied());
    let mut points: Vec<(f64, f64)> =
        known.filter(|(x, y)| x.is_finite() && y.is_finite() && *x >= 0.0).collect();
    if points.len() < FEWEST {
        return Err(DemandUnknown::TooFew { have: points.len(), need: FEWEST });
    }
    let in_time = points.clone();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let at = |share: f64| points[((points.len() - 1) as f64 * share) as usize].0;
    let spread = if at(0.9) > 0.0 { (at(0.9) - at(0.1)) / at(0.9) } else { 0.0 };
    if spread < LEAST_SPREAD {
        return Err(DemandUnknown::TooConstant { spread, need: LEAST_SPREAD });
    }
    let slope = slope(&bins(&points)).filter(|slope| *slope > 0.0).ok_or(DemandUnknown::NoEffect)?;
    let start = median(points.iter().map(|(x, y)| y - slope * x).collect());
    // No workload gives CPU back: then the line goes through nothing at all.
    let (slope, idle) = if start >= 0.0 {
        (slope, start)
    } else {
        let busy = points.iter().filter(|(x, _)| *x > 0.0);
        (median(busy.map(|(x, y)| y / x).collect()), 0.0)
    };
    if slope <= 0.0 {
        return Err(DemandUnknown::NoEffect);
    }
    let error = standard_error(&in_time, slope, idle);
    let reach = NINE_IN_TEN * error;
    Ok(Demand {
        core_ms: slope,
        low_core_ms: (slope - reach).max(0.0),
        high_core_ms: slope + reach,
        idle_millicores: idle,
        steps: points.len(),
    })
}

/// Middles of runs of equally many points in the order of throughput.
fn bins(sorted: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let length = sorted.len().div_ceil(BINS);
    let middle = |run: &[(f64, f64)]| {
        (median(run.iter().map(|point| point.0).collect()), median(run.iter().map(|point| point.1).collect()))
    };
    sorted.chunks(length).map(middle).collect()
}

/// Median of the slopes between all pairs, each with the weight of its distance: near pairs tell little.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (at, a) in points.iter().enumerate() {
        for b in &points[at + 1..] {
            let apart = b.0 - a.0;
            if apart > 0.0 {
                slopes.push(((b.1 - a.1) / apart, apart));
            }
        }
    }
    slopes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = slopes.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    slopes
        .iter()
        .find(|(_, weight)| {
            sum += weight;
            sum >= half
        })
        .map(|(slope, _)| *slope)
}

/// Standard error of a slope, from residuals in the order of time.
fn standard_error(points: &[(f64, f64)], slope: f64, idle: f64) -> f64 {
    let count = points.len() as f64;
    let residuals: Vec<f64> = points.iter().map(|(x, y)| y - slope * x - idle).collect();
    let residual = OVER_MEDIAN * median(residuals.iter().map(|value| value.abs()).collect());
    let mean = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let squares: f64 = points.iter().map(|(x, _)| (x - mean) * (x - mean)).sum();
    // Residuals grow with throughput, so each counts where it is (White 1980); odd points count as large ones.
    let weighed: f64 = points
        .iter()
        .zip(&residuals)
        .map(|((x, _), value)| (x - mean).powi(2) * value.abs().min(ODD * residual).powi(2))
        .sum();
    let together = together(&residuals);
    let independent = ((1.0 - together) / (1.0 + together)).clamp(1e-3, 1.0);
    // A median is as sure as the mean of two thirds of the points.
    (std::f64::consts::FRAC_PI_2 * weighed / independent).sqrt() / squares.max(f64::MIN_POSITIVE)
}

/// Correlation of one step's residual with the next one's, at least 0: what goes on for an hour is not sixty pieces of
/// evidence.
fn together(residuals: &[f64]) -> f64 {
    let mean = residuals.iter().sum::<f64>() / residuals.len().max(1) as f64;
    let squares: f64 = residuals.iter().map(|value| (value - mean).powi(2)).sum();
    let next: f64 = residuals.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    if squares > 0.0 { (next / squares).clamp(0.0, 0.99) } else { 0.0 }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix::SplitMix;

    fn day(random: &mut SplitMix, idle: f64, core_ms: f64, noise: f64) -> (Vec<f64>, Vec<f64>) {
        let rps: Vec<f64> = (0..1440)
            .map(|minute| 60.0 + 50.0 * (f64::from(minute) / 1440.0 * std::f64::consts::TAU).sin())
            .map(|rps| rps * (1.0 + 0.05 * random.normal()))
            .collect();
        let cpu = rps.iter().map(|rps| (idle + core_ms * rps) * (1.0 + noise * random.normal())).collect();
        (cpu, rps)
    }

    #[test]
    fn demand_and_idle_are_found() {
        let mut random = SplitMix::new(1);
        let cases = [("no idle CPU", 0.0, 4.0), ("much idle CPU", 300.0, 4.0), ("little CPU", 20.0, 0.2)];
        for (name, idle, core_ms) in cases {
            let (mut cpu, rps) = day(&mut random, idle, core_ms, 0.1);
            // Every tenth step another job runs in the same workload.
            cpu.iter_mut().step_by(10).for_each(|value| *value += 2_000.0);
            let found = fit(&cpu, &rps).unwrap();
            assert!((found.core_ms / core_ms - 1.0).abs() < 0.15, "{name}: {found:?}");
            assert!(
                (found.idle_millicores - idle).abs() < 0.15 * (idle + core_ms * 60.0),
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn nine_intervals_in_ten_hold_the_truth() {
        let mut random = SplitMix::new(2);
        let holds = |_| {
            let (cpu, rps) = day(&mut random, 200.0, 4.0, 0.2);
            let found = fit(&cpu, &rps).unwrap();
            (found.low_core_ms..=found.high_core_ms).contains(&4.0)
        };
        let held = (0..200).map(holds).filter(|held| *held).count();
        assert!((160..=198).contains(&held), "{held} of 200");
    }

    #[test]
    fn what_points_do_not_tell_is_not_said() {
        let rising: Vec<f64> = (0..100).map(f64::from).collect();
        let constant = [50.0; 100];
        let falling: Vec<f64> = rising.iter().map(|rps| 500.0 - rps).collect();
        let gaps = [f64::NAN; 100];
        assert_eq!(
            fit(&rising[..10], &rising[..10]).unwrap_err(),
            DemandUnknown::TooFew { have: 10, need: 30 }
        );
        assert_eq!(fit(&gaps, &rising).unwrap_err(), DemandUnknown::TooFew { have: 0, need: 30 });
        assert_eq!(
            fit(&rising, &constant).unwrap_err(),
            DemandUnknown::TooConstant { spread: 0.0, need: 0.15 }
        );
        assert_eq!(fit(&falling, &rising).unwrap_err(), DemandUnknown::NoEffect);
        assert_eq!(fit(&constant, &rising).unwrap_err(), DemandUnknown::NoEffect);
    }
}
