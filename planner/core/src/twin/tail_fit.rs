//! From mean and variance to quantiles.
//!
//! Response times that vary less than exponential ones are taken to follow a gamma distribution, which sums of such
//! times do; those that vary more a hyperexponential one. That is what calls that are made now and then give, and it is
//! near to what processor sharing does to short requests on a busy node, a product of two exponential times. Quantiles
//! are kept in a table, because they are looked up for every service, moment and level.
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

/// Quantile over the mean: of a gamma distribution up to a squared coefficient of variation of 1, of a hyperexponential
/// one of balanced means beyond; both are exponential at 1.
pub(super) fn over_mean(scv: f64, quantile: f64) -> f64 {
    if scv < 1e-9 {
        return 1.0;
    }
    if scv <= 1.0 {
        let shape = 1.0 / scv;
        let whole = ln_gamma(shape);
        return root(quantile, |value| {
            let at = value * shape;
            let density = shape * ((shape - 1.0) * at.ln() - at - whole).exp();
            (regularised_gamma(shape, at, whole), density)
        });
    }
    let short = 0.5 * (1.0 + ((scv - 1.0).max(0.0) / (scv + 1.0)).sqrt());
    root(quantile, |value| {
        let (quick, slow) = (2.0 * short, 2.0 * (1.0 - short));
        let (first, second) = (short * (-quick * value).exp(), (1.0 - short) * (-slow * value).exp());
        (1.0 - first - second, quick * first + slow * second)
    })
}

/// Where a distribution of mean 1 reaches a level, by Newton's method kept between bounds; `below` gives distribution
/// and density.
fn root(level: f64, below: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut least, mut most) = (0.0, f64::INFINITY);
    let mut value = 1.0;
    for _ in 0..60 {
        let (reached, density) = below(value);
        if reached < level {
            least = value;
        } else {
            most = value;
        }
        let mut next = value + (level - reached) / density;
        if !(next > least && next < most) {
            next = if most.is_finite() { 0.5 * (least + most) } else { 2.0 * value };
        }
        let change = (next - value).abs();
        value = next;
        if change <= 1e-10 * value || value > 1e6 {
            break;
        }
    }
    value
}

/// Regularised lower incomplete gamma function: series below the mean, continued fraction above it (Abramowitz and
/// Stegun 6.5.29 and 6.5.31).
fn regularised_gamma(shape: f64, at: f64, ln_gamma_of_shape: f64) -> f64 {
    if at <= 0.0 {
        return 0.0;
    }
    let factor = (shape * at.ln() - at - ln_gamma_of_shape).exp();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_quantiles_are_those_of_tables_of_chi_squared() {
        // Half the degrees of freedom are the shape; value of the table over the degrees of freedom.
        let cases = [(2.0, 0.99, 9.2103), (4.0, 0.999, 18.467), (8.0, 0.5, 7.3441), (8.0, 0.99, 20.090)];
        for (freedom, level, value) in cases.into_iter().chain([(200.0, 0.99, 249.445)]) {
            let (ours, table) = (over_mean(2.0 / freedom, level), value / freedom);
            assert!((ours / table - 1.0).abs() < 1e-4, "{freedom} degrees at {level}: {ours}, table {table}");
        }
    }

    #[test]
    fn the_hyperexponential_quantile_is_where_its_distribution_has_the_level() {
        for scv in [1.001, 1.5, 4.0, 31.0] {
            let short = 0.5 * (1.0 + ((scv - 1.0f64) / (scv + 1.0)).sqrt());
            for level in [0.01, 0.5, 0.9, 0.99, 0.9999] {
                let value = over_mean(scv, level);
                let above = short * (-2.0 * short * value).exp()
                    + (1.0 - short) * (-2.0 * (1.0 - short) * value).exp();
                let reached = 1.0 - above;
                assert!((reached - level).abs() < 1e-8, "{scv} at {level}: {value} has {reached}");
            }
        }
    }
}
