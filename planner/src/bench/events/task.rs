//! Tasks: a piece of a measured series, an origin, and when events take place, one of them within the horizon.
use super::{Effect, EventsBench, random::stream};
use crate::backtest::{MeasuredSeries, score::median, task::naive_error};
use foremesh_core::{
    calendar::Occurrence,
    time::{Step, Timestamp},
};
use foremesh_models::SplitMix;
use std::ops::Range;

/// Milliseconds between two events on average.
const BETWEEN_MS: i64 = 18 * 3_600_000;
/// Milliseconds of a day, which is the season.
const DAY_MS: i64 = 86_400_000;
/// Share of a series before its first origin.
const FIRST_ORIGIN: f64 = 0.7;
/// Steps before the first event of a task.
const BEFORE_FIRST: usize = 12;
/// Makes the median of distances from the median the standard deviation of a normal distribution.
const NORMAL: f64 = 1.4826;
/// Series are taken whose steps are of one of these lengths, in milliseconds.
const STEPS_MS: [i64; 2] = [60_000, 300_000];

/// One task: forecast from the origin, knowing when events take place.
#[derive(Clone, Debug, PartialEq)]
pub struct EventTask {
    /// The series.
    pub series_id: String,
    /// Seed that it was drawn with.
    pub seed: u64,
    /// Start of the first step of `values`.
    pub start: Timestamp,
    /// Length of a step.
    pub step: Step,
    /// Measured values, the history and then the horizon; `NaN` for gaps.
    pub values: Vec<f64>,
    /// Steps of the history: index of the first step that is forecast.
    pub origin: usize,
    /// Steps of each event, oldest first; the last one lies within the horizon, all others end before the origin.
    pub events: Vec<Range<usize>>,
    /// How strong the effect is in each step, 1 without noise.
    pub strengths: Vec<f64>,
    /// Robust standard deviation of the history.
    pub deviation: f64,
    /// Mean absolute error of the seasonal naive forecast within the history, of the last value where it has less than
    /// one and a half seasons.
    pub scale: f64,
}

impl EventTask {
    /// Length of the season, a day, in steps.
    pub fn season(&self) -> usize {
        season(self.step)
    }

    /// The event that is forecast.
    pub fn expected(&self) -> Range<usize> {
        self.events.last().cloned().unwrap_or_default()
    }

    /// Where in its event a step is, from 0 to 1; `None` outside of events.
    fn position(&self, index: usize) -> Option<f64> {
        let event = self.events.iter().find(|event| event.contains(&index))?;
        Some((index - event.start) as f64 + 0.5).map(|steps| steps / event.len() as f64)
    }

    /// The values with an effect in every event, its noise included.
    pub fn with(&self, effect: Effect) -> Vec<f64> {
        let value = |(index, value): (usize, &f64)| {
            self.position(index)
                .map_or(*value, |position| effect.on(*value, position, self.deviation, self.strengths[index]))
        };
        self.values.iter().enumerate().map(value).collect()
    }

    /// A value of the step as it is with the true effect, without noise.
    pub fn with_true_effect(&self, effect: Effect, index: usize, value: f64) -> f64 {
        self.position(index).map_or(value, |position| effect.on(value, position, self.deviation, 1.0))
    }

    /// Start of a step.
    pub fn at(&self, index: usize) -> Timestamp {
        self.start.plus_ms(self.step.times(index))
    }

    /// The events as a calendar tells them.
    pub fn occurrences(&self) -> Vec<Occurrence> {
        let one = |event: &Range<usize>| Occurrence {
            event: "event".to_owned(),
            tags: vec!["event".to_owned()],
            start: self.at(event.start),
            end: self.at(event.end),
            expected: None,
        };
        self.events.iter().map(one).collect()
    }

    /// 1 in steps of an event and 0 elsewhere.
    pub fn flags(&self) -> Vec<f64> {
        let flag = |index| if self.position(index).is_some() { 1.0 } else { 0.0 };
        (0..self.values.len()).map(flag).collect()
    }
}

/// Draws the tasks of one seed: as many as asked for, or fewer when the series cannot give so many. Series take turns,
/// in an order of the seed's.
pub(super) fn draw(series: &[MeasuredSeries], bench: &EventsBench, seed: u64) -> Vec<EventTask> {
    let mut order: Vec<&MeasuredSeries> = series.iter().filter(|one| fits(one)).collect();
    let mut random = stream(seed, 0);
    for index in (1..order.len()).rev() {
        order.swap(index, random.below(index + 1));
    }
    let mut tasks = Vec::new();
    let mut number = 0;
    // A series that is too short for its first turns is too short for all.
    for _round in 0..bench.tasks {
        let before = tasks.len();
        for one in &order {
            number += 1;
            if tasks.len() < bench.tasks {
                tasks.extend(task(one, bench, seed, &mut stream(seed, number)));
            }
        }
        if tasks.len() == before || tasks.len() >= bench.tasks {
            break;
        }
    }
    tasks
}

/// Whether a series may have events at all: its step is one of the planner's, and no value is negative, since a factor
/// on a negative value is no load.
fn fits(series: &MeasuredSeries) -> bool {
    STEPS_MS.contains(&series.step.ms()) && !series.values.iter().any(|value| *value < 0.0)
}

fn season(step: Step) -> usize {
    usize::try_from(DAY_MS / step.ms()).unwrap_or(1).max(1)
}

/// One task on a series; `None` where it is too short, too full of gaps, or does not vary.
fn task(series: &MeasuredSeries, bench: &EventsBench, seed: u64, random: &mut SplitMix) -> Option<EventTask> {
    let (length, horizon) = (bench.length, bench.horizon);
    let earliest = (series.values.len() as f64 * FIRST_ORIGIN).ceil() as usize;
    let choices = (series.values.len() + 1).checked_sub(earliest + horizon)?;
    let origin = earliest + random.below(choices);
    let first = origin.saturating_sub(bench.history);
    let values = series.values.get(first..origin + horizon)?.to_vec();
    let origin = origin - first;
    let expected = origin + random.below(horizon - length + 1);
    let mut events = vec![Range { start: expected, end: expected + length }];
    let between = BETWEEN_MS as f64 / series.step.ms() as f64;
    let mut start = expected;
    let most = bench.occurrences.unwrap_or(usize::MAX);
    while events.len() <= most {
        // Evenly from half of the mean to one and a half of it.
        let gap = (between * (0.5 + random.unit())).round() as usize;
        let Some(earlier) = start.checked_sub(gap.max(horizon)).filter(|start| *start >= BEFORE_FIRST) else {
            break;
        };
        start = earlier;
        events.push(start..start + length);
    }
    events.reverse();
    if events.len() <= bench.occurrences.unwrap_or(bench.fewest) {
        return None;
    }
    let strengths = (0..values.len()).map(|_| 1.0 + bench.noise * random.normal()).collect();
    let history = &values[..origin];
    let observed: Vec<f64> = history.iter().copied().filter(|value| value.is_finite()).collect();
    let middle = median(observed.iter().copied())?;
    let deviation = NORMAL * median(observed.iter().map(|value| (value - middle).abs()))?;
    let season = season(series.step);
    let lag = if 2 * origin >= 3 * season { season } else { 1 };
    let scale = naive_error(history, lag).filter(|scale| *scale > 0.0 && deviation > 0.0)?;
    let ahead = values[expected..expected + length].iter().filter(|value| value.is_finite()).count();
    // An event that nobody measured teaches nothing.
    (2 * ahead >= length && 2 * observed.len() >= origin).then(|| EventTask {
        series_id: series.id.clone(),
        seed,
        start: series.start.plus_ms(series.step.times(first)),
        step: series.step,
        values,
        origin,
        events,
        strengths,
        deviation,
        scale,
    })
}
