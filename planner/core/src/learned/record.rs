//! How wrong the twin was about past moves, as a spread around what it predicts.
use super::{TwinOutcome, TwinRecord};

/// Moves without which the usual spread is taken.
const FEWEST: usize = 8;

/// Standard deviation of the logarithm of measured over predicted latency before moves have told: the analytic model is
/// within this of a simulation of the same mesh in nine cases of ten.
const USUAL: f32 = 0.15;

/// The standard deviation that a quartile is below the middle, and above it.
const QUARTILE: f64 = 0.6745;

impl TwinRecord {
    /// Middle and standard deviation of the logarithm of measured over predicted latency; middle 0 and the usual
    /// spread before eight moves were observed.
    pub fn spread(&self) -> (f32, f32) {
        let ratio = |outcome: &TwinOutcome| (outcome.measured_ms / outcome.predicted_ms).ln();
        let mut ratios: Vec<f64> = self.moves.iter().map(ratio).filter(|ratio| ratio.is_finite()).collect();
        if ratios.len() < FEWEST {
            return (0.0, USUAL);
        }
        ratios.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share).round() as usize];
        // Quartiles rather than squares: one move during an outage would outweigh the others.
        let spread = (at(0.75) - at(0.25)) / (2.0 * QUARTILE);
        (at(0.5) as f32, (spread as f32).max(USUAL / 3.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(ratios: &[f64]) -> TwinRecord {
        let outcome = |ratio: &f64| TwinOutcome {
            workload: "cart".into(),
            predicted_ms: 100.0,
            measured_ms: 100.0 * ratio,
        };
        TwinRecord { moves: ratios.iter().map(outcome).collect() }
    }

    #[test]
    fn a_few_moves_say_nothing_and_one_outage_little() {
        assert_eq!(record(&[]).spread(), (0.0, USUAL));
        assert_eq!(record(&[3.0; 7]).spread(), (0.0, USUAL));
        let (middle, spread) = record(&[1.0, 1.1, 1.2, 1.3, 1.2, 1.1, 1.2, 1.3, 1.2, 40.0]).spread();
        assert!((middle - 1.2f32.ln()).abs() < 0.01, "{middle}");
        assert!((0.05..0.2).contains(&spread), "{spread}");
    }

    #[test]
    fn the_spread_follows_how_wrong_the_twin_was() {
        // Logarithms of measured over predicted latency, evenly from one to the other; middle and spread that follow.
        let cases = [
            ("always right", 0.0, 0.0, 0.0, USUAL / 3.0),
            ("nearly right", -0.1, 0.1, 0.0, 0.1 / 0.6745 / 2.0),
            ("often wrong", -0.8, 0.8, 0.0, 0.4 / 0.6745),
            ("too low each time", 0.5, 0.5, 0.5, USUAL / 3.0),
            ("too high, and uncertain", -1.0, 0.0, -0.5, 0.25 / 0.6745),
        ];
        for (name, from, until, middle, spread) in cases {
            let step = |place: u32| (from + (until - from) * f64::from(place) / 40.0).exp();
            let found = record(&(0..=40).map(step).collect::<Vec<_>>()).spread();
            assert!((found.0 - middle).abs() < 0.01, "case: {name}: a middle of {}", found.0);
            assert!((found.1 / spread - 1.0).abs() < 0.02, "case: {name}: a spread of {}", found.1);
        }
    }
}
