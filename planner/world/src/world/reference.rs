//! Objectives: a factor on the P99 at reference load in the initial placement.

use super::World;
use super::quantiles::quantiles;
use super::sampling::Sample;

/// Requests sampled for the P99 at reference load.
const SAMPLES: usize = 40_000;
/// Minutes at reference load that keep any objective.
const MINUTES: usize = 400;
/// By which an objective is above the worst of these minutes.
const MARGIN: f64 = 1.3;

impl World {
    /// The objective of each service, ms; none for a service without load.
    ///
    /// Reference load is the mean of the curves, without noise, neighbours and faults, and with the nodes'
    /// mean background. Where one request in a hundred or so is of a slow kind, the P99 of a minute jumps between
    /// two values, and a factor on their mean says nothing: an objective is also above the worst of many minutes
    /// at reference load. Objectives are rounded up to two digits, as people write them.
    pub(super) fn reference_objectives(&self) -> Vec<Option<f64>> {
        let mut still = self.clone();
        // A minute in which nothing is active.
        still.minute = u32::MAX;
        let rules = &self.setup.spec.objectives;
        still.run_reference(SAMPLES);
        let setup = &self.setup;
        let mut values: Vec<f32> = Vec::new();
        let objective = |(service, samples): (usize, &Vec<Sample>)| {
            values.clear();
            values.extend(samples.iter().map(|sample| sample.ms));
            let requests = setup.services[service].reference_rps * 60.0;
            let size = requests.clamp(f64::from(rules.min_requests), setup.spec.samples_per_minute as f64);
            let worst = values
                .chunks_exact_mut((size as usize).max(1))
                .take(MINUTES)
                .filter_map(|minute| quantiles(minute, [0.99]))
                .fold(0.0, |worst: f64, [p99]| worst.max(p99));
            let [p99] = quantiles(&mut values, [0.99])?;
            Some(rounded_up((p99 * rules.p99_factor).max(worst * MARGIN).max(rules.least_ms)))
        };
        still.scratch.samples.iter().enumerate().map(objective).collect()
    }
}

fn rounded_up(value: f64) -> f64 {
    if value <= 0.0 {
        return value;
    }
    let digits = 1 - value.log10().floor() as i32;
    // Scaled by a whole number either way, so that 5.1 is 5.1.
    let unit = 10_f64.powi(digits.abs());
    if digits > 0 { (value * unit).ceil() / unit } else { (value / unit).ceil() * unit }
}

#[cfg(test)]
mod tests {
    use super::rounded_up;

    #[test]
    #[allow(clippy::float_cmp, reason = "a table of exact results")]
    fn objectives_have_two_digits() {
        for (value, rounded) in [
            (0.0, 0.0),
            (0.0312, 0.032),
            (2.0, 2.0),
            (5.01, 5.1),
            (9.91, 10.0),
            (48.2, 49.0),
            (231.0, 240.0),
            (4021.0, 4100.0),
        ] {
            assert_eq!(rounded_up(value), rounded, "{value}");
        }
    }
}
