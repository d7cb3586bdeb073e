//! Theta: simple exponential smoothing plus half the trend, on the series without its season.
//!
//! After Assimakopoulos and Nikolopoulos (2000) in the form of Hyndman and Billah (2003); the smoothing rate is chosen by
//! one-step errors, and the trend is a least-squares line over a sliding memory, damped, because metrics of machines do
//! not grow for ever.
use super::model::{Cost, Family, Fitted, History, Model, ModelError, Prediction};

/// Smoothed level and half of a damped trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theta;

/// Smoothing rates that are tried.
const RATES: [f64; 8] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0];
/// Share of the trend that is left one step later.
const DAMPING: f64 = 0.98;
/// Observed steps without which nothing is fitted.
const FEWEST: usize = 8;
/// Weight of a new season in the profile.
const SEASON_RATE: f64 = 0.3;
/// Steps that the trend remembers at least.
const TREND_MEMORY: f64 = 48.0;

impl Model for Theta {
    fn name(&self) -> &'static str {
        "theta"
    }

    fn family(&self) -> Family {
        Family::Smoothing
    }

    fn cost(&self, observed: usize) -> Cost {
        Cost { fit_us: 0.05 * observed as f64, update_us: 0.02, predict_us: 0.4 }
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        FEWEST
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let have = history.values.iter().filter(|value| value.is_finite()).count();
        if have < FEWEST {
            return Err(ModelError::NotEnoughHistory { have, need: FEWEST });
        }
        // A season is only taken out when it has been seen twice.
        let season = history.season.filter(|season| *season > 1 && history.values.len() >= 2 * season);
        let fits = RATES.map(|rate| State::new(season, rate, history.horizon).replay(history.values));
        let best = fits.into_iter().min_by(|a, b| a.loss.total_cmp(&b.loss));
        let best = best.filter(|state| state.level.is_finite());
        best.map(|state| Box::new(state) as Box<dyn Fitted>)
            .ok_or_else(|| ModelError::Degenerate { why: "no level could be found".to_owned() })
    }
}

#[derive(Clone, Debug)]
struct State {
    rate: f64,
    /// Decayed sum of absolute one-step errors.
    loss: f64,
    level: f64,
    /// Season as differences from the level of its time; one entry without a season.
    season: Vec<f64>,
    next: usize,
    /// Seasons that were seen.
    seen: usize,
    /// Decayed sums of the line through the values: weight, time, time², value, time·value; time counts back from now.
    line: [f64; 5],
    decay: f64,
}

impl State {
    fn new(season: Option<usize>, rate: f64, horizon: usize) -> Self {
        Self {
            rate,
            loss: 0.0,
            level: f64::NAN,
            season: vec![0.0; season.unwrap_or(1)],
            next: 0,
            seen: 0,
            line: [0.0; 5],
            decay: 1.0 - 1.0 / (4.0 * horizon as f64).max(TREND_MEMORY),
        }
    }

    fn replay(mut self, values: &[f64]) -> Self {
        for value in values {
            self.step(*value);
        }
        self
    }

    fn step(&mut self, value: f64) {
        let seasonal = self.season.len() > 1;
        if value.is_finite() {
            if !self.level.is_finite() {
                self.level = value;
            }
            let flat = value - self.season[self.next];
            let error = flat - self.level;
            if !seasonal || self.seen > 0 {
                self.loss += error.abs();
            }
            self.level += self.rate * error;
            if seasonal {
                let rate = if self.seen == 0 { 1.0 } else { SEASON_RATE };
                // The first season is taken against its running level, which is all that is known then.
                self.season[self.next] += rate * (value - self.season[self.next] - self.level);
            }
            // Time moves on by one: every older value is one step further back.
            let [weight, time, square, sum, product] = self.line;
            let decay = self.decay;
            self.line = [
                decay * weight + 1.0,
                decay * (time - weight),
                decay * (square - 2.0 * time + weight),
                decay * sum + flat,
                decay * (product - sum),
            ];
        }
        self.next += 1;
        if self.next == self.season.len() {
            self.next = 0;
            self.seen += 1;
        }
    }

    /// Slope of the line through the values, for each step.
    fn slope(&self) -> f64 {
        let [weight, time, square, sum, product] = self.line;
        let spread = weight * square - time * time;
        let slope = (weight * product - time * sum) / spread;
        if spread > 1e-9 && slope.is_finite() && weight > 4.0 { slope } else { 0.0 }
    }
}

impl Fitted for State {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.step(value);
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        let half = 0.5 * self.slope();
        let (mut drift, mut share) = (0.0, 1.0);
        for (ahead, prediction) in out.iter_mut().enumerate() {
            share *= DAMPING;
            drift += half * share;
            let point = self.level + drift + self.season[(self.next + ahead) % self.season.len()];
            *prediction = Prediction { point, quantiles: None };
        }
    }
}
