//! Polynomials in the lag operator, as lists of lags and coefficients without the leading 1.
use std::collections::BTreeMap;

/// Lags, at least 1, with their coefficients, rising.
pub(super) type Lags = Vec<(usize, f64)>;

/// A root this close to the unit circle is not trusted, as in `forecast::auto.arima`.
const NEAR_ROOT: f64 = 1.01;

/// `1 - (1 - sum(short_i B^i)) (1 - sum(seasonal_j B^(j·season)))`: the lags of a product of autoregressions.
pub(super) fn product(short: &[f64], seasonal: &[f64], season: usize) -> Lags {
    let short: Lags = short.iter().enumerate().map(|(i, value)| (i + 1, *value)).collect();
    let seasonal: Lags = seasonal.iter().enumerate().map(|(j, value)| ((j + 1) * season, *value)).collect();
    multiply(&short, &seasonal)
}

/// `1 - (1 - a) (1 - b)` for `a` and `b` given by their lags.
pub(super) fn multiply(a: &[(usize, f64)], b: &[(usize, f64)]) -> Lags {
    let mut sum = BTreeMap::new();
    for (lag, value) in a.iter().chain(b) {
        *sum.entry(*lag).or_insert(0.0) += value;
    }
    for (i, x) in a {
        for (j, y) in b {
            *sum.entry(i + j).or_insert(0.0) -= x * y;
        }
    }
    sum.into_iter().filter(|(_, value)| *value != 0.0).collect()
}

/// The same with all signs turned: from the moving average `1 + sum(c_i B^i)` to `1 - sum(...)` and back.
pub(super) fn negated(coefficients: &[f64]) -> Vec<f64> {
    coefficients.iter().map(|value| -value).collect()
}

/// The weighted sum of past values, `past(lag)` being the value that many steps ago.
pub(super) fn sum(lags: &[(usize, f64)], past: impl Fn(usize) -> f64) -> f64 {
    lags.iter().map(|(lag, value)| value * past(*lag)).sum()
}

/// `(1 - numerator) / (1 - denominator)` applied to a series that was 0 before.
pub(super) fn filter(series: &[f64], numerator: &[(usize, f64)], denominator: &[(usize, f64)]) -> Vec<f64> {
    let mut out = Vec::with_capacity(series.len());
    for (t, value) in series.iter().enumerate() {
        let mut sum = *value;
        for (lag, coefficient) in numerator {
            if *lag <= t {
                sum -= coefficient * series[t - lag];
            }
        }
        for (lag, coefficient) in denominator {
            if *lag <= t {
                sum += coefficient * out[t - lag];
            }
        }
        out.push(sum);
    }
    out
}

/// Whether all roots of `1 - sum(c_i B^i)` are well outside the unit circle: the partial autocorrelations that belong
/// to it, found by stepping down (Durbin and Levinson backwards), are all less than 1.
pub(super) fn is_stationary(coefficients: &[f64]) -> bool {
    let mut rest: Vec<f64> =
        coefficients.iter().enumerate().map(|(i, value)| value * NEAR_ROOT.powi(i as i32 + 1)).collect();
    while let Some(last) = rest.pop() {
        if last.is_nan() || last.abs() >= 1.0 {
            return false;
        }
        let size = rest.len();
        rest = (0..size).map(|i| (rest[i] + last * rest[size - 1 - i]) / (1.0 - last * last)).collect();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_multiply_out() {
        // (1 - 0.5 B) (1 - 0.2 B^4) = 1 - 0.5 B - 0.2 B^4 + 0.1 B^5.
        assert_eq!(product(&[0.5], &[0.2], 4), vec![(1, 0.5), (4, 0.2), (5, -0.1)]);
    }

    #[test]
    fn stationarity_is_that_of_the_roots() {
        for (coefficients, want) in [
            (vec![], true),
            (vec![0.98], true),
            (vec![0.995], false),
            (vec![-1.2], false),
            (vec![1.5, -0.6], true),
            (vec![0.5, 0.5], false),
            (vec![0.0, 0.0, 0.9], true),
        ] {
            assert_eq!(is_stationary(&coefficients), want, "{coefficients:?}");
        }
    }

    #[test]
    fn a_filter_and_its_inverse_leave_the_series() {
        let series = [1.0, -2.0, 0.5, 4.0, 0.0, 1.0];
        let there = filter(&series, &[(1, 0.5), (3, 0.1)], &[]);
        let back = filter(&there, &[], &[(1, 0.5), (3, 0.1)]);
        for (a, b) in series.iter().zip(back) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}
