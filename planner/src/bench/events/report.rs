//! Mean errors, and ratios of them with the interval that other series might have given.
use super::{Effect, EventTask, EventsBench, Forecasts, random::stream};
use crate::backtest::{report::significant, score::mean};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Draws of series behind an interval.
const DRAWS: usize = 2_000;
/// Share of the draws on each side that is outside of the interval.
const OUTSIDE: f64 = 0.05;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventsReport {
    /// Seeds of the tasks.
    pub seeds: Vec<u64>,
    /// Noise of the effect, as a share of it.
    pub noise: f64,
    /// Past events of each task; `None` where as many as there was room for.
    pub occurrences: Option<usize>,
    /// Mean of the past events of a task.
    pub mean_occurrences: f64,
    /// Steps of an event.
    pub length: usize,
    /// Steps ahead.
    pub horizon: usize,
    /// Tasks that were forecast by all.
    pub tasks: usize,
    /// Tasks that one of them refused.
    pub refused: usize,
    /// Series that they are on.
    pub series: usize,
    /// Each effect over the tasks of all seeds, and then of each seed by itself when there are several.
    pub effects: Vec<EffectReport>,
}

/// What was measured with one effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectReport {
    /// The effect.
    pub effect: Effect,
    /// The seed; `None` over all seeds.
    pub seed: Option<u64>,
    /// Tasks.
    pub tasks: usize,
    /// Mean absolute error in steps of the event.
    pub in_event: Errors,
    /// The same in the other steps of the horizon.
    pub other_steps: Errors,
    /// Ours by Prophet's, in steps of the event.
    pub ours_by_prophet: Option<Ratio>,
    /// The known effect's by Prophet's, in steps of the event.
    pub known_by_prophet: Option<Ratio>,
    /// Ours by that of ignoring events, in steps of the event.
    pub ours_by_ignoring: Option<Ratio>,
    /// Share of steps of the event within our 80 % band.
    pub band_80: Option<f64>,
}

/// Mean absolute errors over tasks, in units of the seasonal naive error of each task's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Errors {
    /// Ours.
    pub ours: f64,
    /// Ours without a calendar.
    pub ignoring: f64,
    /// Ours with the true effect.
    pub known: f64,
    /// Our Prophet's with a 0/1 regressor.
    pub prophet: f64,
}

/// One error in terms of another one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Ratio of the means over tasks.
    pub of_means: f64,
    /// Its interval, which holds 90 % of draws of as many series with replacement.
    pub of_means_90: [f64; 2],
    /// Geometric mean of the ratios of tasks, without those in which one of both has no error.
    pub geometric: f64,
    /// Its interval.
    pub geometric_90: [f64; 2],
}

/// Errors of one task: ours, ignoring, known, Prophet.
type Row = [f64; 4];

/// Sums up all tasks.
pub(super) fn summarise(
    bench: &EventsBench,
    tasks: &[EventTask],
    made: &[Option<Vec<Forecasts>>],
) -> EventsReport {
    let done: Vec<(&EventTask, &Vec<Forecasts>)> =
        tasks.iter().zip(made).filter_map(|(task, made)| Some((task, made.as_ref()?))).collect();
    let mut seeds: Vec<Option<u64>> = vec![None];
    if bench.seeds.len() > 1 {
        seeds.extend(bench.seeds.iter().copied().map(Some));
    }
    let mut effects = Vec::new();
    for seed in seeds {
        let of_seed: Vec<_> =
            done.iter().filter(|(task, _)| seed.is_none_or(|seed| task.seed == seed)).copied().collect();
        for (index, effect) in Effect::ALL.into_iter().enumerate() {
            let rows: Vec<_> =
                of_seed.iter().filter_map(|(task, made)| Some((*task, made.get(index)?))).collect();
            effects.push(of_effect(effect, seed, &rows));
        }
    }
    let past = done.iter().map(|(task, _)| task.events.len().saturating_sub(1) as f64);
    EventsReport {
        seeds: bench.seeds.clone(),
        noise: bench.noise,
        occurrences: bench.occurrences,
        mean_occurrences: significant(mean(past).unwrap_or(0.0), 3),
        length: bench.length,
        horizon: bench.horizon,
        tasks: done.len(),
        refused: tasks.len() - done.len(),
        series: done.iter().map(|(task, _)| &task.series_id).collect::<BTreeSet<_>>().len(),
        effects,
    }
}

fn of_effect(effect: Effect, seed: Option<u64>, tasks: &[(&EventTask, &Forecasts)]) -> EffectReport {
    let mut in_event: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    let (mut within, mut other) = (Vec::new(), Vec::new());
    let (mut covered, mut steps) = (0_usize, 0_usize);
    for (task, made) in tasks {
        let event = task.expected();
        let is_within = |ahead: usize| event.contains(&(task.origin + ahead));
        if let Some(row) = errors(task, made, is_within) {
            in_event.entry(&task.series_id).or_default().push(row);
            within.push(row);
        }
        other.extend(errors(task, made, |ahead| !is_within(ahead)));
        let known = made.actual.iter().zip(&made.band).enumerate();
        for (_, (actual, [low, high])) in
            known.filter(|(ahead, (actual, _))| is_within(*ahead) && actual.is_finite())
        {
            steps += 1;
            covered += usize::from((low..=high).contains(&actual));
        }
    }
    let series: Vec<Vec<Row>> = in_event.into_values().collect();
    let [ours, ignoring, known, prophet] = [0, 1, 2, 3];
    EffectReport {
        effect,
        seed,
        tasks: within.len(),
        in_event: means(&within),
        other_steps: means(&other),
        ours_by_prophet: ratio(&series, ours, prophet),
        known_by_prophet: ratio(&series, known, prophet),
        ours_by_ignoring: ratio(&series, ours, ignoring),
        band_80: (steps > 0).then(|| significant(covered as f64 / steps as f64, 3)),
    }
}

/// Mean absolute errors of one task over some steps of its horizon, in its unit; `None` where none was measured.
fn errors(task: &EventTask, made: &Forecasts, concerns: impl Fn(usize) -> bool) -> Option<Row> {
    let steps: Vec<usize> =
        (0..made.actual.len()).filter(|ahead| concerns(*ahead) && made.actual[*ahead].is_finite()).collect();
    let error = |forecast: &[f64]| {
        mean(steps.iter().map(|ahead| (forecast[*ahead] - made.actual[*ahead]).abs() / task.scale))
    };
    Some([error(&made.ours)?, error(&made.ignoring)?, error(&made.known)?, error(&made.prophet)?])
}

fn means(rows: &[Row]) -> Errors {
    let [ours, ignoring, known, prophet] =
        [0, 1, 2, 3].map(|of| significant(mean(rows.iter().map(|row| row[of])).unwrap_or(f64::NAN), 4));
    Errors { ours, ignoring, known, prophet }
}

/// Ratio of two of the errors, and how it scatters over draws of series: tasks on one series are not independent.
fn ratio(series: &[Vec<Row>], above: usize, below: usize) -> Option<Ratio> {
    // Of each series both sums, the sum of logarithms of ratios, and how many those are.
    let sums: Vec<[f64; 4]> = series
        .iter()
        .map(|rows| {
            let logs: Vec<f64> =
                rows.iter().map(|row| (row[above] / row[below]).ln()).filter(|log| log.is_finite()).collect();
            let sum = |of: usize| rows.iter().map(|row| row[of]).sum::<f64>();
            [sum(above), sum(below), logs.iter().sum(), logs.len() as f64]
        })
        .collect();
    let of = |chosen: &mut dyn Iterator<Item = usize>| {
        let mut total = [0.0; 4];
        for index in chosen {
            for (total, more) in total.iter_mut().zip(sums[index]) {
                *total += more;
            }
        }
        (total[0] / total[1], (total[2] / total[3]).exp())
    };
    let (of_means, geometric) = of(&mut (0..sums.len()));
    if !(of_means.is_finite() && geometric.is_finite()) {
        return None;
    }
    let mut random = stream(0, 1);
    let drawn: Vec<(f64, f64)> =
        (0..DRAWS).map(|_| of(&mut (0..sums.len()).map(|_| random.below(sums.len())))).collect();
    Some(Ratio {
        of_means: significant(of_means, 3),
        of_means_90: interval(drawn.iter().map(|draw| draw.0)),
        geometric: significant(geometric, 3),
        geometric_90: interval(drawn.iter().map(|draw| draw.1)),
    })
}

fn interval(draws: impl Iterator<Item = f64>) -> [f64; 2] {
    let mut sorted: Vec<f64> = draws.filter(|draw| draw.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let outside = (sorted.len() as f64 * OUTSIDE) as usize;
    let at = |index: usize| significant(sorted.get(index).copied().unwrap_or(f64::NAN), 3);
    [at(outside), at(sorted.len().saturating_sub(outside + 1))]
}
