//! Makes breach probabilities come true as often as they say: claimed probabilities are compared with what happened, and
//! mapped by a line in log-odds (Platt 1999) that is learnt online, starting from no change.

/// Step of the stochastic gradient; with four outcomes for each claim, about fifty claims move the line.
const RATE: f32 = 0.05;

/// Share of the way back to no change with every outcome, so that little evidence changes little.
const RETURN: f32 = 0.002;

/// Bounds of the slope.
const SLOPE: std::ops::RangeInclusive<f32> = 0.3..=2.0;

/// Bound of the shift on either side.
const SHIFT: f32 = 2.0;

/// A line in log-odds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Calibration {
    shift: f32,
    slope: f32,
}

fn log_odds(probability: f32) -> f32 {
    let probability = probability.clamp(0.002, 0.998);
    (probability / (1.0 - probability)).ln()
}

impl Calibration {
    /// No change.
    pub(super) const NONE: Self = Self { shift: 0.0, slope: 1.0 };

    /// The probability that is right as often as it says.
    pub(super) fn of(self, claimed: f64) -> f64 {
        let odds = self.shift + self.slope * log_odds(claimed as f32);
        1.0 / (1.0 + f64::from(-odds).exp())
    }

    /// Learns from one claim and whether it came true.
    pub(super) fn learn(&mut self, claimed: f32, came: bool) {
        let odds = log_odds(claimed);
        let said = 1.0 / (1.0 + (-(self.shift + self.slope * odds)).exp());
        let error = f32::from(u8::from(came)) - said;
        self.shift += RATE * error - RETURN * self.shift;
        self.slope += RATE * error * odds - RETURN * (self.slope - 1.0);
        self.shift = self.shift.clamp(-SHIFT, SHIFT);
        self.slope = self.slope.clamp(*SLOPE.start(), *SLOPE.end());
    }
}
