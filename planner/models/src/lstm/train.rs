//! Training: seeded draws of windows from a corpus, and Adam on their mean gradient.
use super::{
    cell::Tape,
    network::{Network, WEIGHTS},
    window::{SHORTEST, Window},
};
use crate::{
    features::{Bounds, Recent},
    splitmix::SplitMix,
};
use foremesh_core::forecast::model::{History, ModelError};
use std::ops::ControlFlow;

/// Windows whose mean gradient makes one step.
const BATCH: usize = 16;

/// Steps ahead that are drawn of one window; the whole horizon would cost more than the run over the window.
const DRAWN_AHEAD: usize = 8;

/// Draws that may fail, as share of all, before the corpus is refused: gaps and flat windows teach nothing.
const TRIES: usize = 20;

/// First learning rate; it falls to 0 along half a cosine (Loshchilov, Hutter 2017).
const RATE: f32 = 4e-3;

/// Longest that a gradient may be; one wild window must not throw the weights away (Pascanu et al. 2013).
const LONGEST_GRADIENT: f32 = 1.0;

/// How much to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingBudget {
    /// Windows to learn from, drawn with replacement.
    pub examples: usize,
}

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Windows that were learnt from.
    pub done: usize,
    /// Windows to learn from.
    pub total: usize,
    /// Mean pinball loss of late, in spreads of the series.
    pub loss: f32,
}

impl Network {
    /// Trains a net on histories; all count the same, however long they are. The same corpus, budget and seed give the
    /// same net, bit for bit. Regressors are not looked at.
    ///
    /// # Errors
    /// [`ModelError::NotEnoughHistory`] when no history is long enough, [`ModelError::Degenerate`] when nothing in them
    /// varies.
    pub fn train(corpus: &[History<'_>], budget: TrainingBudget, seed: u64) -> Result<Self, ModelError> {
        Self::train_watched(corpus, budget, seed, &mut |_| ControlFlow::Continue(()))
    }

    /// [`Network::train`] that tells `watch` after every step how far it is, and stops when it says so.
    ///
    /// # Errors
    /// As [`Network::train`], and [`ModelError::Failed`] when it was stopped.
    pub fn train_watched(
        corpus: &[History<'_>],
        budget: TrainingBudget,
        seed: u64,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Self, ModelError> {
        let sources: Vec<Source<'_>> = corpus.iter().filter_map(Source::new).collect();
        if sources.is_empty() {
            let have = corpus.iter().map(|history| history.values.len()).max().unwrap_or(0);
            return Err(ModelError::NotEnoughHistory { have, need: SHORTEST + 1 });
        }
        let mut random = SplitMix::new(seed);
        let horizon = corpus.iter().map(|history| history.horizon).max().unwrap_or(1);
        let mut network = Self::random(horizon, &mut random);
        let mut adam = Adam::new();
        let mut tape = Tape::default();
        let mut gradient = vec![0.0_f32; WEIGHTS];
        let total = budget.examples.div_ceil(BATCH) * BATCH;
        let mut progress = Progress { done: 0, total, loss: f32::NAN };
        while progress.done < total {
            gradient.fill(0.0);
            let (mut learnt, mut loss) = (0, 0.0);
            for _ in 0..TRIES * BATCH {
                let source = &sources[random.below(sources.len())];
                let Some((window, targets)) = source.draw(&mut random) else { continue };
                loss += network.learn(&window, &targets, &mut tape, &mut gradient);
                learnt += 1;
                if learnt == BATCH {
                    break;
                }
            }
            if learnt == 0 {
                return Err(ModelError::Degenerate { why: "nothing varies in the histories".to_owned() });
            }
            let share = 1.0 / learnt as f32;
            for value in &mut gradient {
                *value *= share;
            }
            let done = progress.done as f32 / total as f32;
            adam.step(
                &mut network.weights,
                &mut gradient,
                RATE * 0.5 * (1.0 + (std::f32::consts::PI * done).cos()),
            );
            progress.done += BATCH;
            let newest = loss * share;
            progress.loss =
                if progress.loss.is_nan() { newest } else { 0.98 * progress.loss + 0.02 * newest };
            if watch(&progress).is_break() {
                return Err(ModelError::Failed { why: "training was stopped".to_owned() });
            }
        }
        if network.weights.iter().all(|weight| weight.is_finite()) {
            Ok(network)
        } else {
            Err(ModelError::Failed { why: "a weight is not finite after training".to_owned() })
        }
    }
}

/// One history, ready to draw from.
struct Source<'a> {
    recent: Recent,
    /// Values of the same steps with their gaps.
    values: &'a [f64],
    bounds: Bounds,
    horizon: usize,
}

impl<'a> Source<'a> {
    /// `None` for a history without a window and a step after it.
    fn new(history: &History<'a>) -> Option<Self> {
        let bounds = Bounds::of(history);
        let first = history.values.iter().position(|value| bounds.checked(*value).is_finite())?;
        let values = &history.values[first..];
        let start = history.start.plus_ms(history.step.times(first));
        let season = history.season.filter(|season| *season < values.len());
        let mut recent = Recent::new(start, history.step, season, values.len());
        for value in values {
            recent.push(bounds.checked(*value));
        }
        (values.len() > SHORTEST).then_some(Self { recent, values, bounds, horizon: history.horizon.max(1) })
    }

    /// A window and what came after it; `None` where that is a gap or flat.
    fn draw(&self, random: &mut SplitMix) -> Option<(Window<'_>, Vec<(usize, f32)>)> {
        let origin = SHORTEST + random.below(self.values.len() - SHORTEST);
        if !self.bounds.checked(self.values[origin - 1]).is_finite() {
            return None;
        }
        let window = Window::at(&self.recent, origin, None)?;
        let mut targets = Vec::with_capacity(DRAWN_AHEAD);
        for _ in 0..DRAWN_AHEAD {
            let ahead = random.below(self.horizon);
            let value = self.values.get(origin + ahead).map_or(f64::NAN, |value| self.bounds.checked(*value));
            if value.is_finite() {
                targets.push((ahead, window.target(value)));
            }
        }
        (!targets.is_empty()).then_some((window, targets))
    }
}

/// Adam (Kingma, Ba 2015) with its usual constants.
struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    mean_left: f32,
    square_left: f32,
}

impl Adam {
    fn new() -> Self {
        Self { mean: vec![0.0; WEIGHTS], square: vec![0.0; WEIGHTS], mean_left: 1.0, square_left: 1.0 }
    }

    fn step(&mut self, weights: &mut [f32], gradient: &mut [f32], rate: f32) {
        let length = gradient.iter().map(|value| value * value).sum::<f32>().sqrt();
        let cut = if length > LONGEST_GRADIENT { LONGEST_GRADIENT / length } else { 1.0 };
        self.mean_left *= 0.9;
        self.square_left *= 0.999;
        let (mean_share, square_share) = (1.0 - self.mean_left, 1.0 - self.square_left);
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((weight, gradient), (mean, square)) in weights.iter_mut().zip(gradient).zip(moments) {
            let gradient = *gradient * cut;
            *mean = 0.9 * *mean + 0.1 * gradient;
            *square = 0.999 * *square + 0.001 * gradient * gradient;
            *weight -= rate * (*mean / mean_share) / ((*square / square_share).sqrt() + 1e-8);
        }
    }
}
