//! The scale that a series is modelled in: `asinh((value - centre) / unit)`, with the median as centre and the median
//! absolute deviation as unit. It is linear for what is usual and logarithmic for what is far out, so that one spike
//! neither rules a fit nor is lost.

use super::median_last_hour::median;

/// Where a series lies and how far it usually strays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) centre: f64,
    pub(super) unit: f64,
}

/// A value in model scale as it is kept in the history: 16 bits, steps of [`CODE`].
pub(super) type Code = i16;

/// A step without a value.
pub(super) const GAP: Code = Code::MIN;

/// Model-scale distance of two neighbouring codes. 32 767 of them reach to 24.6, which is 2·10¹⁰ units away; near the
/// centre a code is 0.00075 of the typical deviation.
const CODE: f32 = 0.000_75;

/// A deviation that is this small against the standard deviation says that most values are the same; the standard
/// deviation then is the better unit.
const MOSTLY_THE_SAME: f64 = 0.05;

/// The median absolute deviation of a normal distribution is so much smaller than its standard deviation.
const NORMAL: f64 = 1.4826;

impl Scale {
    /// From the values seen; gaps are passed over. `None` without any value.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut known: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        if known.is_empty() {
            return None;
        }
        let centre = median(&mut known);
        for value in &mut known {
            *value = (*value - centre).abs();
        }
        let largest = known.iter().copied().fold(0.0, f64::max);
        // Squares of values beyond 10^154 would overflow, so they are taken relative to the largest.
        let square = |value: &f64| if largest > 0.0 { (value / largest).powi(2) } else { 0.0 };
        let deviation = largest * (known.iter().map(square).sum::<f64>() / known.len() as f64).sqrt();
        let typical = median(&mut known);
        let unit = if typical > MOSTLY_THE_SAME * deviation { typical * NORMAL } else { deviation };
        // A constant still needs a unit: a thousandth of itself.
        let least = (centre.abs() * 1e-9).max(f64::MIN_POSITIVE * 1e16);
        let unit = if unit > least { unit } else { (centre.abs() * 1e-3).max(1e-9) };
        Some(Self { centre, unit: unit.min(f64::MAX / 1e12) })
    }

    /// Into model scale.
    pub(super) fn model(&self, value: f64) -> f32 {
        // Halved, because the difference of two huge values may not be finite.
        let distance = (value / 2.0 - self.centre / 2.0) / self.unit * 2.0;
        (distance.asinh() as f32).clamp(-24.5, 24.5)
    }

    /// Back to the unit of the series.
    pub(super) fn value(&self, model: f32) -> f64 {
        let value = self.centre + self.unit * f64::from(model.clamp(-24.5, 24.5)).sinh();
        value.clamp(-f64::MAX, f64::MAX)
    }
}

/// Distance from the centre in units, fast: errors are compared in it.
pub(super) fn units(model: f32) -> f32 {
    let power = model.exp();
    0.5 * (power - 1.0 / power)
}

pub(super) fn encode(model: f32) -> Code {
    // A cast saturates and turns NaN into 0, so both ends and gaps are handled first.
    if model.is_nan() { GAP } else { ((model / CODE).round() as Code).max(Code::MIN + 1) }
}

pub(super) fn decode(code: Code) -> f32 {
    if code == GAP { f32::NAN } else { f32::from(code) * CODE }
}
