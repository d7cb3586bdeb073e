//! Failures of the two copies, compared as the gate of a rollout compares them.
use crate::rollout::gate::{GateSample, difference};

/// One-sided 97.5 %.
const Z_PASS: f64 = 1.96;
/// One-sided 99.9 %: five looks may fail, 99.5 % together.
const Z_FAIL: f64 = 3.09;

/// By how much the target's share of failures is above the source's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Errors {
    /// With the confidence of a failure.
    pub(super) at_least: f64,
    /// As counted.
    pub(super) measured: f64,
    /// With the confidence of a pass.
    pub(super) at_most: f64,
}

impl Errors {
    /// Newcombe's interval. The two ends get the same requests, which makes it rather too wide than too narrow.
    pub(super) fn of(target: &GateSample, source: &GateSample) -> Self {
        let (at_least, _) = difference(target, source, Z_FAIL);
        let (_, at_most) = difference(target, source, Z_PASS);
        let share = |s: &GateSample| s.server_errors as f64 / s.requests.max(1) as f64;
        Self { at_least, measured: share(target) - share(source), at_most }
    }
}
