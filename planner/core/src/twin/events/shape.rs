//! How CPU demand is spread around its mean.
use crate::splitmix::SplitMix;

/// CPU of one request, in milliseconds of one core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DemandShape {
    /// Exponential: most requests are short.
    Exponential {
        /// Mean.
        mean_ms: f64,
    },
    /// Log-normal.
    LogNormal {
        /// Mean.
        mean_ms: f64,
        /// Squared coefficient of variation.
        scv: f64,
    },
    /// Two kinds of requests, short and long, that take the same CPU in all; the coefficient is above 1.
    Hyperexponential {
        /// Mean.
        mean_ms: f64,
        /// Squared coefficient of variation.
        scv: f64,
    },
}

impl DemandShape {
    /// With this mean, and squared coefficient of variation.
    pub fn new(mean_ms: f64, scv: f64) -> Self {
        if (scv - 1.0).abs() < 0.01 {
            Self::Exponential { mean_ms }
        } else if scv < 1.0 {
            Self::LogNormal { mean_ms, scv }
        } else {
            Self::Hyperexponential { mean_ms, scv }
        }
    }

    /// Mean in milliseconds.
    pub const fn mean_ms(&self) -> f64 {
        match *self {
            Self::Exponential { mean_ms }
            | Self::LogNormal { mean_ms, .. }
            | Self::Hyperexponential { mean_ms, .. } => mean_ms,
        }
    }

    pub(super) fn draw(&self, random: &mut SplitMix) -> f64 {
        match *self {
            Self::Exponential { mean_ms } => mean_ms * exponential(random),
            Self::LogNormal { mean_ms, scv } => {
                let variance = scv.ln_1p();
                mean_ms * (variance.sqrt() * random.normal() - variance / 2.0).exp()
            }
            Self::Hyperexponential { mean_ms, scv } => {
                let short = 0.5 * (1.0 + ((scv - 1.0).max(0.0) / (scv + 1.0)).sqrt());
                let share = if random.unit() < short { short } else { 1.0 - short };
                mean_ms / (2.0 * share) * exponential(random)
            }
        }
    }
}

/// Exponential with mean 1.
pub(super) fn exponential(random: &mut SplitMix) -> f64 {
    -(1.0 - random.unit()).ln()
}
