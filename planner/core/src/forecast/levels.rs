//! The levels that every step carries a value at, and what lies between and beyond them.

/// Levels at which every forecast step carries a value.
pub const LEVELS: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

/// Value at a level between 0 and 1 from the values at [`LEVELS`]: linear between them, and carried on beyond them as
/// far again as the outermost two lie apart.
pub(super) fn at_level(quantiles: &[f64; LEVELS.len()], level: f64) -> f64 {
    let last = LEVELS.len() - 1;
    let upper = LEVELS.iter().position(|at| *at >= level).unwrap_or(last).max(1);
    let share = (level - LEVELS[upper - 1]) / (LEVELS[upper] - LEVELS[upper - 1]);
    let (low, high) = (quantiles[upper - 1], quantiles[upper]);
    // Weighted rather than added up, so that two huge values of different sign do not overflow.
    let share = share.clamp(-1.0, 2.0);
    low * (1.0 - share) + high * share
}

/// Level at which a value lies, between half and whole of the outermost level's rest; the inverse of [`at_level`].
/// A value that several levels share lies at the highest of them.
pub(super) fn level_of(quantiles: &[f64; LEVELS.len()], value: f64) -> f64 {
    let last = LEVELS.len() - 1;
    let below = quantiles.partition_point(|quantile| *quantile <= value);
    let least = LEVELS[0] / 5.0;
    if below == 0 {
        let width = quantiles[1] - quantiles[0];
        let share = if width > 0.0 { (quantiles[0] - value) / width } else { 1.0 };
        return LEVELS[0] - (LEVELS[0] - least) * share.min(1.0);
    }
    if below == LEVELS.len() {
        let width = quantiles[last] - quantiles[last - 1];
        let share = if width > 0.0 { (value - quantiles[last]) / width } else { 1.0 };
        return LEVELS[last] + (LEVELS[0] - least) * share.min(1.0);
    }
    let (low, high) = (quantiles[below - 1], quantiles[below]);
    let share = if high > low { (value - low) / (high - low) } else { 0.0 };
    LEVELS[below - 1] + share * (LEVELS[below] - LEVELS[below - 1])
}
