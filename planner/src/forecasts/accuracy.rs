//! How good the published forecasts turned out to be, series by series.
use super::SeriesId;
use foremesh_core::{
    forecast::model::Contribution,
    live::{LiveSeries, Score},
};
use std::{cmp::Ordering, collections::BTreeMap};

/// One series.
#[derive(Clone, Debug)]
pub struct Accuracy {
    /// What it is about.
    pub id: SeriesId,
    /// Scores at the next step, the middle and the end of the horizon.
    pub scores: [Score; 3],
    /// What its forecast is made of now.
    pub parts: Vec<Contribution>,
    /// Times that the series changed so much that its past was forgotten sooner.
    pub drifts: u32,
    /// Predictions of single models that were no numbers.
    pub failures: u64,
    /// Whether other models than those that a policy names are in use.
    pub fell_back: bool,
    /// Steps with a value behind it.
    pub observed: usize,
}

impl Accuracy {
    /// Mean over the distances of the error relative to carrying the newest value on; `None` before anything could be
    /// judged.
    pub fn relative(&self) -> Option<f64> {
        let relative: Vec<f64> = self.scores.iter().filter_map(Score::relative).collect();
        (!relative.is_empty()).then(|| relative.iter().sum::<f64>() / relative.len() as f64)
    }
}

/// All series, the worst first; those that could not be judged yet last.
pub fn accuracies(kept: &BTreeMap<SeriesId, LiveSeries>) -> Vec<Accuracy> {
    let mut all: Vec<Accuracy> = kept
        .iter()
        .map(|(id, live)| Accuracy {
            id: id.clone(),
            scores: *live.judged().scores(),
            parts: live.forecaster().contributions(),
            drifts: live.forecaster().drifts(),
            failures: live.forecaster().failures(),
            fell_back: live.forecaster().fell_back(),
            observed: live.forecaster().observed(),
        })
        .collect();
    all.sort_by(|a, b| match (a.relative(), b.relative()) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
    all
}
