//! The verdict over a trial: pass, fail or inconclusive, with the numbers that it was made from.
//!
//! Samples are looked at at a few planned counts only ([`TrialOrder::looks`]), and how sure a verdict must be allows for
//! all of them. Before the planned number of pairs only a target that plainly fails more requests ends a trial.
use super::{TrialOrder, TrialSamples, errors::Errors, slower::slower};
use crate::{rollout::gate::GateSample, time::Timestamp, units::Quantile};
use serde::{Deserialize, Serialize};

/// One-sided 97.5 %: how sure a pass must be, with two looks that may pass 95 % together.
const Z_PASS: f64 = 1.96;

/// One-sided 99.75 %: how sure it must be that the target is too slow, with two looks 99.5 % together.
const Z_SLOW: f64 = 2.807;

/// Share of pairs that may be sent late. With more of them the generator is measured, not the copies.
const MAX_LATE: f64 = 0.05;

/// Share of requests that may fail on the copy of the source. With more of them the requests do not fit the copy, and that
/// the target does not do worse means nothing.
const MAX_SOURCE_ERRORS: f64 = 0.2;

/// What a trial says of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialVerdict {
    /// The target is not worse, with confidence.
    Pass,
    /// It is worse, with confidence.
    Fail,
    /// Neither is sure. It is not a pass.
    Inconclusive,
}

impl TrialVerdict {
    /// As reports and the API write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::Fail => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The verdict with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialReport {
    /// Pass, fail or neither.
    pub verdict: TrialVerdict,
    /// The numbers in words.
    pub why: String,
    /// When it was made.
    pub at: Timestamp,
    /// Requests per second that each copy got.
    pub rate_rps: f64,
    /// Requests per second of one replica at the predicted peak.
    pub peak_rps: f64,
    /// Seconds of load, without the warm-up.
    pub seconds: f64,
    /// Quantile of the objective.
    pub quantile: Quantile,
    /// The objective in milliseconds.
    pub objective_ms: f64,
    /// The copy on the source, or on a node like it.
    pub source: GateSample,
    /// The copy on the candidate.
    pub target: GateSample,
    /// Node of the copy that stands for the source.
    pub source_node: String,
    /// Latency of the target over what it may be, at most and at least, with the confidence of a pass and of a failure;
    /// `None` when it could not be told.
    pub slowness: Option<Slowness>,
    /// By how much the target's share of failures may be above the source's, with the confidence of a pass.
    pub more_errors_at_most: f64,
}

/// Latency of the target over what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slowness {
    /// At least, with 99.75 % confidence; above 1 it fails.
    pub at_least: f64,
    /// As measured.
    pub measured: f64,
    /// At most, with 97.5 % confidence; up to 1 it passes.
    pub at_most: f64,
}

/// Judges what the copies did. The verdict follows from the samples alone: `at` is only noted.
pub fn judge(order: &TrialOrder, samples: &TrialSamples, at: Timestamp) -> TrialReport {
    let quantile = order.quantile;
    let source = samples.end(|pair| pair.source, quantile);
    let target = samples.end(|pair| pair.target, quantile);
    let errors = Errors::of(&target, &source);
    let limit = (order.objective_ms, order.latency_factor);
    let slow = slower(samples, quantile, limit, order.seed).map(|slow| Slowness {
        at_least: slow.ratio(-Z_SLOW),
        measured: slow.ratio(0.0),
        at_most: slow.ratio(Z_PASS),
    });
    let (verdict, said) = verdict(order, samples, (&source, &target), &errors, slow);
    let mut why = format!(
        "{said} ({} requests to each copy at {:.1}/s over {:.0} s, {:.0} % of the predicted peak of {:.1}/s; target on {}: \
         {}; source on {}: {})",
        source.requests,
        order.rate_rps,
        samples.seconds,
        100.0 * order.rate_rps / order.peak_rps.max(f64::MIN_POSITIVE),
        order.peak_rps,
        order.target,
        in_words(&target, quantile),
        samples.source_node,
        in_words(&source, quantile),
    );
    for note in &samples.notes {
        why = format!("{why}; {note}");
    }
    TrialReport {
        verdict,
        why,
        at,
        rate_rps: order.rate_rps,
        peak_rps: order.peak_rps,
        seconds: samples.seconds,
        quantile,
        objective_ms: order.objective_ms,
        source: finite(source),
        target: finite(target),
        source_node: samples.source_node.clone(),
        slowness: slow,
        more_errors_at_most: errors.at_most,
    }
}

/// JSON has no numbers that are none.
fn finite(sample: GateSample) -> GateSample {
    let latency_ms = if sample.latency_ms.is_finite() { sample.latency_ms } else { 0.0 };
    GateSample { latency_ms, ..sample }
}

fn in_words(sample: &GateSample, quantile: Quantile) -> String {
    let percent = quantile.get() * 100.0;
    if sample.latency_ms.is_finite() {
        format!("{} failed, {:.1} ms at {percent:.1} %", sample.server_errors, sample.latency_ms)
    } else {
        format!("{} failed, nothing answered", sample.server_errors)
    }
}

fn verdict(
    order: &TrialOrder,
    samples: &TrialSamples,
    (source, target): (&GateSample, &GateSample),
    errors: &Errors,
    slow: Option<Slowness>,
) -> (TrialVerdict, String) {
    use TrialVerdict::{Fail, Inconclusive, Pass};
    let margin = order.error_margin;
    let share = |sample: &GateSample| sample.server_errors as f64 / sample.requests.max(1) as f64;
    if errors.at_least > 0.0 && errors.measured > margin {
        let more = errors.measured * 100.0;
        return (
            Fail,
            format!(
                "the target failed {more:.1} % more requests than the source; that it fails more is sure to 99.5 %"
            ),
        );
    }
    if samples.late as f64 > MAX_LATE * samples.pairs.len() as f64 {
        let late = samples.late;
        return (Inconclusive, format!("{late} requests were sent late: the planner's machine is too busy"));
    }
    if share(source) > MAX_SOURCE_ERRORS {
        let failed = share(source) * 100.0;
        let remedy = "see whether the requests of `trial.requests` can be answered by a copy alone";
        return (
            Inconclusive,
            format!("{failed:.0} % of the requests failed on the source's copy; {remedy}"),
        );
    }
    if target.requests < order.pairs {
        let needed = order.pairs;
        return (Inconclusive, format!("{} of {needed} requests were answered for", target.requests));
    }
    let Some(slow) = slow else {
        return (Inconclusive, "latency could not be compared".to_owned());
    };
    let times = |ratio: f64| format!("{ratio:.2} times what it may be");
    if slow.at_least > 1.0 {
        let least = times(slow.at_least);
        return (Fail, format!("latency of the target is at least {least}, sure to 99.5 %"));
    }
    if slow.at_most > 1.0 {
        let (least, most) = (slow.at_least, times(slow.at_most));
        return (Inconclusive, format!("latency of the target is between {least:.2} and {most}"));
    }
    if errors.at_most > margin {
        let (most, allowed) = (errors.at_most * 100.0, margin * 100.0);
        let said = format!("the target may fail {most:.2} % more requests, {allowed:.2} % are allowed");
        return (Inconclusive, said);
    }
    let (most, more) = (times(slow.at_most), errors.at_most * 100.0);
    (
        Pass,
        format!(
            "latency of the target is at most {most}, and it fails at most {more:.2} % more, sure to 95 %"
        ),
    )
}
