//! ARIMA with an automatic order, seasonal where the season is short, and with regressors.
//!
//! The order is searched as in Hyndman and Khandakar, "Automatic time series forecasting: the forecast package for R",
//! Journal of Statistical Software 27 (2008): KPSS tests choose the differences, a stepwise walk by `AICc` the rest.
//! Coefficients minimise the conditional sum of squares ([`regression`]), which is what that search does on long
//! series too. Seasons longer than [`LONGEST_SEASONAL`] steps enter as Fourier regressors, because a seasonal lag of
//! hundreds of steps is dear and badly determined. Own code: the crates that have it bring 70 packages and more, refuse
//! gaps, or have no state that takes one more value.
mod differences;
mod fitted;
mod lags;
mod order;
mod regression;
mod regressors;
#[cfg(test)]
mod tests;

use differences::Differences;
use fitted::FittedArima;
use foremesh_core::forecast::model::{Cost, Family, Fitted, History, Model, ModelError};
use order::Search;
use regression::Estimate;
use regressors::Regressors;

/// Longest season, in steps, that is modelled by seasonal lags.
const LONGEST_SEASONAL: usize = 24;
/// Observed steps without which nothing is fitted.
const FEWEST: usize = 32;
/// Steps that are learnt from, the newest ones.
const USUAL_STEPS: usize = 1000;
/// The same where Fourier regressors need more to see their season.
const MOST_STEPS: usize = 3000;
/// Numbers of Fourier pairs that are tried for a long season.
const FOURIER_PAIRS: [usize; 4] = [0, 2, 4, 8];

/// ARIMA with an automatic order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arima {
    /// Seed of the paths behind breach probabilities.
    pub seed: u64,
}

impl Model for Arima {
    fn name(&self) -> &'static str {
        "arima"
    }

    fn family(&self) -> Family {
        Family::Arima
    }

    fn cost(&self, observed: usize) -> Cost {
        Cost { fit_us: 30.0 * observed.min(USUAL_STEPS) as f64, update_us: 0.2, predict_us: 8.0 }
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        FEWEST
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        Ok(Box::new(self.fit_to(history)?))
    }
}

impl Arima {
    fn fit_to(self, history: &History<'_>) -> Result<FittedArima, ModelError> {
        let have = history.values.iter().filter(|value| value.is_finite()).count();
        if have < FEWEST {
            return Err(ModelError::NotEnoughHistory { have, need: FEWEST });
        }
        let season = history.season.filter(|season| *season > 1);
        let long = season.filter(|season| *season > LONGEST_SEASONAL);
        let rows = long.map_or(USUAL_STEPS, |season| USUAL_STEPS.max(season * 5 / 2)).min(MOST_STEPS);
        let first = history.values.len().saturating_sub(rows);
        let window = Window::new(&history.values[first..])
            .ok_or(ModelError::NotEnoughHistory { have: 0, need: FEWEST })?;
        if window.constant {
            // Nothing to estimate: the value is carried on, and so is any later one.
            let regressors = Regressors::new(history, first, None, 0);
            let estimate = Estimate::random_walk(regressors.width());
            return Ok(FittedArima::new(
                self.seed,
                history,
                first,
                &window,
                regressors,
                Differences::FIRST,
                &estimate,
            ));
        }
        // A long season is taken when it was seen twice, with the number of pairs that `AICc` prefers.
        let pairs: &[usize] = match long {
            Some(season) if window.values.len() >= 2 * season => &FOURIER_PAIRS,
            _ => &[0],
        };
        let short = season.filter(|season| *season <= LONGEST_SEASONAL);
        let mut best: Option<(Search, Regressors, f64)> = None;
        for pairs in pairs {
            let regressors = Regressors::new(history, first, long, *pairs);
            let columns = regressors.columns(history, first);
            let Some(search) =
                Search::new(&window.values, columns, short, best.as_ref().map(|b| b.0.differences))
            else {
                continue;
            };
            let aicc = search.first_guess();
            if best.as_ref().is_none_or(|(_, _, reached)| aicc < *reached) {
                best = Some((search, regressors, aicc));
            }
        }
        let (mut search, regressors, _) = best
            .ok_or_else(|| ModelError::Failed { why: "too few steps in a row were observed".to_owned() })?;
        let estimate = search
            .walk()
            .ok_or_else(|| ModelError::Failed { why: "no order could be estimated".to_owned() })?;
        Ok(FittedArima::new(self.seed, history, first, &window, regressors, search.differences, &estimate))
    }
}

/// The values that are learnt from, with mean 0 and largest size 1.
#[derive(Debug)]
struct Window {
    values: Vec<f64>,
    center: f64,
    scale: f64,
    constant: bool,
}

impl Window {
    /// `None` without any finite value.
    fn new(values: &[f64]) -> Option<Self> {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let count = finite().count() as f64;
        if count < 1.0 {
            return None;
        }
        // Divided first, so that even the largest numbers have a sum.
        let center: f64 = finite().map(|value| value / count).sum();
        let scale =
            finite().map(|value| (value / 2.0 - center / 2.0).abs() * 2.0).fold(0.0, f64::max).min(f64::MAX);
        let constant = scale <= 1e-12 * center.abs();
        let scale = if constant { 1.0 } else { scale };
        let scaled =
            values.iter().map(|value| if value.is_finite() { (value - center) / scale } else { f64::NAN });
        Some(Self { values: scaled.collect(), center, scale, constant })
    }
}
