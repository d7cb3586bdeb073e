//! Objectives: a factor on the P99 at reference load in the initial placement.

use super::World;
use super::quantiles::quantiles;

/// Requests sampled for the P99 at reference load.
const SAMPLES: usize = 20_000;

impl World {
    /// The objective of each service, ms; none for a service without load.
    ///
    /// Reference load is the mean of the curves, without noise, neighbours and faults, and with the nodes'
    /// mean background. Objectives are rounded up to two digits, as people write them.
    pub(super) fn reference_objectives(&self) -> Vec<Option<f64>> {
        let mut still = self.clone();
        // A minute in which nothing is active.
        still.minute = u32::MAX;
        let rules = &self.setup.spec.objectives;
        still.run_reference(SAMPLES);
        let samples = &still.scratch.samples;
        let mut values = Vec::new();
        samples
            .iter()
            .map(|samples| {
                values.clear();
                values.extend(samples.iter().map(|sample| sample.ms));
                let [p99] = quantiles(&mut values, [0.99])?;
                Some(rounded_up((p99 * rules.p99_factor).max(rules.least_ms)))
            })
            .collect()
    }
}

fn rounded_up(value: f64) -> f64 {
    if value <= 0.0 {
        return value;
    }
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    (value / unit).ceil() * unit
}
