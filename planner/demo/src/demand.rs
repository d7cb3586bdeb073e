//! Service demand of one request: random CPU time around a mean.

use std::f64::consts::TAU;

use rand::RngExt;

/// Distribution of the CPU time that one request needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    mean_seconds: f64,
    spread: Spread,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Spread {
    Exponential,
    /// Standard deviation of the logarithm.
    LogNormal(f64),
}

impl Demand {
    /// Exponential around a mean in core-seconds: the case that queueing theory knows best; long tail.
    pub fn exponential(mean_seconds: f64) -> Self {
        Self { mean_seconds: mean_seconds.max(0.0), spread: Spread::Exponential }
    }

    /// Log-normal around a mean in core-seconds; `variation` is the standard deviation over the mean.
    pub fn log_normal(mean_seconds: f64, variation: f64) -> Self {
        let sigma = (variation * variation).ln_1p().sqrt();
        Self { mean_seconds: mean_seconds.max(0.0), spread: Spread::LogNormal(sigma) }
    }

    /// The mean, in core-seconds.
    pub fn mean_seconds(&self) -> f64 {
        self.mean_seconds
    }

    /// Draws the demand of one request, in core-seconds.
    pub fn draw(&self, random: &mut impl rand::Rng) -> f64 {
        // One minus a number of [0, 1) is never zero, so its logarithm is finite.
        let first = 1.0 - random.random::<f64>();
        match self.spread {
            Spread::Exponential => -first.ln() * self.mean_seconds,
            Spread::LogNormal(sigma) => {
                let second: f64 = random.random();
                let normal = (-2.0 * first.ln()).sqrt() * (TAU * second).cos();
                // The mean of a log-normal is exp(mu + sigma^2 / 2).
                self.mean_seconds * (sigma * normal - sigma * sigma / 2.0).exp()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn mean_and_variation_are_as_asked() {
        let cases = [
            ("exponential", Demand::exponential(0.008), 1.0),
            ("log-normal", Demand::log_normal(0.008, 0.5), 0.5),
        ];
        for (name, demand, variation) in cases {
            let mut random = StdRng::seed_from_u64(3);
            let draws: Vec<f64> = (0..200_000).map(|_| demand.draw(&mut random)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            assert!((mean / 0.008 - 1.0).abs() < 0.02, "{name}: mean {mean}");
            assert!(
                (variance.sqrt() / mean / variation - 1.0).abs() < 0.05,
                "{name}: variation of {variation}"
            );
        }
    }
}
