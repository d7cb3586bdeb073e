//! From mean and variance to quantiles, and back from quantiles to mean and variance.
//!
//! Response times are taken to follow a gamma distribution: it is exact for exponential times and for sums of them, and
//! its tail is between those of what processor sharing makes. Its quantiles are kept in a table, because they are
//! looked up for every service, moment and level.
use crate::units::Quantile;

/// Places in the table, evenly over `scv / (1 + scv)`.
const PLACES: usize = 65;
/// Squared coefficient of variation that the table ends at: place 64 would be infinite.
const MOST_SCV: f64 = 31.0;

/// One quantile over the mean, by the squared coefficient of variation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TailTable {
    level: Quantile,
    over_mean: Vec<f32>,
}

impl TailTable {
    /// The table of one quantile.
    pub(super) fn new(quantile: Quantile) -> Self {
        let at = |place: usize| {
            let part = place as f64 / (PLACES - 1) as f64 * (MOST_SCV / (1.0 + MOST_SCV));
            over_mean(part / (1.0 - part), quantile.get()) as f32
        };
        Self { level: quantile, over_mean: (0..PLACES).map(at).collect() }
    }

    /// The quantile that it is of.
    pub(super) const fn level(&self) -> Quantile {
        self.level
    }

    /// The quantile of a time with this mean and variance.
    pub(super) fn quantile(&self, mean: f32, variance: f32) -> f32 {
        mean * self.over_mean(variance / (mean * mean).max(f32::MIN_POSITIVE))
    }

    /// The quantile over the mean.
    pub(super) fn over_mean(&self, scv: f32) -> f32 {
        let part = scv.clamp(0.0, MOST_SCV as f32);
        let place = part / (1.0 + part) * ((1.0 + MOST_SCV) / MOST_SCV) as f32 * (PLACES - 1) as f32;
        let below = (place as usize).min(PLACES - 2);
        let share = place - below as f32;
        let (low, high) = (self.over_mean[below], self.over_mean[below + 1]);
        low + share * (high - low)
    }
}

/// Mean and variance of a time whose quantiles are `middle` at the first table and `upper` at the second, higher one.
/// `None` when they are no numbers above 0.
pub(super) fn moments(tables: (&TailTable, &TailTable), middle: f64, upper: f64) -> Option<(f64, f64)> {
    let (low, high) = tables;
    if !(middle > 0.0 && upper.is_finite()) {
        return None;
    }
    let wanted = (upper / middle).max(1.0) as f32;
    let ratio = |scv: f32| high.over_mean(scv) / low.over_mean(scv).max(1e-9);
    // The ratio rises with the spread.
    let (mut least, mut most) = (0.0f32, MOST_SCV as f32);
    for _ in 0..40 {
        let between = 0.5 * (least + most);
        if ratio(between) < wanted { least = between } else { most = between }
    }
    let scv = f64::from(0.5 * (least + most));
    // The upper quantile is the one that objectives are about, so it is the one that is met when both cannot be.
    let mean = upper.max(middle) / f64::from(high.over_mean(scv as f32));
    Some((mean, scv * mean * mean))
}

/// Quantile of a gamma distribution over its mean.
fn over_mean(scv: f64, quantile: f64) -> f64 {
    if scv < 1e-9 {
        return 1.0;
    }
    let shape = 1.0 / scv;
    let (mut least, mut most) = (0.0, 1.0);
    while regularised_gamma(shape, most) < quantile && most < 1e6 {
        most *= 2.0;
    }
    for _ in 0..80 {
        let between = 0.5 * (least + most);
        if regularised_gamma(shape, between) < quantile { least = between } else { most = between }
    }
    0.5 * (least + most) * scv
}

/// Regularised lower incomplete gamma function: series below the mean, continued fraction above it (Abramowitz and
/// Stegun 6.5.29 and 6.5.31).
fn regularised_gamma(shape: f64, at: f64) -> f64 {
    if at <= 0.0 {
        return 0.0;
    }
    let factor = (shape * at.ln() - at - ln_gamma(shape)).exp();
    if at < shape + 1.0 {
        let (mut term, mut sum) = (1.0 / shape, 1.0 / shape);
        for n in 1..500 {
            term *= at / (shape + f64::from(n));
            sum += term;
            if term < sum * 1e-14 {
                break;
            }
        }
        return sum * factor;
    }
    // Lentz's method.
    let least = |value: f64| value.abs().max(1e-300).copysign(value);
    let mut bottom = at + 1.0 - shape;
    let mut upper = 1e300;
    let mut lower = 1.0 / least(bottom);
    let mut fraction = lower;
    for n in 1..500 {
        let top = -f64::from(n) * (f64::from(n) - shape);
        bottom += 2.0;
        lower = 1.0 / least(top * lower + bottom);
        upper = least(bottom + top / upper);
        fraction *= lower * upper;
        if (lower * upper - 1.0).abs() < 1e-14 {
            break;
        }
    }
    1.0 - factor * fraction
}

/// Logarithm of the gamma function by Stirling's series, with the recurrence below 8.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 8.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}
