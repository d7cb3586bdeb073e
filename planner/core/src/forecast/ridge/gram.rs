//! A decayed normal matrix: the sums that a weighted ridge regression needs, updated one row at a time.

/// Features of a series with a season; without one only the first [`PLAIN`] are used.
pub(in crate::forecast) const SEASONAL: usize = 16;

/// Features that need no season.
pub(in crate::forecast) const PLAIN: usize = 8;

/// One row of features.
pub(in crate::forecast) type Row = [f32; SEASONAL];

/// Newer rows weigh more; when the newest weighs more than this, all are scaled down, long before `f32` loses bits.
const HEAVIEST: f32 = 1e4;

/// Sums of `w·x·xᵀ` (lower triangle, row by row), `w·x·y` and the coefficients solved last.
#[derive(Clone, Debug)]
pub(in crate::forecast) struct Gram {
    features: usize,
    /// Triangle, then right-hand side, then coefficients.
    sums: Box<[f32]>,
    /// Weight of the next row relative to the sums.
    weight: f32,
    /// Decayed number of rows, in the scale of the sums.
    rows: f32,
    /// Typical absolute error, for the Huber weight.
    typical: f32,
    solved: bool,
}

/// Penalty of the constant, only against a matrix that cannot be solved.
const CONSTANT: f64 = 1e-3;

const fn triangle(features: usize) -> usize {
    features * (features + 1) / 2
}

impl Gram {
    pub(in crate::forecast) fn new(features: usize) -> Self {
        let features = features.min(SEASONAL);
        let sums = vec![0.0; triangle(features) + 2 * features].into_boxed_slice();
        Self { features, sums, weight: 1.0, rows: 0.0, typical: 0.5, solved: false }
    }

    pub(in crate::forecast) fn bytes(&self) -> usize {
        size_of_val(&*self.sums)
    }

    pub(in crate::forecast) fn solved(&self) -> bool {
        self.solved
    }

    pub(in crate::forecast) fn coefficients(&self) -> &[f32] {
        &self.sums[triangle(self.features) + self.features..]
    }

    /// What the coefficients say about a row.
    pub(in crate::forecast) fn predict(&self, row: &Row) -> f32 {
        self.coefficients().iter().zip(row).map(|(c, x)| c * x).sum()
    }

    /// Decayed number of rows.
    pub(in crate::forecast) fn rows(&self) -> f32 {
        self.rows / self.weight
    }

    /// Takes one row in. `growth` is one over the share that older rows keep; `huber` bounds the pull of a row whose
    /// error is that many times the typical one (Huber 1964).
    pub(in crate::forecast) fn add(&mut self, row: &Row, target: f32, growth: f32, huber: f32) {
        let mut weight = self.weight;
        if self.solved {
            let error = (target - self.predict(row)).abs();
            let limit = (huber * self.typical).max(1e-6);
            if error > limit {
                weight *= limit / error;
            }
            self.typical += 0.01 * (error.min(20.0 * self.typical + 1e-3) - self.typical);
        }
        let (sums, rest) = self.sums.split_at_mut(triangle(self.features));
        let mut at = 0;
        for i in 0..self.features {
            let pull = weight * row[i];
            for (sum, x) in sums[at..=at + i].iter_mut().zip(&row[..=i]) {
                *sum += pull * x;
            }
            rest[i] += pull * target;
            at += i + 1;
        }
        self.rows += self.weight;
        self.weight *= growth;
        if self.weight > HEAVIEST {
            self.decay(1.0);
        }
    }

    /// Scales everything so that the next row weighs 1 and what is known keeps `keep` of its weight.
    pub(in crate::forecast) fn decay(&mut self, keep: f32) {
        let factor = keep / self.weight;
        let sums = triangle(self.features) + self.features;
        for sum in &mut self.sums[..sums] {
            *sum *= factor;
        }
        self.rows *= factor;
        self.weight = 1.0;
    }

    /// Solves for the coefficients with the penalty `ridge` for each row and `least` at least on every feature but the
    /// constant. Keeps the old ones when the sums do not determine new ones.
    pub(in crate::forecast) fn solve(&mut self, ridge: f32, least: f32) {
        let p = self.features;
        let mut a = [[0.0f64; SEASONAL]; SEASONAL];
        let mut b = [0.0f64; SEASONAL];
        let scale = 1.0 / f64::from(self.weight);
        let penalty = f64::from(ridge) * f64::from(self.rows()) + f64::from(least);
        let mut at = 0;
        for (i, row) in a.iter_mut().take(p).enumerate() {
            for (entry, sum) in row.iter_mut().zip(&self.sums[at..=at + i]) {
                *entry = f64::from(*sum) * scale;
            }
            row[i] += if i == 0 { CONSTANT } else { penalty };
            at += i + 1;
        }
        for (b, sum) in b.iter_mut().zip(&self.sums[at..at + p]) {
            *b = f64::from(*sum) * scale;
        }
        // Cholesky: A = L·Lᵀ, then two triangular systems.
        let mut inverse = [0.0f64; SEASONAL];
        for i in 0..p {
            for j in 0..=i {
                let (above, below) = a.split_at_mut(i);
                let row_i = &mut below[0];
                let sum: f64 = if j < i {
                    row_i[..j].iter().zip(&above[j][..j]).map(|(x, y)| x * y).sum()
                } else {
                    row_i[..j].iter().map(|x| x * x).sum()
                };
                let rest = row_i[j] - sum;
                if j == i {
                    if rest <= 1e-12 {
                        return;
                    }
                    row_i[i] = rest.sqrt();
                    inverse[i] = 1.0 / row_i[i];
                } else {
                    row_i[j] = rest * inverse[j];
                }
            }
        }
        for i in 0..p {
            let sum: f64 = (0..i).map(|k| a[i][k] * b[k]).sum();
            b[i] = (b[i] - sum) * inverse[i];
        }
        for i in (0..p).rev() {
            let sum: f64 = (i + 1..p).map(|k| a[k][i] * b[k]).sum();
            b[i] = (b[i] - sum) * inverse[i];
        }
        if b[..p].iter().all(|c| c.is_finite()) {
            for (c, solved) in self.sums[at + p..].iter_mut().zip(&b[..p]) {
                *c = *solved as f32;
            }
            self.solved = true;
        }
    }
}
