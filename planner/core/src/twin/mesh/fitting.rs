//! Splits what is measured of a service, where it runs now, into what CPU explains and what it does not.
//!
//! The mean needs no fit: under processor sharing it does not depend on how demand is spread (`sharing.rs`), so all that
//! is measured beyond the modelled one is something else, and stays wherever the service goes. The variance tells the
//! squared coefficient of variation of the demand: the one at which the model varies as much as what is measured.
//!
//! A wait that all requests have adds nothing to the variance, and shifts the median as much as the mean. A fault that
//! hits some requests does not shift the median, but adds to the variance, and would be taken for uneven demand. So
//! where there is something beside CPU, the spread is its own too, unless the median says that all requests have it, and
//! a wait together with CPU makes the ninth decile that is measured.
use super::Fitted;
use crate::twin::tail_fit::over_mean;

/// What is measured of a service, in milliseconds.
pub(super) struct Seen {
    pub(super) mean: f64,
    pub(super) variance: f64,
    pub(super) median: f64,
    /// Ninth decile.
    pub(super) ninth: f64,
}

/// Shares of the mean that CPU does not explain, up to the first of which it explains all of the spread, and from the
/// second on only as much of it as the model may get wrong, unless the median tells otherwise.
const UNEXPLAINED: (f64, f64) = (0.03, 0.12);
/// Measured over modelled variance up to which the model explains it in any case: so much is what it gets wrong of the
/// spread on a busy node.
const DOUBTFUL: f64 = 2.0;
/// Shift of the median over what CPU does not explain of the mean, from the first of which on some requests are taken to
/// have it, and from the second on all. The model gets the median wrong by up to a fifth.
const SHIFTED: (f64, f64) = (0.5, 0.8);
/// Highest squared coefficient of variation of demand that is believed.
const MOST_SCV: f64 = 6.0;
/// Measured ninth decile over that of a wait of all requests and CPU, from the first of which on it is doubted that there
/// is nothing else, and from the second on not believed. Uneven demand on a busy node has up to 1.5.
const TOO_WIDE: (f64, f64) = (1.45, 1.65);
/// Steps towards the variance; what is missing then is a factor on it.
const STEPS: usize = 3;

/// Fits to what is measured. `modelled` gives mean and variance for a squared coefficient of variation of the demand;
/// the last one that it is asked for is the one that was found.
pub(super) fn fit(seen: &Seen, mut modelled: impl FnMut(f64) -> (f64, f64)) -> Fitted {
    let (mean, usual) = modelled(1.0);
    if mean <= 0.0 || usual <= 0.0 {
        // Nothing that CPU could explain.
        let (constant, constant_variance) = ((seen.mean - mean).max(0.0) as f32, seen.variance as f32);
        return Fitted { constant, constant_variance, measured: true, ..Fitted::NOT };
    }
    let scale = (seen.mean / mean).min(1.0);
    let square = scale * scale;
    let constant = (seen.mean - mean).max(0.0);
    let (least, most) = (modelled(0.0).1, modelled(MOST_SCV).1);
    let wanted = seen.variance / square;
    let doubtful = wanted.min(DOUBTFUL * usual);
    let mut by_cpu = 1.0 - ramp(constant / seen.mean, UNEXPLAINED);
    if by_cpu < 1.0 && wanted > doubtful {
        let (_, variance) = solve(wanted, (least, most), &mut modelled);
        by_cpu = by_cpu.max(everyone_waits(seen, constant, (scale * mean, square * variance)));
    }
    let explained = doubtful + by_cpu * (wanted - doubtful);
    let (_, reached) = solve(explained, (least, most), &mut modelled);
    let variance_scale = square * explained / reached.max(f64::MIN_POSITIVE);
    Fitted {
        scale: scale as f32,
        constant: constant as f32,
        variance_scale: variance_scale as f32,
        constant_variance: (seen.variance - square * explained).max(0.0) as f32,
        variance_now: reached as f32,
        measured: true,
        ..Fitted::NOT
    }
}

/// Whether a wait of all requests, and CPU of this mean and variance, are all that there is, between 0 and 1.
fn everyone_waits(seen: &Seen, constant: f64, (mean, variance): (f64, f64)) -> f64 {
    let scv = variance / (mean * mean);
    let shift = (seen.median - mean * over_mean(scv, 0.5)) / constant;
    let ninth = constant + mean * over_mean(scv, 0.9);
    ramp(shift, SHIFTED) * (1.0 - ramp(seen.ninth / ninth, TOO_WIDE))
}

/// Squared coefficient of variation at which the modelled variance is as wanted, with that variance, which rises almost
/// in a straight line from the one at 0 to the one at [`MOST_SCV`].
fn solve(wanted: f64, (least, most): (f64, f64), modelled: &mut impl FnMut(f64) -> (f64, f64)) -> (f64, f64) {
    let (mut low, mut high) = ((0.0, least), (MOST_SCV, most));
    let mut best = low;
    for _ in 0..STEPS {
        let share = (wanted - low.1) / (high.1 - low.1).max(f64::MIN_POSITIVE);
        let scv = low.0 + share.clamp(0.0, 1.0) * (high.0 - low.0);
        best = (scv, modelled(scv).1);
        if best.1 < wanted {
            low = best;
        } else {
            high = best;
        }
        if !(least..=most).contains(&wanted) || (best.1 / wanted - 1.0).abs() < 0.01 {
            break;
        }
    }
    best
}

/// 0 up to the first, 1 from the second on.
fn ramp(value: f64, (from, until): (f64, f64)) -> f64 {
    ((value - from) / (until - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mean of 10 ms; half of the variance of exponential demand is of the node.
    fn modelled(scv: f64) -> (f64, f64) {
        (10.0, 100.0 * scv + 50.0 * (1.0 + scv) / 2.0)
    }

    #[test]
    fn spread_is_of_the_demand_unless_something_else_hits_some_requests() {
        let times = |scv: f64| {
            let (mean, variance) = modelled(scv);
            let level = |level: f64| mean * over_mean(variance / (mean * mean), level);
            Seen { mean, variance, median: level(0.5), ninth: level(0.9) }
        };
        let wait = |seen: Seen, ms: f64| Seen {
            mean: seen.mean + ms,
            median: seen.median + ms,
            ninth: seen.ninth + ms,
            ..seen
        };
        let slower = |seen: Seen, by: f64| Seen {
            mean: seen.mean * by,
            variance: seen.variance * by * by,
            median: seen.median * by,
            ninth: seen.ninth * by,
        };
        let cases = [
            // Coefficient of the demand, constant, and part of the variance in it.
            ("as modelled", times(1.0), 1.0, 0.0, 0.0),
            ("even demand", times(0.3), 0.3, 0.0, 0.0),
            ("uneven demand", times(3.0), 3.0, 0.0, 0.0),
            ("a wait of all, uneven demand", wait(times(3.0), 20.0), 3.0, 20.0, 0.0),
            // One request in ten waits for 100 ms: 10 ms on average, with a variance of 900.
            (
                "a fault of some",
                Seen { mean: 20.0, variance: times(1.0).variance + 900.0, ..times(1.0) },
                2.2,
                10.0,
                0.714,
            ),
            ("a fault that makes all slower", slower(times(1.0), 4.0), 2.2, 30.0, 0.875),
            ("less than modelled", slower(times(1.0), 0.5), 1.0, 0.0, 0.0),
        ];
        for (name, seen, scv, constant, beyond) in cases {
            let mut last = 0.0;
            let fitted = fit(&seen, |scv| {
                last = scv;
                modelled(scv)
            });
            let (mean, variance) = (seen.mean, seen.variance);
            assert!((last - scv).abs() < 0.02 * scv, "case: {name}: a coefficient of {last}, want {scv}");
            assert!((f64::from(fitted.constant) - constant).abs() < 1e-3, "case: {name}: {fitted:?}");
            let share = f64::from(fitted.constant_variance) / variance;
            assert!((share - beyond).abs() < 0.02, "case: {name}: {share} of the variance, want {beyond}");
            let (now, spread) = modelled(last);
            let (now, spread) = fitted.apply(now as f32, spread as f32);
            assert!((f64::from(now) / mean - 1.0).abs() < 1e-4, "case: {name}: {now}");
            assert!((f64::from(spread) / variance - 1.0).abs() < 1e-4, "case: {name}: {spread}");
        }
    }

    #[test]
    fn without_cpu_all_stays_where_it_goes() {
        let fitted = fit(&Seen { mean: 10.0, variance: 50.0, median: 7.0, ninth: 20.0 }, |_| (0.0, 0.0));
        assert_eq!(fitted.apply(0.0, 0.0), (10.0, 50.0));
    }
}
