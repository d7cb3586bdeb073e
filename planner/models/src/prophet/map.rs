//! The most likely parameters of Prophet's model.
//!
//! The model is that of `prophet.stan`: `y ~ N(f(theta), sigma)`, `sigma` half-normal with scale 0.5, slope, offset and
//! effects normal, bends Laplace. Where all parts are added, `f` is linear and the posterior is maximised exactly:
//! `sigma` has a closed form for given `theta`, and `theta` solves a quadratic problem with absolute values
//! ([`super::sign_search`]) for given `sigma`; the two alternate. Where parts multiply the trend, `f` is made linear at
//! the last `theta` (Gauss and Newton) and steps are halved until the posterior rises.
use super::sign_search::{self, Quadratic};

/// Scale of the prior of the noise.
const SIGMA_SCALE: f64 = 0.5;
/// Least noise, in units of the scaled series: what rounding makes of a perfect fit.
const LEAST_SIGMA: f64 = 1e-6;
/// Alternations between `theta` and `sigma`, and linearisations, at most.
const MOST_ROUNDS: usize = 100;
/// Relative change of the variance at which they have settled.
const SETTLED: f64 = 1e-10;

/// Prior of one parameter, around 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Prior {
    /// Normal with this standard deviation.
    Normal(f64),
    /// Laplace with this scale.
    Laplace(f64),
}

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// Part of the trend.
    Trend,
    /// Added to the trend.
    Added,
    /// Multiplies the trend, on top of 1.
    Multiplied,
}

/// What is to be maximised.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// One row for each target, one after the other.
    pub(super) rows: Vec<f64>,
    /// The scaled series.
    pub(super) targets: Vec<f64>,
    /// Prior of each column's coefficient.
    pub(super) priors: Vec<Prior>,
    /// What each column is for.
    pub(super) joins: Vec<Join>,
}

/// The most likely parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MostLikely {
    /// Coefficients, in the order of the columns.
    pub(super) theta: Vec<f64>,
    /// Standard deviation of the noise.
    pub(super) sigma: f64,
}

/// Trend, factor on it and addition to it, at a row.
pub(super) fn parts(row: &[f64], theta: &[f64], joins: &[Join]) -> (f64, f64, f64) {
    let (mut trend, mut factor, mut added) = (0.0, 1.0, 0.0);
    for ((value, coefficient), join) in row.iter().zip(theta).zip(joins) {
        match join {
            Join::Trend => trend += value * coefficient,
            Join::Added => added += value * coefficient,
            Join::Multiplied => factor += value * coefficient,
        }
    }
    (trend, factor, added)
}

impl Problem {
    fn width(&self) -> usize {
        self.joins.len()
    }

    /// Sum of squared residuals.
    pub(super) fn squares(&self, theta: &[f64]) -> f64 {
        let residual = |(row, target): (&[f64], &f64)| {
            let (trend, factor, added) = parts(row, theta, &self.joins);
            target - (trend * factor + added)
        };
        self.rows.chunks_exact(self.width()).zip(&self.targets).map(|pair| residual(pair).powi(2)).sum()
    }

    /// Logarithm of the posterior density, up to a constant, for given squares of residuals.
    pub(super) fn posterior(&self, theta: &[f64], squares: f64, sigma: f64) -> f64 {
        let prior: f64 = theta
            .iter()
            .zip(&self.priors)
            .map(|(value, prior)| match prior {
                Prior::Normal(deviation) => (value / deviation).powi(2) / 2.0,
                Prior::Laplace(scale) => value.abs() / scale,
            })
            .sum();
        let noise = (sigma / SIGMA_SCALE).powi(2) / 2.0;
        -(self.targets.len() as f64) * sigma.ln() - squares / (2.0 * sigma * sigma) - noise - prior
    }

    /// The most likely noise for so many squares of residuals: the root of the posterior's derivative.
    fn variance(&self, squares: f64) -> f64 {
        let count = self.targets.len() as f64;
        let variance = 2.0 * squares / (count + (count * count + 4.0 * squares / SIGMA_SCALE.powi(2)).sqrt());
        variance.max(LEAST_SIGMA * LEAST_SIGMA)
    }

    /// Finds the most likely parameters.
    pub(super) fn maximise(&self) -> MostLikely {
        if !self.joins.contains(&Join::Multiplied) {
            return self.settle(&self.linearised(&vec![0.0; self.width()]), vec![0.0; self.width()]);
        }
        let mut best = MostLikely { theta: vec![0.0; self.width()], sigma: 1.0 };
        // The mean is a start at which factors have something to multiply.
        best.theta[0] = self.targets.iter().sum::<f64>() / self.targets.len() as f64;
        let score = |theta: &[f64]| {
            let squares = self.squares(theta);
            let sigma = self.variance(squares).sqrt();
            (self.posterior(theta, squares, sigma), sigma)
        };
        let (mut reached, sigma) = score(&best.theta);
        best.sigma = sigma;
        for _ in 0..MOST_ROUNDS {
            let goal = self.settle(&self.linearised(&best.theta), best.theta.clone()).theta;
            let mut rise = 0.0;
            for halvings in 0..20 {
                let part = 0.5_f64.powi(halvings);
                let theta: Vec<f64> =
                    best.theta.iter().zip(&goal).map(|(from, to)| from + part * (to - from)).collect();
                let (posterior, sigma) = score(&theta);
                if posterior > reached {
                    rise = posterior - reached;
                    reached = posterior;
                    best = MostLikely { theta, sigma };
                    break;
                }
            }
            if rise < 1e-9 * (1.0 + reached.abs()) {
                break;
            }
        }
        best
    }

    /// Normal equations of the model made linear at `theta`.
    fn linearised(&self, theta: &[f64]) -> Normal {
        let width = self.width();
        let mut normal = Normal { gram: vec![0.0; width * width], moments: vec![0.0; width], squares: 0.0 };
        let multiplied = self.joins.contains(&Join::Multiplied);
        let mut slopes = vec![0.0; width];
        for (row, target) in self.rows.chunks_exact(width).zip(&self.targets) {
            let mut goal = *target;
            slopes.copy_from_slice(row);
            if multiplied {
                let (trend, factor, _) = parts(row, theta, &self.joins);
                for (slope, join) in slopes.iter_mut().zip(&self.joins) {
                    match join {
                        Join::Trend => *slope *= factor,
                        Join::Added => {}
                        Join::Multiplied => *slope *= trend,
                    }
                }
                // f(theta) + slopes · (x - theta) = slopes · x - (factor - 1) · trend.
                goal += (factor - 1.0) * trend;
            }
            normal.add(&slopes, goal);
        }
        normal
    }

    /// Alternates between the coefficients and the noise, from a start, until they settle.
    fn settle(&self, normal: &Normal, start: Vec<f64>) -> MostLikely {
        let width = self.width();
        let mut theta = start;
        // From above, as Prophet does, so that the priors count at first.
        let mean = self.targets.iter().sum::<f64>() / self.targets.len() as f64;
        let spread: f64 = self.targets.iter().map(|target| (target - mean).powi(2)).sum();
        let mut variance = self.variance(spread);
        let mut matrix = vec![0.0; width * width];
        for _ in 0..MOST_ROUNDS {
            matrix.copy_from_slice(&normal.gram);
            let mut bounds = vec![0.0; width];
            for (column, prior) in self.priors.iter().enumerate() {
                match prior {
                    Prior::Normal(deviation) => {
                        matrix[column * width + column] += variance / (deviation * deviation);
                    }
                    Prior::Laplace(scale) => bounds[column] = variance / scale,
                }
            }
            sign_search::minimise(
                &Quadratic { matrix: &matrix, right: &normal.moments, bounds: &bounds },
                &mut theta,
            );
            let next = self.variance(normal.squares_at(&theta));
            let change = (next / variance - 1.0).abs();
            variance = next;
            if change < SETTLED {
                break;
            }
        }
        MostLikely { theta, sigma: variance.sqrt() }
    }
}

/// Normal equations of a linear regression.
#[derive(Debug)]
struct Normal {
    gram: Vec<f64>,
    moments: Vec<f64>,
    squares: f64,
}

impl Normal {
    fn add(&mut self, row: &[f64], target: f64) {
        let width = row.len();
        for (i, value) in row.iter().enumerate() {
            // Bends that are still to come are 0.
            if *value != 0.0 {
                self.moments[i] += value * target;
                let line = &mut self.gram[i * width..=i * width + i];
                line.iter_mut().zip(row).for_each(|(sum, other)| *sum += value * other);
            }
        }
        self.squares += target * target;
    }

    fn squares_at(&self, theta: &[f64]) -> f64 {
        let width = theta.len();
        let product: f64 = (0..width)
            .map(|i| {
                let line: f64 = (0..i).map(|j| 2.0 * self.gram[i * width + j] * theta[j]).sum();
                theta[i] * (line + self.gram[i * width + i] * theta[i])
            })
            .sum();
        let moments: f64 = self.moments.iter().zip(theta).map(|(moment, value)| moment * value).sum();
        (self.squares - 2.0 * moments + product).max(0.0)
    }
}
