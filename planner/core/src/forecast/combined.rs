//! The combination behind the trait of all models, so that it can be judged on the same origins as its parts.
use super::{
    Forecaster, NEED, Shape,
    model::{BreachWindow, Contribution, Cost, Family, Fitted, History, Model, ModelError, Prediction},
};

/// Dear models are fitted to this share of the history first and judged on the rest, then fitted to all of it.
const JUDGED_FROM: f64 = 0.75;

/// Several models together, weighted by their own past errors at each distance ahead: the cheap ones and the streaming
/// ridge, and any dear ones that are given.
#[derive(Debug, Default)]
pub struct Combined {
    experts: Vec<Box<dyn Model>>,
}

impl Combined {
    /// With dear models that take part. One that cannot be fitted stays out.
    pub fn with(experts: Vec<Box<dyn Model>>) -> Self {
        Self { experts }
    }
}

impl Model for Combined {
    fn name(&self) -> &'static str {
        "combined"
    }

    fn family(&self) -> Family {
        Family::Combination
    }

    fn cost(&self, observed: usize) -> Cost {
        let own = Cost { fit_us: 2.0 * observed as f64, update_us: 4.0, predict_us: 30.0 };
        self.experts.iter().map(|expert| expert.cost(observed)).fold(own, |sum, cost| Cost {
            fit_us: sum.fit_us + 2.0 * cost.fit_us + (1.0 - JUDGED_FROM) * observed as f64 * cost.update_us,
            update_us: sum.update_us + cost.update_us + cost.predict_us / 6.0,
            predict_us: sum.predict_us + cost.predict_us,
        })
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        NEED
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let mut forecaster = Forecaster::new(Shape {
            step: history.step,
            season: history.season,
            horizon: history.horizon.max(1),
            lowest: history.lowest,
            highest: history.highest,
        });
        let judged_from = (history.values.len() as f64 * JUDGED_FROM) as usize;
        for (index, value) in history.values.iter().enumerate() {
            if index == judged_from {
                self.attach(
                    &mut forecaster,
                    &History { values: &history.values[..index], covariates: &[], ..*history },
                );
            }
            forecaster.observe(*value);
        }
        self.attach(&mut forecaster, &History { covariates: &[], ..*history });
        let mut out = [Prediction::UNKNOWN];
        match forecaster.forecast(&mut out) {
            Ok(()) => Ok(Box::new(Live(forecaster))),
            Err(_) => Err(ModelError::NotEnoughHistory { have: forecaster.observed(), need: NEED }),
        }
    }
}

impl Combined {
    fn attach(&self, forecaster: &mut Forecaster, history: &History<'_>) {
        for expert in &self.experts {
            if let Ok(fitted) = expert.fit(history) {
                forecaster.attach(expert.name(), fitted);
            }
        }
    }
}

#[derive(Debug)]
struct Live(Forecaster);

impl Fitted for Live {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.0.observe(value);
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        if self.0.forecast(out).is_err() {
            out.fill(Prediction::UNKNOWN);
        }
    }

    fn breach(&mut self, _future: &[&[f64]], window: &BreachWindow) -> Option<f64> {
        let mut points = vec![Prediction::UNKNOWN; self.0.shape().horizon];
        self.0.forecast(&mut points).ok()?;
        Some(self.0.sample_paths(&points).breach(window, 0))
    }

    fn contributions(&self) -> Vec<Contribution> {
        self.0.contributions()
    }
}
