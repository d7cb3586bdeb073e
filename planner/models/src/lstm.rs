//! A recurrent net that gives quantiles for every step of the horizon.
//!
//! One [`Network`] serves all series: it is trained now and then on many histories, and to fit it to one is to read
//! that one's recent past. So it can speak about a series that has only just begun. Without a network it is trained on
//! the one series: a sixth of a second a fit, and nothing about a series that has only just begun.
mod cell;
mod head;
mod math;
mod network;
#[cfg(test)]
mod tests;
mod train;
mod window;

pub use network::{Network, NetworkError};
pub use train::{Progress, TrainingBudget};

use crate::features::{Bounds, Recent, Scale, reach};
use foremesh_core::forecast::{
    LEVELS,
    model::{Cost, Family, Fitted, History, Model, ModelError, Prediction},
};
use std::sync::Arc;
use window::{LENGTH, SHORTEST, Window};

/// Windows that a net for one series is trained on; they take a sixth of a second.
const ALONE: TrainingBudget = TrainingBudget { examples: 2_048 };

/// CPU time of one window in training and of a prediction, in microseconds.
const EXAMPLE_US: f64 = 90.0;
const PREDICT_US: f64 = 60.0;

/// The model; see the module.
#[derive(Clone, Debug)]
pub struct Lstm {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Common(Arc<Network>),
    Alone { seed: u64 },
}

impl Lstm {
    /// Predicts with a net that has been trained.
    pub const fn with(network: Arc<Network>) -> Self {
        Self { source: Source::Common(network) }
    }

    /// Trains a small net on each series that it is fitted to.
    pub const fn alone(seed: u64) -> Self {
        Self { source: Source::Alone { seed } }
    }
}

impl Model for Lstm {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn family(&self) -> Family {
        Family::Lstm
    }

    fn cost(&self, observed: usize) -> Cost {
        let fit_us = match self.source {
            Source::Common(_) => 0.02 * observed as f64,
            Source::Alone { .. } => EXAMPLE_US * ALONE.examples as f64,
        };
        Cost { fit_us, update_us: 0.02, predict_us: PREDICT_US }
    }

    fn warm_up(&self, _season: Option<usize>, horizon: usize) -> usize {
        match self.source {
            Source::Common(_) => SHORTEST,
            Source::Alone { .. } => horizon + 2 * LENGTH,
        }
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let mut bounds = Bounds::of(history);
        let known = history.values.iter().position(|value| bounds.checked(*value).is_finite());
        let first = known.unwrap_or(history.values.len());
        let values: Vec<f64> = history.values[first..].iter().map(|value| bounds.checked(*value)).collect();
        let observed: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let need = self.warm_up(history.season, history.horizon);
        if observed.len() < need {
            return Err(ModelError::NotEnoughHistory { have: observed.len(), need });
        }
        for value in &observed {
            bounds.include(*value);
        }
        let scale = Scale::of(observed)
            .ok_or_else(|| ModelError::Degenerate { why: "all values are the same".to_owned() })?;
        let network = match &self.source {
            Source::Common(network) => Arc::clone(network),
            Source::Alone { seed } => Arc::new(Network::train(&[*history], ALONE, *seed)?),
        };
        let season = history.season.filter(|season| *season < values.len());
        let keep = LENGTH + reach(season, history.step.ms(), history.horizon);
        let start = history.start.plus_ms(history.step.times(first));
        let mut recent = Recent::new(start, history.step, season, keep);
        for value in &values {
            recent.push(*value);
        }
        Ok(Box::new(Running { network, recent, bounds, scale }))
    }
}

/// A fitted model.
#[derive(Debug)]
struct Running {
    network: Arc<Network>,
    recent: Recent,
    bounds: Bounds,
    /// Scale of the whole history, for windows that are flat.
    scale: Scale,
}

impl Fitted for Running {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        let value = self.bounds.checked(value);
        self.bounds.include(value);
        self.recent.push(value);
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        out.fill(Prediction::UNKNOWN);
        let origin = self.recent.values().len();
        let Some(window) = Window::at(&self.recent, origin, Some(self.scale)) else { return };
        let steps = out.len();
        for (prediction, quantiles) in out.iter_mut().zip(self.network.predict(&window, steps)) {
            let quantiles = quantiles.map(|value| self.bounds.clamp(value));
            if quantiles.iter().all(|value| value.is_finite()) {
                let point = quantiles[LEVELS.len() / 2];
                *prediction = Prediction { point, quantiles: Some(quantiles) };
            }
        }
    }
}
