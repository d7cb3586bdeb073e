//! Bands from past errors: the distribution of `actual - predicted` at the same distance ahead.

/// Most errors that are kept for one distance. More would cost memory (1 000 services have thousands of forecasts)
/// and move a level by less than one hundredth.
const KEPT: usize = 128;

/// Past errors, sorted. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Residuals(Vec<f32>);

impl Residuals {
    /// Sorts errors and thins them evenly by rank; `None` without any finite error.
    pub(crate) fn new(errors: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f32> = errors.into_iter().map(|e| e as f32).filter(|e| e.is_finite()).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        if sorted.len() > KEPT {
            let last = sorted.len() - 1;
            sorted = (0..KEPT).map(|rank| sorted[rank * last / (KEPT - 1)]).collect();
        }
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    /// The error at a level between 0 and 1: the one of rank `ceil((n + 1) * level)`, as in split conformal
    /// prediction (Vovk, Gammerman, Shafer 2005), which covers at least the level on exchangeable errors.
    /// Below the middle the mirrored rank is taken, so that the band is as careful downwards as upwards.
    pub(crate) fn quantile(&self, level: f64) -> f64 {
        let count = self.0.len();
        let rank = |level: f64| ((count + 1) as f64 * level).ceil().clamp(1.0, count as f64) as usize - 1;
        match level.partial_cmp(&0.5) {
            Some(std::cmp::Ordering::Less) => f64::from(self.0[count - 1 - rank(1.0 - level)]),
            Some(std::cmp::Ordering::Equal) => {
                f64::midpoint(f64::from(self.0[(count - 1) / 2]), f64::from(self.0[count / 2]))
            }
            _ => f64::from(self.0[rank(level)]),
        }
    }
}

/// Fewest past errors that a band is made of. With 20 the outermost levels, 0.05 and 0.95, are each one observed
/// error and not an extrapolation.
pub(crate) const MIN_RESIDUALS: usize = 20;
