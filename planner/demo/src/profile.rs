//! Values that repeat every day: the rate of the load and the share of a noisy neighbour.

use std::f64::consts::TAU;
use std::time::Duration;

/// A value that moves between `base` and `peak` once per period, the same in every period.
///
/// The unit is that of the user: requests per second for a load, a share of the capacity for a neighbour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Length of one "day".
    pub period: Duration,
    /// Value far from the peak.
    pub base: f64,
    /// Value in the middle of the peak.
    pub peak: f64,
    /// Where the middle of the peak lies, as a fraction of the period (0 to 1).
    pub centre: f64,
    /// Form of the way from base to peak and back.
    pub shape: Shape,
}

/// Form of one period of a [`Profile`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// One cosine wave per period: no edge, half of the period above the mean.
    Cosine,
    /// The peak value for a part of the period, with straight ramps at both ends.
    Plateau {
        /// Fraction of the period above the base, ramps included.
        width: f64,
        /// Fraction of the period that each ramp takes; at most half of `width`.
        ramp: f64,
    },
}

impl Profile {
    /// A value that never changes.
    pub const fn constant(value: f64) -> Self {
        Self { period: Duration::from_secs(1), base: value, peak: value, centre: 0.5, shape: Shape::Cosine }
    }

    /// The value at a time, in **seconds** since the start of the first day; negative before it.
    ///
    /// A period of zero has no phase: the base holds always.
    pub fn at(&self, seconds: f64) -> f64 {
        let period = self.period.as_secs_f64();
        if period <= 0.0 {
            return self.base;
        }
        let phase = (seconds / period).rem_euclid(1.0);
        self.base + (self.peak - self.base) * self.shape.height(phase, self.centre)
    }

    /// The largest value of a day.
    pub fn maximum(&self) -> f64 {
        self.base.max(self.peak)
    }
}

impl Shape {
    /// Height between 0 (base) and 1 (peak) at a phase between 0 and 1.
    fn height(self, phase: f64, centre: f64) -> f64 {
        match self {
            Self::Cosine => f64::midpoint(1.0, (TAU * (phase - centre)).cos()),
            Self::Plateau { width, ramp } => {
                let apart = (phase - centre).rem_euclid(1.0);
                let distance = apart.min(1.0 - apart);
                let inside = width / 2.0 - distance;
                if ramp <= 0.0 {
                    return if inside >= 0.0 { 1.0 } else { 0.0 };
                }
                (inside / ramp).clamp(0.0, 1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(20);

    fn plateau() -> Profile {
        Profile {
            period: DAY,
            base: 0.1,
            peak: 0.8,
            centre: 0.5,
            shape: Shape::Plateau { width: 0.4, ramp: 0.05 },
        }
    }

    #[test]
    fn values_at_known_phases() {
        let cosine = Profile { period: DAY, base: 40.0, peak: 120.0, centre: 0.5, shape: Shape::Cosine };
        let wrapped = Profile { centre: 0.0, ..plateau() };
        let cases: &[(&str, Profile, f64, f64)] = &[
            ("cosine at its middle", cosine, 10.0, 120.0),
            ("cosine at midnight", cosine, 0.0, 40.0),
            ("cosine half way", cosine, 5.0, 80.0),
            ("cosine in the third day", cosine, 50.0, 120.0),
            ("cosine before the first day", cosine, -10.0, 120.0),
            ("plateau outside", plateau(), 5.0, 0.1),
            ("plateau inside", plateau(), 10.0, 0.8),
            ("plateau in the middle of the first ramp", plateau(), 6.5, 0.45),
            ("plateau in the middle of the last ramp", plateau(), 13.5, 0.45),
            ("peak over midnight, before it", wrapped, 18.0, 0.8),
            ("peak over midnight, after it", wrapped, 2.0, 0.8),
            ("peak over midnight, noon", wrapped, 10.0, 0.1),
            ("constant", Profile::constant(7.0), 3.3, 7.0),
            ("no period", Profile { period: Duration::ZERO, ..plateau() }, 10.0, 0.1),
        ];
        for (name, profile, seconds, want) in cases {
            let got = profile.at(*seconds);
            assert!((got - want).abs() < 1e-9, "case {name}: got {got}, want {want}");
        }
    }
}
