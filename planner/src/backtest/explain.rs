//! `foremesh backtest --explain`: one series in detail. Which models were candidates and how right each was, what the
//! combination is made of, its band, and how far the last forecasts were off.
use super::{
    outcome::Settings,
    plot::Plotted,
    read::MeasuredSeries,
    reference::References,
    replay::{Budget, ForecastStep, Forecasts, Replay, replay},
    report::{Figure, significant},
    score::{Scores, relative},
    task::Task,
};
use comfy_table::{Table, presets::NOTHING};
use foremesh_core::{
    forecast::{
        LEVELS,
        model::{Contribution, Family, Model},
    },
    time::Timestamp,
};
use serde::Serialize;
use std::fmt::Write as _;

/// Origins whose errors are told in words.
const TOLD: usize = 5;

/// Earlier forecasts in the plot.
const PLOTTED: usize = 5;

/// Horizons of history in the plot, at least.
const PLOTTED_HORIZONS: usize = 12;

/// One series in detail.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Its name.
    pub series: String,
    /// What was measured.
    pub kind: String,
    /// Unit of the values.
    pub unit: String,
    /// Length of a step, in seconds.
    pub step_seconds: f64,
    /// Steps of a season, where one is expected.
    pub season_steps: Option<usize>,
    /// Value that counts as high: the 95th percentile of the training part.
    pub threshold: f64,
    /// Models, the best one first.
    pub candidates: Vec<Candidate>,
    /// The model that the rest is about: the combination, or the best one when that does not take part.
    pub model: String,
    /// What its last forecast was made of; empty from a model that is one piece.
    pub contributions: Vec<Contribution>,
    /// Its last forecast.
    pub forecast: Vec<Band>,
    /// Its errors at the last origins, the newest last.
    pub last_origins: Vec<Told>,
    /// What the plot shows.
    #[serde(skip)]
    pub plotted: Plotted,
}

/// One model on the series.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Its name.
    pub model: String,
    /// Mean absolute error over the longest horizon, in the unit of the series.
    pub mae: Figure,
    /// The same in terms of that of the last value.
    pub relative_to_last_value: Figure,
    /// Share of values within its 80 % band.
    pub coverage_80: Figure,
    /// CPU time for each forecast, in milliseconds.
    pub cpu_ms_per_forecast: f64,
    /// Forecasts in which the last value had to stand in.
    pub fallbacks: usize,
    /// Why a fit failed, where one did.
    pub failed_because: Option<String>,
}

/// One step of the last forecast.
#[derive(Clone, Debug, Serialize)]
pub struct Band {
    /// Start of the step.
    pub at: String,
    /// The best guess.
    pub point: Figure,
    /// Values at the levels, from a model that has them.
    pub quantiles: Option<[f64; LEVELS.len()]>,
    /// What came.
    pub actual: Figure,
}

/// How far one forecast was off.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Start of its first step.
    pub origin: String,
    /// Mean absolute error, in the unit of the series.
    pub mae: Figure,
    /// The same in words.
    pub says: String,
}

/// Explains one series; `None` when it is too short for the horizon.
pub fn explain(
    series: &MeasuredSeries,
    models: &[Box<dyn Model>],
    settings: &Settings,
) -> Option<Explanation> {
    let horizon = settings.horizons.last().copied()?;
    let task = Task::new(series, settings.origins, horizon)?;
    let score = |forecasts: &Forecasts| Scores::new(forecasts, &series.values, &task, &[horizon]);
    let last_value = score(&References::new(series, &task).last_value).mae.first().copied().flatten();
    let budget = Budget { refit_us: settings.refit_us, breach_steps: 1 };
    let mut replays: Vec<(&dyn Model, Replay, Scores)> = models
        .iter()
        .map(|model| {
            let replay = replay(model.as_ref(), series, &task, budget);
            let scores = score(&replay.forecasts);
            (model.as_ref(), replay, scores)
        })
        .collect();
    let error = |scores: &Scores| scores.mae.first().copied().flatten().unwrap_or(f64::INFINITY);
    replays.sort_by(|a, b| error(&a.2).total_cmp(&error(&b.2)));
    let candidates = replays
        .iter()
        .map(|(model, replay, scores)| {
            let spent = replay.spent.fit + replay.spent.update + replay.spent.predict;
            let mae = scores.mae.first().copied().flatten();
            let ratio = mae.zip(last_value).zip(task.scale);
            Candidate {
                model: model.name().to_owned(),
                mae: rounded(mae),
                relative_to_last_value: rounded(ratio.map(|((mae, last), scale)| relative(mae, last, scale))),
                coverage_80: rounded(scores.covered_all().get()),
                cpu_ms_per_forecast: significant(spent * 1e3 / task.origins.len() as f64, 3),
                fallbacks: replay.fallbacks,
                failed_because: replay.failed_because.clone(),
            }
        })
        .collect();
    let combined = replays.iter().find(|(model, ..)| model.family() == Family::Combination);
    let (model, shown, _) = combined.or_else(|| replays.first())?;
    Some(Explanation {
        series: series.id.clone(),
        kind: series.kind.clone(),
        unit: series.unit.clone(),
        step_seconds: series.step.seconds(),
        season_steps: task.season,
        threshold: significant(task.threshold, 5),
        candidates,
        model: model.name().to_owned(),
        contributions: shown.contributions.clone(),
        forecast: last_forecast(series, &task, shown),
        last_origins: told(series, &task, shown),
        plotted: plotted(series, &task, model.name(), shown),
    })
}

fn rounded(value: Option<f64>) -> Figure {
    value.filter(|value| value.is_finite()).map(|value| significant(value, 4))
}

fn last_forecast(series: &MeasuredSeries, task: &Task, replay: &Replay) -> Vec<Band> {
    let origin = task.origins.last().copied().unwrap_or(0);
    let steps = replay.last.iter().zip(&series.values[origin..]).enumerate();
    steps
        .map(|(ahead, (step, actual))| Band {
            at: text_of(series.start.plus_ms(series.step.times(origin + ahead))),
            point: rounded(Some(step.point)),
            quantiles: step.quantiles.map(|quantiles| quantiles.map(|value| significant(value, 4))),
            actual: rounded(Some(*actual)),
        })
        .collect()
}

fn told(series: &MeasuredSeries, task: &Task, replay: &Replay) -> Vec<Told> {
    let rows: Vec<(&[ForecastStep], usize)> =
        replay.forecasts.rows(task.horizon).zip(task.origins.iter().copied()).collect();
    let newest = rows.iter().skip(rows.len().saturating_sub(TOLD));
    newest.map(|(row, origin)| tell(series, row, *origin)).collect()
}

fn tell(series: &MeasuredSeries, row: &[ForecastStep], origin: usize) -> Told {
    let steps = row.iter().zip(&series.values[origin..]).enumerate();
    let errors: Vec<(usize, f64, bool)> = steps
        .filter(|(_, (_, actual))| actual.is_finite())
        .map(|(ahead, (step, actual))| {
            let inside = step.band.is_some_and(|[low, high]| (low..=high).contains(actual));
            (ahead, actual - step.point, inside)
        })
        .collect();
    let start = text_of(series.start.plus_ms(series.step.times(origin)));
    let worst = errors.iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let Some((ahead, error, _)) = worst else {
        return Told { origin: start, mae: None, says: "nothing was measured afterwards".to_owned() };
    };
    let mae = errors.iter().map(|(_, error, _)| error.abs()).sum::<f64>() / errors.len() as f64;
    let bias = errors.iter().map(|(_, error, _)| *error).sum::<f64>() / errors.len() as f64;
    let lean = if bias.abs() < 0.5 * mae {
        "neither high nor low as a whole"
    } else if bias > 0.0 {
        "too low as a whole"
    } else {
        "too high as a whole"
    };
    let band = if row.iter().any(|step| step.band.is_some()) {
        let inside = errors.iter().filter(|(.., inside)| *inside).count();
        format!("; {inside} of {} values were within the 80 % band", errors.len())
    } else {
        String::new()
    };
    let says = format!(
        "off by {} {unit} on average, {lean}, most at step {} by {} {unit}{band}",
        significant(mae, 3),
        ahead + 1,
        significant(*error, 3),
        unit = series.unit,
    );
    Told { origin: start, mae: rounded(Some(mae)), says }
}

fn plotted(series: &MeasuredSeries, task: &Task, model: &str, replay: &Replay) -> Plotted {
    let last = task.origins.last().copied().unwrap_or(0);
    let mut forecasts = Vec::new();
    let mut before = usize::MAX;
    let rows: Vec<_> = replay.forecasts.rows(task.horizon).zip(&task.origins).collect();
    for (row, origin) in rows.into_iter().rev() {
        // Forecasts that overlap cannot be told apart.
        if origin + task.horizon <= before && forecasts.len() <= PLOTTED {
            forecasts.push((*origin, row.to_vec()));
            before = *origin;
        }
    }
    let least = last.saturating_sub(PLOTTED_HORIZONS * task.horizon);
    let from =
        forecasts.last().map_or(least, |(origin, _)| (*origin).saturating_sub(task.horizon)).min(least);
    // Origins may be far apart; then the history between them would crush the forecasts.
    let from = from.max(last.saturating_sub(3 * PLOTTED_HORIZONS * task.horizon));
    forecasts.retain(|(origin, _)| *origin >= from);
    Plotted {
        title: format!("{} ({})", series.id, series.unit),
        model: model.to_owned(),
        start_ms: series.start.unix_ms(),
        step_ms: series.step.ms(),
        from,
        values: series.values[from..(last + task.horizon).min(series.values.len())].to_vec(),
        forecasts,
        threshold: task.threshold,
    }
}

fn text_of(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap_or_default().to_string()
}

/// The explanation for people.
pub fn render(explanation: &Explanation) -> String {
    let season =
        explanation.season_steps.map_or("no season".to_owned(), |steps| format!("a season of {steps} steps"));
    let mut text = format!(
        "{}: {} in {}, steps of {} s, {season}; high is above {}\n\nCandidates, the best one first:\n",
        explanation.series,
        explanation.kind,
        explanation.unit,
        explanation.step_seconds,
        explanation.threshold
    );
    let number = |figure: Figure| figure.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["MODEL", "MAE", "VS LAST", "COVER 80", "MS/FORECAST", "FELL BACK"]);
    for candidate in &explanation.candidates {
        table.add_row([
            candidate.model.clone(),
            number(candidate.mae),
            number(candidate.relative_to_last_value),
            number(candidate.coverage_80),
            candidate.cpu_ms_per_forecast.to_string(),
            candidate.fallbacks.to_string(),
        ]);
    }
    let _ = writeln!(text, "{table}\n");
    if !explanation.contributions.is_empty() {
        let _ = writeln!(text, "What {} is made of:", explanation.model);
        let mut parts: Vec<(usize, usize, Vec<String>)> = Vec::new();
        for part in &explanation.contributions {
            let share =
                format!("{} {:.0} % (error {})", part.model, part.weight * 100.0, significant(part.mae, 3));
            match parts.last_mut() {
                Some((first, _, shares)) if *first == part.first => shares.push(share),
                _ => parts.push((part.first, part.end, vec![share])),
            }
        }
        for (first, end, shares) in parts {
            let _ = writeln!(text, "  steps {} to {end}: {}", first + 1, shares.join(", "));
        }
        text.push('\n');
    }
    let mut table = Table::new();
    let levels = LEVELS.iter().map(|level| format!("Q{:02.0}", level * 100.0));
    table
        .load_style(NOTHING)
        .set_header(["FROM".to_owned()].into_iter().chain(levels).chain(["ACTUAL".to_owned()]));
    for step in &explanation.forecast {
        let quantiles: Vec<String> = step.quantiles.map_or_else(
            || {
                LEVELS
                    .iter()
                    .map(
                        |level| if (*level - 0.5).abs() < 1e-9 { number(step.point) } else { "-".to_owned() },
                    )
                    .collect()
            },
            |quantiles| quantiles.iter().map(ToString::to_string).collect(),
        );
        table.add_row([step.at.clone()].into_iter().chain(quantiles).chain([number(step.actual)]));
    }
    let _ = writeln!(text, "The last forecast of {}:\n{table}\n\nThe last origins:", explanation.model);
    for told in &explanation.last_origins {
        let _ = writeln!(text, "  {}: {}", told.origin, told.says);
    }
    text.trim_end().to_owned()
}
