//! What an event does to the values of a series: the effects that are put in.
use serde::Serialize;

/// An effect that is put into measured values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A difference of five robust deviations of the series.
    Additive,
    /// A factor of 1.8.
    Factor,
    /// A difference that rises within a third of the event to five robust deviations, stays there for a third, and decays.
    Ramp,
}

/// Robust deviations that an additive effect is high.
const HEIGHT: f64 = 5.0;
/// The factor.
const FACTOR: f64 = 1.8;
/// Steps in which a tail loses all but `1/e` of its height, as a share of the event.
const TAIL: f64 = 1.0 / 6.0;

impl Effect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Additive, Self::Factor, Self::Ramp];

    /// Its name in reports and dumps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Additive => "additive",
            Self::Factor => "factor",
            Self::Ramp => "ramp",
        }
    }

    /// The value with the effect. `position` is the middle of the step in the event, from 0 to 1; `strength` is 1
    /// for the effect itself.
    pub fn on(self, value: f64, position: f64, deviation: f64, strength: f64) -> f64 {
        match self {
            Self::Additive => value + HEIGHT * deviation * strength,
            Self::Factor => value * (1.0 + (FACTOR - 1.0) * strength),
            Self::Ramp => value + HEIGHT * deviation * outline(position) * strength,
        }
    }
}

/// Height of the ramp, plateau and tail at a position in the event, as a share of the plateau.
fn outline(position: f64) -> f64 {
    if position < 1.0 / 3.0 {
        3.0 * position
    } else if position < 2.0 / 3.0 {
        1.0
    } else {
        (-(position - 2.0 / 3.0) / TAIL).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_as_high_as_they_say() {
        // Positions of the first, the middle and the last of twelve steps.
        let (first, middle, last) = (1.0 / 24.0, 13.0 / 24.0, 23.0 / 24.0);
        for (effect, position, strength, want) in [
            (Effect::Additive, first, 1.0, 110.0),
            (Effect::Additive, last, 0.5, 105.0),
            (Effect::Factor, middle, 1.0, 180.0),
            (Effect::Factor, middle, 0.0, 100.0),
            (Effect::Ramp, first, 1.0, 101.25),
            (Effect::Ramp, middle, 1.0, 110.0),
            (Effect::Ramp, last, 1.0, 100.0 + 10.0 * (-1.75_f64).exp()),
        ] {
            let value = effect.on(100.0, position, 2.0, strength);
            assert!((value - want).abs() < 1e-9, "{effect:?} at {position}: {value} instead of {want}");
        }
    }
}
