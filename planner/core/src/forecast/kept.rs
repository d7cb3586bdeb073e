//! What of a forecast goes on record.
use super::{Forecast, SamplePaths};

/// Significant digits of a value that is decided on. They are off by a twentieth of a percent at most, where forecasts are
/// off by percents, and take a quarter of the text.
const DIGITS: i32 = 4;

impl Forecast {
    /// Rounds every step to four significant digits. A decision is made from rounded values, so that its record is
    /// small and still exactly what was decided on.
    pub fn round(&mut self) {
        for step in &mut self.steps {
            step.point = rounded(step.point);
            step.quantiles = step.quantiles.map(rounded);
        }
    }

    /// Multiplies everything that is expected by a factor of 0 or more.
    pub fn scale(&mut self, factor: f64) {
        for step in &mut self.steps {
            step.point *= factor;
            step.quantiles = step.quantiles.map(|value| value * factor);
        }
        self.lowest *= factor;
        self.highest *= factor;
        self.paths.change(|_, value| value * factor);
    }

    /// The same bands of the first steps, with the points as the only joint path: for whoever looks at steps one by one.
    #[must_use]
    pub fn bands_only(&self, steps: usize) -> Self {
        let steps = &self.steps[..steps.min(self.steps.len())];
        let points: Vec<f64> = steps.iter().map(|step| step.point).collect();
        Self {
            subject: self.subject.clone(),
            metric: self.metric.clone(),
            model: self.model.clone(),
            parts: Vec::new(),
            steps: steps.to_vec(),
            paths: SamplePaths::certain(&points),
            ..*self
        }
    }
}

/// The nearest number with so few digits that its decimal text is as short.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = DIGITS - 1 - value.abs().log10().floor() as i32;
    // Powers of ten up to 22 are exact, and so the division gives the number that the text is read as.
    let scale = 10f64.powi(digits.abs().min(22));
    if digits >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (123.456_789, "123.5"),
            (0.000_123_456_789, "0.0001235"),
            (-9.999_999_9, "-10"),
            (8_589_934_592.0, "8590000000"),
            (1e-300, "0"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(rounded(value).to_string(), text, "{value}");
        }
    }

    #[test]
    fn rounding_keeps_the_order() {
        let values: Vec<f64> = (1..2000).map(|at| f64::from(at) * 0.123_456_7e-3).collect();
        assert!(values.windows(2).all(|pair| rounded(pair[0]) <= rounded(pair[1])));
    }
}
