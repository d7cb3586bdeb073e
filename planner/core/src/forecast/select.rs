//! Chooses a model for each part of the horizon by replaying the history from rolling origins.
use super::{
    ForecastSettings, HorizonPart, LastValue, MIN_RESIDUALS, Residuals, SeasonalNaive,
    model::{History, Model, Prediction},
};
use crate::time::{Step, Timestamp};

/// Parts of the horizon that choose their model on their own: what is best for the next minutes is seldom best for
/// the next hours.
const PARTS: usize = 4;

/// Groups of neighbouring steps that share their past errors. A short horizon has one group for each step.
const GROUPS: usize = 12;

/// A later model in the list must be better by this share, or the simpler one before it stays: with errors of at most
/// a hundred origins, less is noise.
const BETTER_BY: f64 = 0.02;

pub(super) struct Selection {
    pub(super) model: String,
    pub(super) mae: f64,
    pub(super) origins: usize,
    pub(super) parts: Vec<HorizonPart>,
    pub(super) points: Vec<f64>,
    pub(super) residuals: Vec<Residuals>,
    pub(super) steps_per_residuals: usize,
}

/// Errors of one model: `errors[origin * horizon + ahead]`, `NaN` where there is none.
struct Replay<'m> {
    model: &'m dyn Model,
    errors: Vec<f64>,
}

/// `None` when too few errors could be observed for a band.
pub(super) fn select(history: &[f64], step: Step, settings: &ForecastSettings) -> Option<Selection> {
    let mut models: Vec<&dyn Model> = vec![&LastValue];
    if settings.season.is_some() {
        models.push(&SeasonalNaive);
    }
    let horizon = settings.horizon;
    let known = |values| History {
        start: Timestamp::from_unix_ms(0),
        step,
        season: settings.season,
        horizon,
        values,
        covariates: &[],
        lowest: Some(0.0),
        highest: settings.highest,
    };
    let warm = |model: &dyn Model| model.warm_up(settings.season, horizon);
    // All candidates are judged on the same origins, so a model that cannot be judged on enough is left out first.
    models.retain(|model| history.len() >= warm(*model).saturating_add(horizon + MIN_RESIDUALS));
    let warm_up = models.iter().map(|model| warm(*model)).max()?;
    let origins = origins(history.len(), warm_up, settings.max_origins);
    let replays: Vec<Replay<'_>> =
        models.iter().map(|model| replay(*model, &known, history, &origins, horizon)).collect();

    let part_length = horizon.div_ceil(PARTS);
    let mut parts = Vec::with_capacity(PARTS);
    let mut chosen_of_step = Vec::with_capacity(horizon);
    let mut points = Vec::with_capacity(horizon);
    for first in (0..horizon).step_by(part_length) {
        let end = (first + part_length).min(horizon);
        let (chosen, mae, errors) = best(&replays, first..end, horizon)?;
        let mut prediction = vec![Prediction::UNKNOWN; end];
        if let Ok(mut fitted) = replays[chosen].model.fit(&known(history)) {
            fitted.predict(&[], &mut prediction);
        }
        points.extend(prediction[first..end].iter().map(|prediction| prediction.point));
        chosen_of_step.resize(end, chosen);
        parts.push(HorizonPart { first, end, model: replays[chosen].model.name().to_owned(), mae, errors });
    }
    fill(&mut points, history)?;

    let width = horizon.div_ceil(GROUPS);
    let groups = (0..horizon).step_by(width);
    let residuals: Option<Vec<Residuals>> =
        groups.map(|first| pooled(&replays, &chosen_of_step, first, width)).collect();
    let counted: usize = parts.iter().map(|part| part.errors).sum();
    let mae = parts.iter().map(|part| part.mae * part.errors as f64).sum::<f64>() / counted.max(1) as f64;
    let mut names: Vec<&str> = parts.iter().map(|part| part.model.as_str()).collect();
    names.dedup();
    Some(Selection {
        model: names.join("+"),
        mae,
        origins: origins.len(),
        parts,
        points,
        residuals: residuals?,
        steps_per_residuals: width,
    })
}

/// Evenly spaced origins from the end of the warm-up on; the newest one is always among them.
fn origins(length: usize, warm_up: usize, most: usize) -> Vec<usize> {
    let stride = length.saturating_sub(warm_up).div_ceil(most.max(1)).max(1);
    let mut origins: Vec<usize> = (warm_up..length).rev().step_by(stride).collect();
    origins.reverse();
    origins
}

fn replay<'m, 'h>(
    model: &'m dyn Model,
    known: &dyn Fn(&'h [f64]) -> History<'h>,
    history: &'h [f64],
    origins: &[usize],
    horizon: usize,
) -> Replay<'m> {
    let mut errors = vec![f64::NAN; origins.len() * horizon];
    for (row, origin) in errors.chunks_exact_mut(horizon).zip(origins) {
        let (before, actual) = history.split_at(*origin);
        let mut predictions = vec![Prediction::UNKNOWN; horizon.min(actual.len())];
        if let Ok(mut fitted) = model.fit(&known(before)) {
            fitted.predict(&[], &mut predictions);
        }
        for ((error, actual), prediction) in row.iter_mut().zip(actual).zip(&predictions) {
            *error = actual - prediction.point;
        }
    }
    Replay { model, errors }
}

/// Index, mean absolute error and number of errors of the best model on a part of the horizon. Only steps on which
/// every model has an error count, or a model would win by keeping silent.
fn best(replays: &[Replay<'_>], part: std::ops::Range<usize>, horizon: usize) -> Option<(usize, f64, usize)> {
    let mut sums = vec![0.0; replays.len()];
    let mut count = 0;
    let rows = replays.first()?.errors.len() / horizon;
    for row in 0..rows {
        for at in row * horizon + part.start..row * horizon + part.end {
            if replays.iter().all(|replay| replay.errors[at].is_finite()) {
                count += 1;
                for (sum, replay) in sums.iter_mut().zip(replays) {
                    *sum += replay.errors[at].abs();
                }
            }
        }
    }
    if count == 0 {
        return None;
    }
    let better =
        |best: usize, next: usize| if sums[next] < sums[best] * (1.0 - BETTER_BY) { next } else { best };
    let chosen = (1..replays.len()).fold(0, better);
    Some((chosen, sums[chosen] / count as f64, count))
}

/// A phase that was never observed falls back to the newest value.
fn fill(points: &mut [f64], history: &[f64]) -> Option<()> {
    let newest = history.iter().rev().find(|value| value.is_finite()).copied()?;
    for point in points {
        if !point.is_finite() {
            *point = newest;
        }
    }
    Some(())
}

/// Errors of a group of steps by the models chosen for them; when they are too few, the groups around join in.
fn pooled(replays: &[Replay<'_>], chosen_of_step: &[usize], first: usize, width: usize) -> Option<Residuals> {
    let horizon = chosen_of_step.len();
    let mut reach = 0;
    loop {
        let from = first.saturating_sub(reach);
        let to = (first + width + reach).min(horizon);
        let mut errors = Vec::new();
        for (ahead, chosen) in chosen_of_step.iter().enumerate().take(to).skip(from) {
            let of_step = replays[*chosen].errors.iter().skip(ahead).step_by(horizon);
            errors.extend(of_step.copied().filter(|error| error.is_finite()));
        }
        if errors.len() >= MIN_RESIDUALS {
            return Residuals::new(errors);
        }
        if from == 0 && to == horizon {
            return None;
        }
        reach += width;
    }
}
