//! The streaming ridge: one direct linear model for each of a few distances ahead ("knots"), kept up to date by rank-one
//! updates of its normal matrix.
pub(super) mod features;
pub(super) mod gram;

use super::{
    Forecaster, Shape,
    model::{Cost, Family, Fitted, History, Model, ModelError, Prediction},
};

/// The ridge of the combination on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ridge;

/// Observed steps before its coefficients mean something.
const FEWEST: usize = 24;

impl Model for Ridge {
    fn name(&self) -> &'static str {
        "ridge"
    }

    fn family(&self) -> Family {
        Family::Ridge
    }

    fn cost(&self, observed: usize) -> Cost {
        Cost { fit_us: 2.0 * observed as f64, update_us: 4.0, predict_us: 25.0 }
    }

    fn warm_up(&self, _season: Option<usize>, horizon: usize) -> usize {
        FEWEST + horizon
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let need = self.warm_up(history.season, history.horizon);
        let have = history.values.iter().filter(|value| value.is_finite()).count();
        if have < need {
            return Err(ModelError::NotEnoughHistory { have, need });
        }
        let mut forecaster = Forecaster::new(Shape {
            step: history.step,
            season: history.season,
            horizon: history.horizon.max(1),
            lowest: history.lowest,
            highest: history.highest,
        });
        history.values.iter().for_each(|value| forecaster.observe(*value));
        Ok(Box::new(Alone(forecaster)))
    }
}

#[derive(Debug)]
struct Alone(Forecaster);

impl Fitted for Alone {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.0.observe(value);
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        self.0.ridge_alone(out);
    }
}
