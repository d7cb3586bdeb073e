//! Regressors over the horizon, from the first step that was not taken in yet.
use crate::{
    covariate::{Future, Regressor, RegressorEffects},
    forecast::LEVELS,
};

/// Scales that differ by no more than this factor are the same.
const SAME_SCALE: f64 = 1.25;

/// Regressors as they are known from the first forecast step on.
pub(super) enum Ahead<'a> {
    /// The series ends where the forecast begins, or so many steps before.
    At(&'a [(Regressor<'a>, Future<'a>)], usize),
    /// The forecast begins before the series ends.
    Awaiting(Vec<Owned<'a>>),
}

/// A regressor that was split earlier.
pub(super) struct Owned<'a> {
    past: Regressor<'a>,
    points: Vec<f64>,
    /// `None` when the points are known.
    bands: Option<Vec<[f64; LEVELS.len()]>>,
}

impl<'a> Ahead<'a> {
    /// Regressors that are split at the end of the series, when the forecast begins `awaited` steps before that; after
    /// it when negative.
    pub(super) fn of(regressors: &'a [(Regressor<'a>, Future<'a>)], awaited: i64) -> Self {
        let Some(awaited) = usize::try_from(awaited).ok().filter(|awaited| *awaited > 0) else {
            return Self::At(regressors, usize::try_from(awaited.saturating_neg()).unwrap_or(0));
        };
        let split = |(regressor, future): &(Regressor<'a>, Future<'a>)| {
            let at = regressor.values.len().saturating_sub(awaited);
            let (past, known) = regressor.values.split_at(at);
            let (later, bands) = match future {
                Future::Known(known) => (*known, None),
                Future::Forecast { points, bands } => (*points, Some(*bands)),
            };
            Owned {
                past: Regressor { name: regressor.name, values: past },
                points: known.iter().chain(later).copied().collect(),
                bands: bands.map(|bands| {
                    let held = known.iter().map(|value| [*value; LEVELS.len()]);
                    held.chain(bands.iter().copied()).collect()
                }),
            }
        };
        Self::Awaiting(regressors.iter().map(split).collect())
    }

    /// Puts the effects back onto one forecast step.
    pub(super) fn add_back(
        &self,
        effects: &RegressorEffects,
        index: usize,
        point: f64,
        band: [f64; LEVELS.len()],
    ) -> (f64, [f64; LEVELS.len()]) {
        match self {
            Self::At(regressors, later) => effects.add_back(index + later, regressors, point, band),
            Self::Awaiting(owned) => {
                let regressors: Vec<(Regressor<'_>, Future<'_>)> =
                    owned.iter().map(|one| (one.past, one.future())).collect();
                effects.add_back(index, &regressors, point, band)
            }
        }
    }
}

impl Owned<'_> {
    fn future(&self) -> Future<'_> {
        match &self.bands {
            None => Future::Known(&self.points),
            Some(bands) => Future::Forecast { points: &self.points, bands },
        }
    }
}

/// Whether what was learnt again says the same within its error, so that the history need not be gone through again.
pub(super) fn alike(before: &RegressorEffects, now: &RegressorEffects) -> bool {
    let (before, now) = (before.effects(), now.effects());
    before.len() == now.len()
        && before.iter().zip(now).all(|(a, b)| {
            let scales = a.scale / b.scale;
            a.name == b.name
                && a.lag == b.lag
                && a.compressed == b.compressed
                && (1.0 / SAME_SCALE..=SAME_SCALE).contains(&scales)
                && (a.slope / a.scale - b.slope / b.scale).abs() <= a.slope_error / a.scale
        })
}
