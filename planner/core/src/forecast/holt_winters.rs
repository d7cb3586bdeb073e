//! Holt-Winters: a level, a season, and a gap to the level that dies away.
//!
//! Additive exponential smoothing (Winters 1960) without a trend, which only runs away over hours, but with a first-order
//! autoregressive gap, so that a disturbance fades instead of staying. Errors are clipped, so that one spike does not
//! become tomorrow's season.
use super::{
    median_last_hour::median,
    model::{Cost, Family, Fitted, History, Model, ModelError, Prediction},
};

/// Level, season and decaying gap, fitted over a small grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoltWinters;

/// Rates at which the level follows.
const LEVEL: [f64; 4] = [0.0, 0.02, 0.1, 0.3];
/// Rates at which the season follows.
const SEASON: [f64; 3] = [0.0, 0.1, 0.3];
/// Share of a gap that is left one step later.
const GAP: [f64; 3] = [0.0, 0.8, 0.97];
/// Errors beyond so many typical season-to-season differences are clipped.
const CLIP: f64 = 8.0;
/// The grid is judged at every so many steps, which leaves the choice as it is and saves most of the time.
const JUDGED: usize = 7;
/// Observed steps without which nothing is fitted when there is no season.
const FEWEST: usize = 8;

impl Model for HoltWinters {
    fn name(&self) -> &'static str {
        "holt_winters"
    }

    fn family(&self) -> Family {
        Family::Smoothing
    }

    fn cost(&self, observed: usize) -> Cost {
        Cost { fit_us: 0.25 * observed as f64, update_us: 0.02, predict_us: 0.4 }
    }

    fn warm_up(&self, season: Option<usize>, _horizon: usize) -> usize {
        season.map_or(FEWEST, |season| (2 * season).max(FEWEST))
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let season = history.season.unwrap_or(1).max(1);
        let need = self.warm_up(history.season, history.horizon);
        let have = history.values.iter().filter(|value| value.is_finite()).count();
        if have < need {
            return Err(ModelError::NotEnoughHistory { have, need });
        }
        let start = State::start(history.values, season);
        let mut best = (f64::INFINITY, start.clone());
        for level in LEVEL {
            for rate in if season > 1 { &SEASON[..] } else { &SEASON[..1] } {
                for gap in GAP {
                    let state = State { rates: Rates { level, season: *rate, gap }, ..start.clone() };
                    let (loss, state) = state.replay(history.values, history.horizon.max(1));
                    if loss < best.0 {
                        best = (loss, state);
                    }
                }
            }
        }
        if best.0.is_finite() {
            Ok(Box::new(best.1))
        } else {
            Err(ModelError::Degenerate { why: "no prediction could be compared with a value".to_owned() })
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    level: f64,
    season: f64,
    gap: f64,
}

#[derive(Clone, Debug)]
struct State {
    rates: Rates,
    clip: f64,
    level: f64,
    gap: f64,
    season: Vec<f64>,
    /// Phase of the step after the newest.
    next: usize,
}

impl State {
    /// The level is the median of the first season, and the season what is above it.
    fn start(values: &[f64], season: usize) -> Self {
        let first = &values[..season.max(FEWEST).min(values.len())];
        let mut known: Vec<f64> = first.iter().copied().filter(|value| value.is_finite()).collect();
        if known.is_empty() {
            known.extend(values.iter().copied().filter(|value| value.is_finite()).take(FEWEST));
        }
        let level = median(&mut known);
        let above = |value: &f64| if value.is_finite() { value - level } else { 0.0 };
        let mut profile: Vec<f64> =
            if season > 1 { first.iter().take(season).map(above).collect() } else { vec![0.0] };
        profile.resize(season, 0.0);
        let mut changes: Vec<f64> = values
            .iter()
            .zip(values.iter().skip(season))
            .map(|(before, after)| (after - before).abs())
            .filter(|change| change.is_finite())
            .collect();
        let mean = changes.iter().sum::<f64>() / changes.len().max(1) as f64;
        let typical = median(&mut changes);
        let clip = CLIP * if typical > 0.0 { typical } else { mean };
        Self {
            rates: Rates::default(),
            clip: if clip > 0.0 { clip } else { f64::MAX },
            level,
            gap: 0.0,
            season: profile,
            next: 0,
        }
    }

    /// Runs over the history; returns the mean absolute error at a few distances, from the second season on.
    fn replay(mut self, values: &[f64], horizon: usize) -> (f64, Self) {
        let from = self.season.len().max(FEWEST);
        let distances = [1, horizon.div_ceil(4), horizon.div_ceil(2), horizon];
        let (mut sum, mut count) = (0.0, 0usize);
        for (index, value) in values.iter().enumerate() {
            if index >= from && index % JUDGED == 0 {
                for ahead in distances {
                    let error =
                        values.get(index + ahead - 1).map(|actual| (actual - self.ahead(ahead - 1)).abs());
                    if let Some(error) = error.filter(|error| error.is_finite()) {
                        sum += error;
                        count += 1;
                    }
                }
            }
            self.step(*value);
        }
        (if count > 0 { sum / count as f64 } else { f64::INFINITY }, self)
    }

    fn step(&mut self, value: f64) {
        if value.is_finite() {
            let expected = self.level + self.season[self.next] + self.rates.gap * self.gap;
            let error = (value - expected).clamp(-self.clip, self.clip);
            self.level += self.rates.level * error;
            self.season[self.next] += self.rates.season * error;
            self.gap = self.rates.gap * self.gap + (1.0 - self.rates.level) * error;
        } else {
            self.gap *= self.rates.gap;
        }
        self.next = (self.next + 1) % self.season.len();
    }

    fn ahead(&self, ahead: usize) -> f64 {
        let slot = (self.next + ahead) % self.season.len();
        let exponent = i32::try_from(ahead + 1).unwrap_or(i32::MAX);
        self.level + self.season[slot] + self.gap * self.rates.gap.powi(exponent)
    }
}

impl Fitted for State {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.step(value);
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        for (ahead, prediction) in out.iter_mut().enumerate() {
            *prediction = Prediction { point: self.ahead(ahead), quantiles: None };
        }
    }
}
