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
