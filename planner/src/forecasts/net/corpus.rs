//! What the net is trained on: so many series of all kinds, as the live series see them.
use crate::{
    forecasts::{Forecasts, Known, SeriesId, around::Around, around::Occurrences, experts::JUDGED_HORIZONS},
    observed::Observed,
};
use foremesh_core::{
    calendar::Priors,
    forecast::{Shape, model::History},
    time::Timestamp,
};
use std::collections::BTreeMap;

/// Series of one training, at most; with two days of minutes they are 12 MB.
pub(super) const MOST_SERIES: usize = 512;

/// The values of one series, owned: events and regressors are taken out, and moves are gaps.
#[derive(Clone, Debug)]
pub struct TrainingSeries {
    start: Timestamp,
    shape: Shape,
    values: Vec<f64>,
}

impl TrainingSeries {
    /// Values that begin at `start`.
    pub(super) const fn new(start: Timestamp, shape: Shape, values: Vec<f64>) -> Self {
        Self { start, shape, values }
    }

    /// The same for a model.
    pub(super) fn history(&self) -> History<'_> {
        History {
            start: self.start,
            step: self.shape.step,
            season: self.shape.season,
            horizon: self.shape.horizon,
            values: &self.values,
            covariates: &[],
            lowest: self.shape.lowest,
            highest: self.shape.highest,
        }
    }

    /// Steps with a value.
    pub(super) fn observed(&self) -> usize {
        self.values.iter().filter(|value| value.is_finite()).count()
    }
}

impl Forecasts {
    /// What a net may be trained on now: some hundred series of all kinds and quantities, others for another `salt`.
    /// Empty until one of them has a whole season and a horizon after it, since before that a net would learn that the
    /// season says nothing. The end of each is left out, because a new model is judged there.
    pub fn corpus(&self, observed: &Observed, known: &Known, salt: u64) -> Vec<TrainingSeries> {
        let enough = self.kept.values().any(|live| {
            let shape = live.forecaster().shape();
            live.forecaster().observed() >= shape.season.unwrap_or(0) + (1 + JUDGED_HORIZONS) * shape.horizon
        });
        if !enough {
            return Vec::new();
        }
        let mut occurrences = Occurrences::default();
        let of = |id: SeriesId| {
            let live = self.kept.get(&id)?;
            let series = id.values(observed)?;
            let around = Around::of(&id, &series, known, &mut occurrences, &self.futures, self.horizon());
            let regressors = around.regressors();
            let priors = Priors::default();
            let around = around.surroundings(&priors, &regressors, None);
            let shape = *live.forecaster().shape();
            let (start, mut values) = live.training(&series, &around);
            values.truncate(values.len().saturating_sub(JUDGED_HORIZONS * shape.horizon));
            Some(TrainingSeries::new(start, shape, values))
        };
        selected(self.kept.keys(), MOST_SERIES, salt).into_iter().filter_map(of).collect()
    }
}

/// At most so many, by turns of each kind and quantity, so that few nodes are not lost among many services.
pub(super) fn selected<'s>(all: impl Iterator<Item = &'s SeriesId>, most: usize, salt: u64) -> Vec<SeriesId> {
    let mut groups: BTreeMap<(&str, String), Vec<(u64, &SeriesId)>> = BTreeMap::new();
    for id in all {
        groups.entry((id.kind(), id.metric())).or_default().push((drawn(id, salt), id));
    }
    let mut turns: Vec<(usize, &SeriesId)> = Vec::new();
    for group in groups.values_mut() {
        group.sort_unstable();
        turns.extend(group.iter().enumerate().map(|(turn, (_, id))| (turn, *id)));
    }
    turns.sort_unstable();
    turns.into_iter().take(most).map(|(_, id)| id.clone()).collect()
}

/// A number that looks random and is the same for the same series and salt (FNV-1a).
fn drawn(id: &SeriesId, salt: u64) -> u64 {
    let text = id.to_string();
    let bytes = salt.to_le_bytes().into_iter().chain(text.bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
