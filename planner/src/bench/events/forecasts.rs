//! Forecasts of one task: ours as the running planner makes them, and Prophet's with the same events.
use super::{Effect, EventTask};
use foremesh_core::{
    calendar::{Occurrence, Priors},
    forecast::{
        ForecastSettings, LEVELS,
        model::{Covariate, History, Model as _, Prediction},
    },
    live::{LiveSeries, MOST_AWAITED, Surroundings},
    series::Series,
    time::Timestamp,
};
use foremesh_models::Prophet;
use std::ops::Range;

/// Age of the newest value, in steps, up to which the planner forecasts here.
const STALE_STEPS: usize = 10;
/// Places of the levels 0.1 and 0.9 among [`LEVELS`].
const BAND: [usize; 2] = [1, LEVELS.len() - 2];

/// All forecasts of one task with one effect, one value for each step of the horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecasts {
    /// What came, the effect included.
    pub actual: Vec<f64>,
    /// Ours, knowing when events take place.
    pub ours: Vec<f64>,
    /// Its 80 % band.
    pub band: Vec<[f64; 2]>,
    /// Ours without a calendar.
    pub ignoring: Vec<f64>,
    /// Ours on the history without events, with the true effect added: what no learning can beat.
    pub known: Vec<f64>,
    /// Our Prophet with a 0/1 regressor.
    pub prophet: Vec<f64>,
}

/// Forecasts a task with each of the effects; `None` where one of them refuses.
pub(super) fn forecasts(task: &EventTask) -> Option<Vec<Forecasts>> {
    let without = ours(task, &task.values, &[])?;
    let each = Effect::ALL.iter().map(|effect| {
        let values = task.with(*effect);
        let occurrences = task.occurrences();
        let ours_with = ours(task, &values, &occurrences)?;
        let known = |(ahead, (point, _)): (usize, &(f64, _))| {
            task.with_true_effect(*effect, task.origin + ahead, *point)
        };
        Some(Forecasts {
            ours: points(&ours_with),
            band: ours_with.iter().map(|(_, band)| *band).collect(),
            ignoring: points(&ours(task, &values, &[])?),
            known: without.iter().enumerate().map(known).collect(),
            prophet: prophet(task, &values)?,
            actual: values[task.origin..].to_vec(),
        })
    });
    each.collect()
}

fn points(steps: &[(f64, [f64; 2])]) -> Vec<f64> {
    steps.iter().map(|(point, _)| *point).collect()
}

/// Point and 80 % band of each step, from a live series.
///
/// It is fed up to the end of the last event, when the running planner learns effects anew, and then up to the origin.
fn ours(task: &EventTask, values: &[f64], occurrences: &[Occurrence]) -> Option<Vec<(f64, [f64; 2])>> {
    let horizon = values.len() - task.origin;
    let settings = ForecastSettings {
        horizon,
        season: Some(task.season()),
        stale_limit_ms: task.step.times(STALE_STEPS),
        highest: None,
    };
    let mut shape = settings.shape(task.step);
    shape.horizon += MOST_AWAITED;
    let priors = Priors::default();
    let around = Surroundings {
        metric: "value",
        occurrences,
        priors: &priors,
        moves: &[],
        regressors: &[],
        parts: None,
    };
    let mut live = LiveSeries::new(shape, task.start, None);
    let before = |event: &&Range<usize>| event.end <= task.origin;
    let last_end = task.events.iter().rev().find(before).map_or(0, |event| event.end);
    for end in [last_end, task.origin] {
        live.advance(&Series::new(task.start, task.step, values[..end].to_vec()), &around);
    }
    let now: Timestamp = task.at(task.origin);
    let forecast = live.outlook("series", &around, now, &settings).ok()?;
    let steps: Vec<(f64, [f64; 2])> =
        forecast.steps.iter().map(|step| (step.point, BAND.map(|level| step.quantiles[level]))).collect();
    (steps.len() == horizon).then_some(steps)
}

/// Point of each step, from our Prophet fitted to the history with a regressor that is 1 within events.
fn prophet(task: &EventTask, values: &[f64]) -> Option<Vec<f64>> {
    let flags = task.flags();
    let (known, ahead) = flags.split_at(task.origin);
    let covariates = [Covariate { name: "event", values: known }];
    let history = History {
        start: task.start,
        step: task.step,
        season: Some(task.season()),
        horizon: ahead.len(),
        values: &values[..task.origin],
        covariates: &covariates,
        lowest: Some(0.0),
        highest: None,
    };
    let mut fitted = Prophet::default().fit(&history).ok()?;
    let mut out = vec![Prediction::UNKNOWN; ahead.len()];
    fitted.predict(&[ahead], &mut out);
    let points: Vec<f64> = out.iter().map(|step| step.point).collect();
    points.iter().all(|point| point.is_finite()).then_some(points)
}
