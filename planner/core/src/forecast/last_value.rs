//! The newest value, carried on: the model that everything else has to beat.
use super::model::{Cost, Family, Fitted, History, Model, ModelError, Prediction};

/// Carries the newest value forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastValue;

impl Model for LastValue {
    fn name(&self) -> &'static str {
        "last_value"
    }

    fn family(&self) -> Family {
        Family::Baseline
    }

    fn cost(&self, _observed: usize) -> Cost {
        Cost { fit_us: 0.1, update_us: 0.01, predict_us: 0.05 }
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        1
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let newest = history.values.iter().rev().find(|value| value.is_finite());
        newest.map_or(Err(ModelError::NotEnoughHistory { have: 0, need: 1 }), |value| {
            Ok(Box::new(Carried(*value)) as Box<dyn Fitted>)
        })
    }
}

#[derive(Debug)]
struct Carried(f64);

impl Fitted for Carried {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        if value.is_finite() {
            self.0 = value;
        }
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        out.fill(Prediction { point: self.0, quantiles: None });
    }
}
