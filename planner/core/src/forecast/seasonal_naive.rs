//! The same step of the last season.
use super::model::{Cost, Family, Fitted, History, Model, ModelError, Prediction};

/// Repeats the last season; a gap in it is filled by the season before, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeasonalNaive;

impl Model for SeasonalNaive {
    fn name(&self) -> &'static str {
        "seasonal_naive"
    }

    fn family(&self) -> Family {
        Family::Baseline
    }

    fn cost(&self, observed: usize) -> Cost {
        Cost { fit_us: 0.001 * observed as f64, update_us: 0.01, predict_us: 0.1 }
    }

    fn warm_up(&self, season: Option<usize>, _horizon: usize) -> usize {
        season.unwrap_or(1)
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let season = history.season.filter(|season| *season > 0).ok_or(ModelError::NoSeason)?;
        let mut fitted = Repeated { phases: vec![f64::NAN; season], next: 0 };
        for value in history.values {
            fitted.update(*value, &[]);
        }
        if fitted.phases.iter().any(|value| value.is_finite()) {
            Ok(Box::new(fitted))
        } else {
            Err(ModelError::NotEnoughHistory { have: 0, need: season })
        }
    }
}

/// The newest value of each phase.
#[derive(Debug)]
struct Repeated {
    phases: Vec<f64>,
    /// Phase of the step after the newest.
    next: usize,
}

impl Fitted for Repeated {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        if value.is_finite() {
            self.phases[self.next] = value;
        }
        self.next = (self.next + 1) % self.phases.len();
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        for (ahead, prediction) in out.iter_mut().enumerate() {
            let point = self.phases[(self.next + ahead) % self.phases.len()];
            *prediction = Prediction { point, quantiles: None };
        }
    }
}
