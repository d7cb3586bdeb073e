//! The gate of a ramp step: is the target as good as the source, judged in the same windows?
//!
//! Both ends get the same kind of traffic at the same time, so a load peak or a slow dependency hits both and cancels
//! out. *Errors*: the difference of two shares with Newcombe's hybrid score interval (R. G. Newcombe, Statistics in
//! Medicine 17, 1998, method 10), built from two Wilson intervals; it holds for small counts and for shares near 0,
//! where the textbook interval is wrong. *Latency*: the quantile of the objective must stay within the objective, or
//! within a factor of the source when the source is worse than the objective itself.
//! Too little data is a verdict of its own, and never a pass.
use crate::units::Quantile;
use serde::{Deserialize, Serialize};

/// One-sided 95 %: how sure a pass must be that the target is not worse by more than the margin.
const Z_PASS: f64 = 1.645;

/// One-sided 99.9 %: how sure a failure must be that the target is worse at all. Stricter than a pass because the gate is
/// looked at again and again during a step. Simulated with two equal ends (2 to 50 requests a second on the target, 0.1 to
/// 20 % failures) and a look every second for six minutes, at most 5 % of the steps were turned back wrongly.
const Z_FAIL: f64 = 3.09;

/// Observations that must be expected beyond the quantile; with fewer it is hardly more than the largest value seen.
const BEYOND_QUANTILE: f64 = 2.0;

/// What one end did in the windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateSample {
    /// Finished requests, the ones that callers aborted not counted.
    pub requests: u64,
    /// Of those, the service's failures.
    pub server_errors: u64,
    /// Latency in milliseconds at the objective's quantile; not a number when there were no requests.
    pub latency_ms: f64,
}

/// How strict the gate is.
#[derive(Clone, Debug, PartialEq)]
pub struct GateLimits {
    /// Requests that each end must have seen.
    pub min_samples: u64,
    /// By how much the target's share of failed requests may be above the source's, 0 to 1. It is also what decides how
    /// many requests a pass needs: with no failure at either end, 0.02 takes about 135.
    pub error_margin: f64,
    /// How many times the source's latency the target may have when that is above the objective.
    pub latency_factor: f64,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self { min_samples: 200, error_margin: 0.02, latency_factor: 1.2 }
    }
}

impl GateLimits {
    /// Requests that each end must have seen before its latency at a quantile can be judged.
    pub fn needed(&self, quantile: Quantile) -> u64 {
        self.min_samples.max((BEYOND_QUANTILE / (1.0 - quantile.get())).ceil() as u64).max(1)
    }
}

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// Not worse, with confidence.
    Pass,
    /// It fails more requests, with confidence: no need to wait for the end of the step.
    FailErrors,
    /// It is too slow.
    FailLatency,
    /// Not enough data for either.
    Inconclusive,
}

/// The verdict with the numbers that it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateVerdict {
    /// Pass, fail or neither.
    pub outcome: GateOutcome,
    /// What the target did, when it is known.
    pub target: Option<GateSample>,
    /// What it was compared with, when it is known.
    pub baseline: Option<GateSample>,
    /// The numbers in words.
    pub why: String,
}

/// Compares the target with a baseline: the source in the same windows, or its past when it has no traffic any more.
pub fn judge(
    target: Option<GateSample>,
    baseline: Option<GateSample>,
    (quantile, objective_ms): (Quantile, f64),
    limits: &GateLimits,
) -> GateVerdict {
    let (outcome, why) = match (target, baseline) {
        (None, _) => {
            (GateOutcome::Inconclusive, "nothing is known of the target in these windows".to_owned())
        }
        (_, None) => (GateOutcome::Inconclusive, "nothing is known of the source to compare with".to_owned()),
        (Some(t), Some(b)) => compare(&t, &b, quantile, objective_ms, limits),
    };
    GateVerdict { outcome, target, baseline, why }
}

fn compare(
    target: &GateSample,
    baseline: &GateSample,
    quantile: Quantile,
    objective_ms: f64,
    limits: &GateLimits,
) -> (GateOutcome, String) {
    let (worse_by, error_words) = errors(target, baseline);
    let difference = share(target) - share(baseline);
    if worse_by.at_least > 0.0 && difference > limits.error_margin {
        return (GateOutcome::FailErrors, format!("{error_words}: worse, with 99.9 % confidence"));
    }
    let needed = limits.needed(quantile);
    let seen = target.requests.min(baseline.requests);
    if seen < needed {
        let why = format!(
            "{} requests on the target and {} on the source, {needed} of each are needed",
            target.requests, baseline.requests
        );
        return (GateOutcome::Inconclusive, why);
    }
    let percent = quantile.get() * 100.0;
    let limit_ms = objective_ms.max(baseline.latency_ms * limits.latency_factor);
    let latency_words = format!(
        "latency at {percent:.1} % is {:.1} ms on the target and {:.1} ms on the source over {} and {} requests, \
         limit {limit_ms:.1} ms (the objective {objective_ms:.1} ms, or {} times the source)",
        target.latency_ms, baseline.latency_ms, target.requests, baseline.requests, limits.latency_factor
    );
    if !(target.latency_ms.is_finite() && limit_ms.is_finite()) {
        return (GateOutcome::Inconclusive, latency_words);
    }
    if target.latency_ms > limit_ms {
        return (GateOutcome::FailLatency, latency_words);
    }
    if worse_by.at_most > limits.error_margin {
        let why = format!(
            "{error_words}: it may be worse by {:.2} %, {:.2} % is allowed; more requests are needed",
            worse_by.at_most * 100.0,
            limits.error_margin * 100.0
        );
        return (GateOutcome::Inconclusive, why);
    }
    (GateOutcome::Pass, format!("{latency_words}; {error_words}"))
}

/// Bounds of the difference of the two failure shares.
struct WorseBy {
    /// With the confidence of [`Z_FAIL`].
    at_least: f64,
    /// With the confidence of [`Z_PASS`].
    at_most: f64,
}

fn share(sample: &GateSample) -> f64 {
    if sample.requests == 0 { 0.0 } else { sample.server_errors as f64 / sample.requests as f64 }
}

fn errors(target: &GateSample, baseline: &GateSample) -> (WorseBy, String) {
    let (at_least, _) = difference(target, baseline, Z_FAIL);
    let (_, at_most) = difference(target, baseline, Z_PASS);
    let words = format!(
        "{} of {} requests failed on the target and {} of {} on the source",
        target.server_errors, target.requests, baseline.server_errors, baseline.requests
    );
    (WorseBy { at_least, at_most }, words)
}

/// Ends of the interval of the difference of the two failure shares, at so many standard errors.
pub(crate) fn difference(target: &GateSample, baseline: &GateSample, z: f64) -> (f64, f64) {
    let difference = share(target) - share(baseline);
    let ((target_low, target_high), (baseline_low, baseline_high)) = (wilson(target, z), wilson(baseline, z));
    let low = difference - (share(target) - target_low).hypot(baseline_high - share(baseline));
    let high = difference + (target_high - share(target)).hypot(share(baseline) - baseline_low);
    (low, high)
}

/// Wilson's score interval of a share (E. B. Wilson, JASA 22, 1927). Nothing seen means anything from 0 to 1.
fn wilson(sample: &GateSample, z: f64) -> (f64, f64) {
    if sample.requests == 0 {
        return (0.0, 1.0);
    }
    let (n, p, z2) = (sample.requests as f64, share(sample), z * z);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OBJECTIVE_MS: f64 = 50.0;

    #[expect(clippy::unnecessary_wraps, reason = "a sample may be missing")]
    fn sample(requests: u64, server_errors: u64, latency_ms: f64) -> Option<GateSample> {
        Some(GateSample { requests, server_errors, latency_ms })
    }

    fn outcome(target: Option<GateSample>, source: Option<GateSample>) -> GateOutcome {
        judge(target, source, (Quantile::new(0.99).unwrap(), OBJECTIVE_MS), &GateLimits::default()).outcome
    }

    #[test]
    fn verdicts() {
        use GateOutcome::{FailErrors, FailLatency, Inconclusive, Pass};
        let cases = [
            ("as good as the source", sample(1000, 0, 20.0), sample(9000, 0, 20.0), Pass),
            ("slower, but within the objective", sample(1000, 0, 45.0), sample(9000, 0, 20.0), Pass),
            ("above the objective", sample(1000, 0, 51.0), sample(9000, 0, 20.0), FailLatency),
            ("above it like the source, which is slow", sample(1000, 0, 90.0), sample(9000, 0, 80.0), Pass),
            ("slower than the slow source", sample(1000, 0, 97.0), sample(9000, 0, 80.0), FailLatency),
            ("half of few requests fail", sample(20, 10, 20.0), sample(200, 0, 20.0), FailErrors),
            ("three failures prove little", sample(300, 3, 20.0), sample(3000, 0, 20.0), Inconclusive),
            ("both fail alike: a dependency", sample(5000, 250, 20.0), sample(5000, 250, 20.0), Pass),
            ("too few on the target", sample(199, 0, 20.0), sample(9000, 0, 20.0), Inconclusive),
            ("too few on the source", sample(9000, 0, 20.0), sample(199, 0, 20.0), Inconclusive),
            ("no request at all", sample(0, 0, f64::NAN), sample(0, 0, f64::NAN), Inconclusive),
            ("nothing known of the target", None, sample(9000, 0, 20.0), Inconclusive),
            ("nothing known of the source", sample(9000, 0, 20.0), None, Inconclusive),
        ];
        for (name, target, source, want) in cases {
            assert_eq!(outcome(target, source), want, "case: {name}");
        }
    }

    #[test]
    fn a_far_quantile_needs_more_requests() {
        let verdict = judge(
            sample(1999, 0, 10.0),
            sample(9000, 0, 10.0),
            (Quantile::new(0.999).unwrap(), OBJECTIVE_MS),
            &GateLimits::default(),
        );
        assert_eq!(
            verdict.why,
            "1999 requests on the target and 9000 on the source, 2000 of each are needed"
        );
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3: 81 of 263 and 0 of 20, at 95 % two-sided.
        let (low, high) = wilson(&sample(263, 81, 0.0).unwrap(), 1.96);
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4, "{low} {high}");
        let (low, high) = wilson(&sample(20, 0, 0.0).unwrap(), 1.96);
        assert!(low == 0.0 && (high - 0.1611).abs() < 1e-4, "{low} {high}");
    }

    proptest! {
        #[test]
        fn never_passes_what_is_plainly_worse(n in 200_u64..5000, share in 0.2_f64..1.0) {
            let failed = (n as f64 * share) as u64;
            prop_assert_ne!(outcome(sample(n, failed, 10.0), sample(5000, 0, 10.0)), GateOutcome::Pass);
        }

        #[test]
        fn more_failures_never_help(n in 1_u64..3000, few in 0_u64..100, more in 0_u64..100) {
            let good = outcome(sample(n, few.min(n), 10.0), sample(3000, 10, 10.0));
            let bad = outcome(sample(n, (few + more).min(n), 10.0), sample(3000, 10, 10.0));
            prop_assert!(good == GateOutcome::Pass || bad != GateOutcome::Pass);
        }
    }
}
