//! The cheap models inside the forecaster. All read the same memory, so that they cost nothing to keep.
use super::memory::{Levels, Seasonal};

/// Number of candidates.
pub(super) const CANDIDATES: usize = 10;

/// Their names, in order.
pub(super) const NAMES: [&str; CANDIDATES] = [
    "last_value",
    "fast_level",
    "middle_level",
    "slow_level",
    "long_level",
    "median_last_hour",
    "theta",
    "seasonal_naive",
    "slot_profile",
    "ridge",
];

/// Place of the candidate that is always there and that all errors are measured against.
pub(super) const REFERENCE: usize = 2;

/// Place of the ridge.
pub(super) const RIDGE: usize = CANDIDATES - 1;

/// A gap to the profile falls to its `e`-th part over so many steps.
const GAP: f32 = 6.0;

/// The trend of Theta is damped by this share for each step.
const DAMPING: f32 = 0.98;

/// What each candidate says about the step `ahead` (from 1); `NaN` where it cannot tell.
pub(super) fn predictions(
    levels: &Levels,
    seasonal: Option<&Seasonal>,
    ahead: usize,
    ridge: f32,
) -> [f32; CANDIDATES] {
    let steps = ahead as f32;
    let trend = 0.5 * levels.slope * DAMPING * (1.0 - DAMPING.powf(steps)) / (1.0 - DAMPING);
    let (naive, profile) = seasonal.map_or((f32::NAN, f32::NAN), |seasonal| {
        let gap = levels.fast - seasonal.profile_now;
        (seasonal.same, seasonal.profile + gap * (-steps / GAP).exp())
    });
    [
        levels.last,
        levels.fast,
        levels.middle,
        levels.slow,
        levels.long,
        levels.median,
        levels.fast + trend,
        naive,
        profile,
        ridge,
    ]
}
