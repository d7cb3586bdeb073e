//! An upper quantile of latency as the median times the ratio to it, each forecast by its own streaming forecaster.
//!
//! A quantile of one step is chance where requests are few; the median is not, and the ratio is read from many steps.
//! What the two say together is one more expert for the series of the quantile itself, weighed by its own past errors,
//! so that it counts where it is better and does no harm where it is not.
use crate::{
    forecast::{
        Forecaster, Shape,
        model::{Fitted, Prediction},
    },
    history::ServiceHistory,
    time::Timestamp,
};

/// What an upper quantile of a service's latency is made of.
#[derive(Clone, Copy, Debug)]
pub struct UpperQuantile<'a> {
    /// The service's history.
    pub history: &'a ServiceHistory,
    /// Place of the quantile in [`crate::history::KEPT_QUANTILES`].
    pub at: usize,
    /// Steps whose histograms are merged into the tail of the last of them.
    pub window: usize,
}

/// One step of the quantile's series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantile {
    /// Start of the step.
    pub(super) start: Timestamp,
    /// As measured.
    pub(super) measured: f64,
    /// Without the effects of events and regressors.
    pub(super) cleaned: f64,
    /// Whether the tail's window holds steps of another place, or such that an event acted on. Merged with others they
    /// are further apart than any of them alone, so the step's own ratio is the better one then.
    pub(super) mixed: bool,
}

impl UpperQuantile<'_> {
    /// Logarithms of the median and of the ratio to it, without the effects of events and regressors.
    ///
    /// Effects are learned on the quantile, and all of them is taken out of the median: the sum then is that of the
    /// cleaned quantile. What an event does to the tail alone stays in both, with opposite signs.
    pub(super) fn parts(self, quantile: &Quantile) -> [f64; 2] {
        let history = self.history;
        let step = usize::try_from(history.step.count(history.start, quantile.start)).ok();
        let step = step.and_then(|index| history.steps.get(index)).and_then(Option::as_ref);
        let parts = step.and_then(|step| {
            let log_median = step.log_median()?;
            let log_ratio = if quantile.mixed {
                quantile.measured.ln() - log_median
            } else {
                step.tail.log_ratio_of(self.at, step.requests)?
            };
            Some([log_median + (quantile.cleaned / quantile.measured).ln(), log_ratio])
        });
        parts.filter(|parts| parts.iter().all(|part| part.is_finite())).unwrap_or([f64::NAN; 2])
    }
}

/// The forecasters of the two logarithms. What it reads beside a value are both of that step.
#[derive(Debug)]
pub(super) struct MedianAndTail {
    median: Forecaster,
    tail: Forecaster,
    out: Vec<Prediction>,
}

impl MedianAndTail {
    /// Knows nothing yet; `shape` is that of the quantile's series.
    pub(super) fn new(shape: Shape) -> Self {
        // A median below a millisecond has a negative logarithm; a ratio is at least 1.
        let of_median = Shape { lowest: None, highest: None, ..shape };
        let of_tail = Shape { lowest: Some(0.0), ..of_median };
        Self::with(Forecaster::new(of_median), Forecaster::new(of_tail))
    }

    fn with(median: Forecaster, tail: Forecaster) -> Self {
        let out = vec![Prediction::UNKNOWN; median.shape().horizon];
        Self { median, tail, out }
    }
}

impl Fitted for MedianAndTail {
    fn update(&mut self, value: f64, beside: &[f64]) {
        let (log_median, log_ratio) = match beside {
            // A step that must not be learnt from, such as one of a move.
            [log_median, log_ratio] if value.is_finite() => (*log_median, *log_ratio),
            _ => (f64::NAN, f64::NAN),
        };
        self.median.observe(log_median);
        self.tail.observe(log_ratio);
    }

    fn skip(&mut self, steps: u64) {
        self.median.skip(steps);
        self.tail.skip(steps);
    }

    fn anew(&self) -> Option<Box<dyn Fitted>> {
        let anew = |of: &Forecaster| Forecaster::like(of, *of.shape());
        Some(Box::new(Self::with(anew(&self.median), anew(&self.tail))))
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        out.fill(Prediction::UNKNOWN);
        let count = out.len().min(self.out.len());
        let (out, of_tail) = (&mut out[..count], &mut self.out[..count]);
        if self.median.forecast(out).is_err() || self.tail.forecast(of_tail).is_err() {
            out.fill(Prediction::UNKNOWN);
            return;
        }
        // Bands are the combination's, from its own past errors.
        for (said, of_tail) in out.iter_mut().zip(of_tail) {
            *said = Prediction { point: (said.point + of_tail.point).exp(), quantiles: None };
        }
    }
}

#[cfg(test)]
mod tests;
