//! Minimises a quadratic function plus absolute values, exactly: the feature-sign search of Lee, Battle, Raina and Ng,
//! "Efficient sparse coding algorithms", NIPS 2006.
//!
//! While the signs of the coefficients are known, the minimum solves a linear system. Coefficients at 0 are let go one
//! by one, the steepest first, and a step that would change a sign stops where that pays.
use crate::cholesky;

/// `x' · matrix · x / 2 - right · x + sum(bounds · |x|)`.
#[derive(Debug)]
pub(super) struct Quadratic<'a> {
    /// Symmetric, positive semidefinite, row by row; only the lower triangle is read.
    pub(super) matrix: &'a [f64],
    /// The linear part.
    pub(super) right: &'a [f64],
    /// Weight of each absolute value; 0 for a coefficient that is free.
    pub(super) bounds: &'a [f64],
}

/// How close to 0, relative to the right side, a derivative has to be.
const FLAT: f64 = 1e-9;
/// Linear systems that are solved at most; a handful is usual.
const MOST_STEPS: usize = 500;

impl Quadratic<'_> {
    fn at(&self, i: usize, j: usize) -> f64 {
        let width = self.right.len();
        if i >= j { self.matrix[i * width + j] } else { self.matrix[j * width + i] }
    }

    fn product(&self, x: &[f64]) -> Vec<f64> {
        (0..x.len()).map(|i| x.iter().enumerate().map(|(j, value)| self.at(i, j) * value).sum()).collect()
    }

    fn value(&self, x: &[f64]) -> f64 {
        let product = self.product(x);
        (0..x.len()).map(|i| x[i] * (product[i] / 2.0 - self.right[i]) + self.bounds[i] * x[i].abs()).sum()
    }

    /// The minimum with the given signs, over the active coefficients.
    fn solve(&self, active: &[usize], signs: &[f64]) -> Vec<f64> {
        let size = active.len();
        let mut matrix = vec![0.0; size * size];
        for (row, i) in active.iter().enumerate() {
            for (column, j) in active.iter().enumerate().take(row + 1) {
                matrix[row * size + column] = self.at(*i, *j);
            }
        }
        let mut right: Vec<f64> =
            active.iter().map(|i| self.right[*i] - self.bounds[*i] * signs[*i]).collect();
        cholesky::solve(&mut matrix, &mut right);
        right
    }
}

/// Moves `x` to the minimum.
pub(super) fn minimise(quadratic: &Quadratic<'_>, x: &mut [f64]) {
    let width = x.len();
    let flat = FLAT * quadratic.right.iter().fold(1e-300, |largest: f64, value| largest.max(value.abs()));
    let sign = |value: f64| if value == 0.0 { 0.0 } else { value.signum() };
    let bounded = |i: usize| quadratic.bounds[i] > 0.0;
    for step in 0..MOST_STEPS {
        let mut signs: Vec<f64> = (0..width).map(|i| if bounded(i) { sign(x[i]) } else { 0.0 }).collect();
        let mut is_active: Vec<bool> = (0..width).map(|i| !bounded(i) || x[i] != 0.0).collect();
        let product = quadratic.product(x);
        let slope = |i: usize| product[i] - quadratic.right[i];
        let settled = (0..width)
            .filter(|i| is_active[*i])
            .all(|i| (slope(i) + quadratic.bounds[i] * signs[i]).abs() <= flat);
        // Free ones that nothing determines never settle, so a first step is always followed by a release.
        if settled || step > 0 {
            let steepest = (0..width)
                .filter(|i| !is_active[*i] && slope(*i).abs() > quadratic.bounds[*i] + flat)
                .max_by(|a, b| (slope(*a).abs()).total_cmp(&slope(*b).abs()));
            match steepest {
                Some(i) => {
                    is_active[i] = true;
                    signs[i] = -sign(slope(i));
                }
                None if settled => return,
                None => {}
            }
        }
        let active: Vec<usize> = (0..width).filter(|i| is_active[*i]).collect();
        let mut goal = vec![0.0; width];
        for (i, value) in active.iter().zip(quadratic.solve(&active, &signs)) {
            goal[*i] = value;
        }
        let before = quadratic.value(x);
        let along = |part: f64| -> Vec<f64> {
            let mut there: Vec<f64> =
                x.iter().zip(&goal).map(|(from, to)| from + part * (to - from)).collect();
            for i in 0..width {
                // Exactly 0 where the step ends at a change of sign.
                let crosses = bounded(i) && x[i] != 0.0 && (x[i] / (x[i] - goal[i]) - part).abs() < 1e-12;
                if crosses {
                    there[i] = 0.0;
                }
            }
            there
        };
        let crossings = (0..width)
            .filter(|i| bounded(*i) && x[*i] != 0.0 && x[*i] * goal[*i] <= 0.0)
            .map(|i| x[i] / (x[i] - goal[i]));
        let best = std::iter::once(1.0)
            .chain(crossings)
            .map(|part| (part, quadratic.value(&along(part))))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((part, value)) = best else { return };
        if value.is_nan() || value >= before {
            return;
        }
        let there = along(part);
        x.copy_from_slice(&there);
    }
}
