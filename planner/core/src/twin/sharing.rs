//! Processor sharing on several cores: by how much a request slows down, and how much that varies.
//!
//! A request uses one core at a time. With up to `c` requests on `c` cores each has a core; with more, all share.
//!
//! - Mean: `1 + P / (c (1 - u))` with `P` the probability that all cores are busy. Exact for any distribution of demand,
//!   because this queue is symmetric (Kelly 1979, "Reversibility and stochastic networks"; Cohen 1979). `P` is
//!   `u^(sqrt(2 (c + 1)) - 1)` (Sakasegawa 1977), exact for one core.
//! - Variance: the slowdown that an arrival meets has the variance `P (1 + u - P) / (c (1 - u))^2`, by the geometric
//!   distribution of the requests in excess of `c`. Longer requests see it average out: for one core
//!   `Var[T | x] = 2 / (1 - u)^2 * integral over 0..x of (x - t) Pr[W > t]` with `W` the wait in the same queue served
//!   in order (Yashkov 1983; Ott 1984), here with an exponential `W` of the right mean. It is exact for one core and
//!   exponential demand, where the squared coefficient of variation is `(2 + u) / (2 - u)`.

/// A node's CPU as one request meets it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slowdown {
    /// Mean of the slowdown, 1 on an idle node.
    pub(super) mean: f32,
    /// Variance of the slowdown at the moment of arrival.
    pub(super) variance: f32,
    /// How fast it averages out: changes for each mean remaining demand of the requests on the node.
    pub(super) mixing: f32,
}

/// Time that is longer than any latency, in units of the demand: what a request takes on a saturated node. Finite, so
/// that sums of it stay numbers.
pub(super) const SATURATED: f32 = 1e12;

impl Slowdown {
    /// On a node that has no bound.
    pub(super) const UNBOUNDED: Self = Self { mean: SATURATED, variance: 0.0, mixing: 1.0 };

    /// With `utilisation` of `cores` in use by everything.
    pub(super) fn at(utilisation: f32, cores: f32) -> Self {
        if utilisation.is_nan() || utilisation >= 1.0 || cores <= 0.0 {
            return Self::UNBOUNDED;
        }
        let used = utilisation.max(0.0);
        let cores = cores.max(1.0);
        let busy = used.powf((2.0 * (cores + 1.0)).sqrt() - 1.0);
        let free = 1.0 - used;
        let excess = 1.0 / (cores * free);
        let mean = 1.0 + busy * excess;
        Self {
            mean,
            variance: busy * (1.0 + used - busy) * excess * excess,
            mixing: cores * free * free * mean,
        }
    }
}

/// Speed of a request in cores: one at most, less on a node that has less.
pub(super) fn speed(capacity_millicores: f64) -> f64 {
    (capacity_millicores / 1e3).min(1.0)
}
