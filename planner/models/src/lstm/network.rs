//! The weights, kept and read back.
use super::{
    cell::{self, Tape},
    head::{self, Ahead, QUANTILES},
    window::Window,
};
use crate::splitmix::SplitMix;
use serde::{Deserialize, Serialize};

/// Weights of the recurrent part and of the head, one after the other.
pub(super) const WEIGHTS: usize = cell::WEIGHTS + head::WEIGHTS;

/// Number of the format: it goes up when sizes, inputs or their meaning change.
const FORMAT: u32 = 1;

/// A trained net. It belongs to no series: it has learnt from many how a series goes on, and reads the one at hand on
/// that one's own scale.
///
/// It is kept as its format, longest horizon and weights; weights of another format are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Kept", into = "Kept")]
pub struct Network {
    /// Longest horizon that it was trained for.
    pub(super) horizon: usize,
    pub(super) weights: Vec<f32>,
}

/// A kept net cannot be used; train a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Kept by another version of the program.
    #[error("the net has format {found}, but {FORMAT} is needed; train it anew")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Cut off, or not a net.
    #[error("the net has {found} weights, but {WEIGHTS} are needed; train it anew")]
    Size {
        /// Its weights.
        found: usize,
    },
    /// Not a net that ever came out of a training.
    #[error("a weight of the net is not finite; train it anew")]
    NotFinite,
}

impl Network {
    /// Small random weights.
    pub(super) fn random(horizon: usize, random: &mut SplitMix) -> Self {
        let mut draw = |inputs: usize| ((2.0 * random.unit() - 1.0) / (inputs as f64).sqrt()) as f32;
        let mut weights: Vec<f32> = (0..cell::WEIGHTS).map(|_| draw(cell::UNITS)).collect();
        weights[cell::FORGET_BIASES].fill(1.0);
        weights.extend((0..head::WEIGHTS).map(|_| 0.5 * draw(cell::UNITS)));
        Self { horizon, weights }
    }

    /// Quantiles of each of the next `steps` steps, in the unit of the series.
    pub(super) fn predict(&self, window: &Window<'_>, steps: usize) -> Vec<[f64; QUANTILES]> {
        let (recurrent, head) = self.weights.split_at(cell::WEIGHTS);
        let mut tape = Tape::default();
        tape.run(recurrent, &window.inputs);
        let from_state = head::from_state(head, tape.state());
        let ahead = |ahead| Ahead::run(head, &from_state, &window.features(ahead, self.horizon));
        (0..steps).map(|step| ahead(step).quantiles.map(|said| window.restore(said))).collect()
    }

    /// Loss over some steps ahead, each with what came as a difference to the level, and its gradient, which is added.
    pub(super) fn learn(
        &self,
        window: &Window<'_>,
        targets: &[(usize, f32)],
        tape: &mut Tape,
        gradient: &mut [f32],
    ) -> f32 {
        let (recurrent, head) = self.weights.split_at(cell::WEIGHTS);
        let (to_recurrent, to_head) = gradient.split_at_mut(cell::WEIGHTS);
        tape.run(recurrent, &window.inputs);
        let from_state = head::from_state(head, tape.state());
        let mut of_state = [0.0; cell::UNITS];
        let share = 1.0 / targets.len().max(1) as f32;
        let mut sum = 0.0;
        for (ahead, target) in targets {
            let ahead = Ahead::run(head, &from_state, &window.features(*ahead, self.horizon));
            let (loss, of_quantiles) = ahead.loss(*target);
            sum += share * loss;
            ahead.back(head, tape.state(), &of_quantiles.map(|g| g * share), to_head, &mut of_state);
        }
        tape.back(recurrent, &of_state, to_recurrent);
        sum
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    horizon: usize,
    weights: Vec<f32>,
}

impl From<Network> for Kept {
    fn from(network: Network) -> Self {
        Self { format: FORMAT, horizon: network.horizon, weights: network.weights }
    }
}

impl TryFrom<Kept> for Network {
    type Error = NetworkError;

    fn try_from(kept: Kept) -> Result<Self, NetworkError> {
        if kept.format != FORMAT {
            return Err(NetworkError::Format { found: kept.format });
        }
        if kept.weights.len() != WEIGHTS {
            return Err(NetworkError::Size { found: kept.weights.len() });
        }
        if !kept.weights.iter().all(|weight| weight.is_finite()) {
            return Err(NetworkError::NotFinite);
        }
        Ok(Self { horizon: kept.horizon, weights: kept.weights })
    }
}
