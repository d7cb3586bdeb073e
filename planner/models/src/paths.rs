//! Paths that a series may take from now on: normal draws, and how many of the paths breach.
use crate::splitmix::SplitMix;
use foremesh_core::forecast::LEVELS;
use foremesh_core::forecast::model::BreachWindow;

/// The standard normal distribution's value at a level between 0 and 1, good to 7 digits: PPND7 of Wichura,
/// "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988).
pub(crate) fn normal_quantile(level: f64) -> f64 {
    let from_middle = level - 0.5;
    if from_middle.abs() <= 0.425 {
        let r = 0.180_625 - from_middle * from_middle;
        let above = ((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9;
        let below = ((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0;
        return from_middle * above / below;
    }
    let r = (-level.min(1.0 - level).ln()).sqrt();
    let size = if r <= 5.0 {
        let r = r - 1.6;
        let above = ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7;
        above / ((0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0)
    } else {
        let r = r - 5.0;
        let above = ((0.017_337_203_997 * r + 0.428_682_948_37) * r + 3.081_226_386_0) * r + 6.657_905_115_0;
        above / ((0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0)
    };
    size.copysign(from_middle)
}

/// The standard normal distribution at [`LEVELS`].
pub(crate) fn normal_levels() -> [f64; LEVELS.len()] {
    LEVELS.map(normal_quantile)
}

/// Normal draws that are evenly spread over the distribution, in a new order each time: few of them already have its
/// quantiles.
#[derive(Clone, Debug)]
pub(crate) struct NormalDraws {
    values: Vec<f64>,
    stream: SplitMix,
}

impl NormalDraws {
    /// So many draws at a time.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let values = (0..count).map(|rank| normal_quantile((rank as f64 + 0.5) / count as f64)).collect();
        Self { values, stream: SplitMix::new(seed) }
    }

    /// Puts them into a new order (Fisher and Yates).
    pub(crate) fn shuffled(&mut self) -> &[f64] {
        for last in (1..self.values.len()).rev() {
            self.values.swap(last, self.stream.below(last + 1));
        }
        &self.values
    }
}

/// Steps that a path must have to tell about such a breach.
pub(crate) fn steps_needed(window: &BreachWindow) -> usize {
    (window.within + window.of).saturating_sub(1)
}

/// Share of paths that breach. `steps` holds the values of all paths at each step.
pub(crate) fn share_with_breach(steps: &[Vec<f64>], window: &BreachWindow) -> f64 {
    let paths = steps.first().map_or(0, Vec::len);
    let breached = (0..paths)
        .filter(|path| {
            let above: Vec<bool> = steps.iter().map(|values| values[*path] > window.threshold).collect();
            (0..window.within).any(|first| {
                let end = (first + window.of).min(above.len());
                above[first.min(end)..end].iter().filter(|is_above| **is_above).count() >= window.steps.max(1)
            })
        })
        .count();
    breached as f64 / paths.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_the_tabled_ones() {
        for (level, want) in [
            (0.5, 0.0),
            (0.75, 0.674_489_75),
            (0.9, 1.281_551_57),
            (0.025, -1.959_963_98),
            (1e-4, -3.719_016_49),
            (1e-13, -7.348_796_12),
        ] {
            assert!((normal_quantile(level) - want).abs() < 2e-6, "{level}: {}", normal_quantile(level));
        }
    }

    #[test]
    fn draws_have_the_variance_of_the_distribution_and_another_order_each_time() {
        let mut draws = NormalDraws::new(1000, 1);
        let first = draws.shuffled().to_vec();
        let second = draws.shuffled().to_vec();
        assert!((first.iter().map(|z| z * z).sum::<f64>() / 1000.0 - 1.0).abs() < 0.01);
        let product: f64 = first.iter().zip(&second).map(|(a, b)| a * b).sum::<f64>() / 1000.0;
        assert!(product.abs() < 0.1, "two draws hang together: {product}");
    }

    #[test]
    fn a_breach_needs_its_steps_in_one_window() {
        // Two paths over four steps.
        let steps = [vec![0.0, 2.0], vec![2.0, 0.0], vec![0.0, 2.0], vec![2.0, 0.0]];
        for (steps_above, of, within, want) in
            [(1, 1, 1, 0.5), (1, 1, 2, 1.0), (2, 2, 3, 0.0), (2, 3, 1, 0.5), (2, 3, 2, 1.0), (3, 4, 1, 0.0)]
        {
            let window = BreachWindow { threshold: 1.0, steps: steps_above, of, within };
            let found = share_with_breach(&steps, &window);
            assert!((found - want).abs() < 1e-12, "{window:?}: {found}");
        }
    }
}
