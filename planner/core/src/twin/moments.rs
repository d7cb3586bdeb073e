//! Mean and variance of measured times, from the quantiles that are kept of them.
//!
//! Times are taken as a function of `t = -ln(1 - level)`, in which an exponential tail is a straight line. Between the
//! quantiles it is a cubic that keeps their order (Fritsch and Butland 1984, "A method for constructing local monotone
//! piecewise cubic interpolants"), beyond the last one it goes on as straight as from the one before. Below the median
//! it is straight too, from where the slope at the median points to at level 0: a time that all requests wait shows as
//! the distance of that point from 0. So nothing is taken for granted of the family of the model.
use crate::history::KEPT_QUANTILES;

const COUNT: usize = KEPT_QUANTILES.len();
/// Places in each part at which the curve is looked at.
const PLACES: u32 = 16;

/// Mean and variance; `None` when the quantiles are no numbers above 0, in order.
pub(super) fn moments(quantiles: &[f64; COUNT]) -> Option<(f64, f64)> {
    let ordered = quantiles.windows(2).all(|pair| pair[0] <= pair[1]);
    if quantiles[0] <= 0.0 || !ordered || !quantiles.iter().all(|value| value.is_finite()) {
        return None;
    }
    let places = KEPT_QUANTILES.map(|level| -(1.0 - level).ln());
    let slopes = slopes(&places, quantiles);
    let (mut mean, mut second) = (0.0, 0.0);
    let mut add = |value: f64, part: f64| {
        mean += value * part;
        second += value * value * part;
    };
    let floor = (quantiles[0] - slopes[0] * places[0]).max(0.0);
    let each = KEPT_QUANTILES[0] / f64::from(PLACES);
    for place in 0..PLACES {
        let t = -(1.0 - each * (f64::from(place) + 0.5)).ln();
        add(floor + (quantiles[0] - floor) * t / places[0], each);
    }
    for at in 1..COUNT {
        let (from, until) = (at - 1, at);
        let width = places[until] - places[from];
        let each = (KEPT_QUANTILES[until] - KEPT_QUANTILES[from]) / f64::from(PLACES);
        for place in 0..PLACES {
            let level = KEPT_QUANTILES[from] + each * (f64::from(place) + 0.5);
            let u = (-(1.0 - level).ln() - places[from]) / width;
            let (v, w) = (1.0 - u, width);
            let value = quantiles[from] * (1.0 + 2.0 * u) * v * v
                + w * slopes[from] * u * v * v
                + quantiles[until] * u * u * (3.0 - 2.0 * u)
                - w * slopes[until] * u * u * v;
            add(value, each);
        }
    }
    // The integrals of value + slope * t and of its square against exp(-t).
    let (value, rest) = (quantiles[COUNT - 1], 1.0 - KEPT_QUANTILES[COUNT - 1]);
    let last = (value - quantiles[COUNT - 2]) / (places[COUNT - 1] - places[COUNT - 2]);
    mean += rest * (value + last);
    second += rest * (value * value + 2.0 * value * last + 2.0 * last * last);
    Some((mean, (second - mean * mean).max(0.0)))
}

/// Slopes of the curve at the quantiles: between two parts the harmonic mean of theirs, so that it never turns back; at
/// the ends that of the parabola through three of them.
fn slopes(places: &[f64; COUNT], values: &[f64; COUNT]) -> [f64; COUNT] {
    let width = |part: usize| places[part + 1] - places[part];
    let slope = |part: usize| (values[part + 1] - values[part]) / width(part);
    let end = |first: usize, second: usize| {
        let (near, next) = (width(first), width(second));
        let parabola = ((2.0 * near + next) * slope(first) - near * slope(second)) / (near + next);
        parabola.clamp(0.0, 3.0 * slope(first))
    };
    let mut slopes = [0.0; COUNT];
    slopes[0] = end(0, 1);
    slopes[COUNT - 1] = end(COUNT - 2, COUNT - 3);
    for (at, between) in slopes.iter_mut().enumerate().take(COUNT - 1).skip(1) {
        let (before, after) = (slope(at - 1), slope(at));
        let (first, second) = (2.0 * width(at) + width(at - 1), width(at) + 2.0 * width(at - 1));
        if before > 0.0 && after > 0.0 {
            *between = (first + second) / (first / before + second / after);
        }
    }
    slopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distribution_that_the_quantiles_are_of() {
        // Exponential of mean 1 after a wait; a mixture of two exponential ones by its quantiles.
        let exponential = |wait: f64| KEPT_QUANTILES.map(|level| wait - (1.0 - level).ln());
        let mixture = KEPT_QUANTILES.map(|level| {
            let above = |value: f64| 0.9 * (-1.8 * value).exp() + 0.1 * (-0.2 * value).exp();
            let (mut low, mut high) = (0.0, 100.0);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                if above(middle) > 1.0 - level { low = middle } else { high = middle }
            }
            low
        });
        let cases = [
            ("exponential", exponential(0.0), 1.0, 1.0, 0.01),
            ("after a wait", exponential(5.0), 6.0, 1.0, 0.01),
            ("two kinds", mixture, 1.0, 2.0 * (0.9 / 3.24 + 0.1 / 0.04) - 1.0, 0.08),
        ];
        for (name, quantiles, mean, variance, within) in cases {
            let found = moments(&quantiles).unwrap();
            assert!((found.0 / mean - 1.0).abs() < within, "case: {name}: mean {}", found.0);
            assert!((found.1 / variance - 1.0).abs() < 3.0 * within, "case: {name}: variance {}", found.1);
        }
    }

    #[test]
    fn what_are_no_quantiles_has_no_moments() {
        for quantiles in [[0.0; COUNT], [2.0, 1.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, f64::INFINITY]] {
            assert_eq!(moments(&quantiles), None, "{quantiles:?}");
        }
        let (mean, variance) = moments(&[3.0; COUNT]).unwrap();
        assert!((mean - 3.0).abs() < 1e-9 && variance < 1e-9, "{mean} and {variance}");
    }
}
