//! The features of the streaming ridge. All are differences from a level that follows the series, and so is the target:
//! what the penalty shrinks to is that level, and a coefficient of zero does no harm.
use super::gram::{Row, SEASONAL};
use crate::forecast::memory::{Levels, Seasonal};

/// What the row and the target are taken from.
pub(in crate::forecast) fn base(levels: &Levels) -> f32 {
    levels.middle
}

/// The row of one origin and target. Without `seasonal` its second half is zero.
pub(in crate::forecast) fn row(levels: &Levels, seasonal: Option<&Seasonal>, angle: f32) -> Row {
    let base = base(levels);
    let mut row = [0.0; SEASONAL];
    row[0] = 1.0;
    row[1] = levels.last - base;
    row[2] = levels.before - base;
    row[3] = levels.fast - base;
    row[4] = levels.slow - base;
    row[5] = levels.long - base;
    row[6] = levels.median - base;
    row[7] = levels.slope * 36.0;
    if let Some(seasonal) = seasonal {
        let or_zero = |value: f32| if value.is_nan() { 0.0 } else { value - base };
        row[8] = or_zero(seasonal.same);
        row[9] = or_zero(seasonal.around);
        row[10] = or_zero(seasonal.profile);
        row[11] = or_zero(seasonal.around_now);
        row[12] = or_zero(seasonal.profile_now);
        let (sin, cos) = angle.sin_cos();
        row[13] = sin;
        row[14] = cos;
        row[15] = 2.0 * sin * cos;
    }
    row
}
