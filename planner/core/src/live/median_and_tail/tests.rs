//! A "day" has 120 steps of a minute here, and an hour is the 24th part of it.
use super::super::{
    LiveSeries, Surroundings,
    tests::{at, noise},
};
use super::*;
use crate::{
    calendar::{Occurrence, Priors},
    forecast::{Excluded, Forecast, ForecastSettings, model::MEDIAN_AND_TAIL},
    history::{KEPT_QUANTILES, Metric, ServiceStep},
    tail::Tail,
    time::Step,
};
use foremesh_summary::Accumulator;

const DAY: usize = 120;
const WINDOW: usize = DAY / 24;
const HORIZON: usize = 12;
const P99: usize = 3;

fn settings() -> ForecastSettings {
    ForecastSettings::new(HORIZON, Some(DAY), 10 * 60_000)
}

/// A thousand requests whose latencies are exponential with this mean, those beyond the 9th tenth so many times as long.
fn requests(mean_ms: f64, slow: f64) -> Accumulator {
    let mut latency = Accumulator::new();
    for number in 0..1000 {
        let level = (f64::from(number) + 0.5) / 1000.0;
        let factor = if level > 0.9 { slow } else { 1.0 };
        latency.record((1000.0 * mean_ms * (0.2 - (1.0 - level).ln()) * factor) as u64);
    }
    latency
}

/// A history in which a step's mean and the slowness of its tail are given.
fn history(steps: usize, of: impl Fn(usize) -> (f64, f64)) -> ServiceHistory {
    let alone: Vec<Accumulator> = (0..steps)
        .map(|step| {
            let (mean, slow) = of(step);
            requests(mean * (1.0 + 0.02 * noise(step)), slow)
        })
        .collect();
    let step = |index: usize| {
        let mut merged = Accumulator::new();
        alone[(index + 1).saturating_sub(WINDOW)..=index].iter().for_each(|one| merged.merge(one));
        let tail = Tail::of(merged.quantiles(KEPT_QUANTILES).unwrap().map(|us| us as f64));
        let own = alone[index].quantiles(KEPT_QUANTILES).unwrap().map(|us| (us as f64 / 1000.0) as f32);
        Some(ServiceStep { tail, ..ServiceStep::new(1000, 0, own) })
    };
    let steps = (0..steps).map(step).collect();
    ServiceHistory { service: "cart".into(), start: at(0), step: Step::MINUTE, steps }
}

/// The part of a history up to a step.
fn until(history: &ServiceHistory, end: usize) -> ServiceHistory {
    ServiceHistory { steps: history.steps[..end].to_vec(), ..history.clone() }
}

struct Around {
    occurrences: Vec<Occurrence>,
    moves: Vec<Excluded>,
    priors: Priors,
}

impl Around {
    fn nothing() -> Self {
        Self { occurrences: Vec::new(), moves: Vec::new(), priors: Priors::default() }
    }

    fn nightly(nights: &[(usize, usize)]) -> Self {
        let occurrence = |(first, end): &(usize, usize)| Occurrence {
            event: "nightly".to_owned(),
            tags: vec!["backup".to_owned()],
            start: at(*first),
            end: at(*end),
            expected: None,
        };
        Self { occurrences: nights.iter().map(occurrence).collect(), ..Self::nothing() }
    }

    fn of<'a>(&'a self, history: &'a ServiceHistory, with_parts: bool) -> Surroundings<'a> {
        Surroundings {
            metric: "latency_p99_ms",
            occurrences: &self.occurrences,
            priors: &self.priors,
            moves: &self.moves,
            regressors: &[],
            parts: with_parts.then_some(UpperQuantile { history, at: P99, window: WINDOW }),
        }
    }
}

/// A live series that listens to the expert alone, or to the combination without it.
fn live(expert: bool) -> LiveSeries {
    let mut live = LiveSeries::new(settings().shape(Step::MINUTE), at(0), None);
    if expert {
        live.restrict(&[MEDIAN_AND_TAIL.to_owned()]);
    }
    live
}

/// Takes in the history up to `end`, and forecasts what comes.
fn outlook(
    live: &mut LiveSeries,
    history: &ServiceHistory,
    end: usize,
    around: &Around,
    parts: bool,
) -> Forecast {
    let known = until(history, end);
    let around = around.of(&known, parts);
    live.advance(&known.series(Metric::Latency(P99)), &around);
    live.outlook("cart", &around, at(end), &settings()).unwrap()
}

fn p99(history: &ServiceHistory, step: usize) -> f64 {
    f64::from(history.steps[step].unwrap().latency_ms[P99])
}

/// Mean absolute error of the logarithm over all steps ahead, from each origin.
fn error(
    history: &ServiceHistory,
    origins: std::ops::Range<usize>,
    nights: &[(usize, usize)],
    expert: bool,
) -> f64 {
    let mut live = live(expert);
    let (mut sum, mut count) = (0.0, 0.0);
    for origin in origins {
        let in_sight: Vec<_> = nights.iter().filter(|night| night.0 < origin + HORIZON).copied().collect();
        let made = outlook(&mut live, history, origin, &Around::nightly(&in_sight), expert);
        for (ahead, step) in made.steps.iter().enumerate() {
            sum += (step.point / p99(history, origin + ahead)).ln().abs();
            count += 1.0;
        }
    }
    sum / count
}

#[test]
fn an_event_that_slows_all_requests_or_the_tail_alone_is_known_ahead_and_leaves_no_trace() {
    // Not at the same time of each day, or the season would know it too.
    let nights = [(80, 100), (190, 210), (330, 350), (425, 445), (570, 590), (655, 675)];
    let within = |step: usize| nights.iter().any(|(first, end)| (*first..*end).contains(&step));
    for (name, of_all, of_tail) in
        [("all requests", 1.8, 1.0), ("the tail alone", 1.0, 1.8), ("both", 1.4, 1.3)]
    {
        let history = history(700, |step| if within(step) { (50.0 * of_all, of_tail) } else { (50.0, 1.0) });
        // Before, during and for some hours after the last two.
        let origins = 560..680;
        let (expert, raw) =
            (error(&history, origins.clone(), &nights, true), error(&history, origins, &nights, false));
        assert!(expert < 0.04 && expert < 1.3 * raw + 0.005, "{name}: {expert} against {raw}");
    }
}

#[test]
fn a_move_starts_both_parts_anew_although_the_window_holds_the_old_place() {
    const MOVED: usize = 4 * DAY;
    // At the old place slow, with a long tail.
    let history = history(MOVED + 40, |step| if step < MOVED { (90.0, 3.0) } else { (30.0, 1.0) });
    let around = Around { moves: vec![Excluded { from: at(MOVED - 3), to: at(MOVED) }], ..Around::nothing() };
    let mut live = live(true);
    outlook(&mut live, &history, MOVED - 3, &Around::nothing(), true);
    for after in 1..40 {
        let made = outlook(&mut live, &history, MOVED + after, &around, true);
        let off = (made.steps[0].point / p99(&history, MOVED + after - 1)).ln().abs();
        assert!(off < 0.15, "{after} steps after the move it is off by {off}");
        assert!(!live.forecaster().fell_back(), "{after} steps after the move");
    }
}

#[test]
fn it_is_named_among_the_models_with_its_weight() {
    let history = history(3 * DAY, |step| (50.0 + 20.0 * noise(step / 7 + 900), 1.0));
    for with_parts in [true, false] {
        let mut live = LiveSeries::new(settings().shape(Step::MINUTE), at(0), None);
        let made = outlook(&mut live, &history, 3 * DAY, &Around::nothing(), with_parts);
        let weight: f64 =
            made.parts.iter().filter(|part| part.model == MEDIAN_AND_TAIL).map(|part| part.weight).sum();
        assert_eq!(weight > 0.0, with_parts, "{:?}", made.parts);
        assert_eq!(live.has(MEDIAN_AND_TAIL), with_parts);
        assert_eq!(live.forecaster().failures(), 0);
    }
}

#[test]
fn in_one_go_and_step_by_step_give_the_same_and_a_long_silence_is_survived() {
    let mut history = history(3 * DAY, |step| (50.0 + 20.0 * noise(step / 7 + 900), 1.0));
    for (name, silent) in [("none", 0..0), ("short", 200..204), ("long", 100..3 * DAY - 6)] {
        history.steps[silent].fill(None);
        let around = Around::nothing();
        let (mut once, mut steps) = (live(true), live(true));
        for end in 1..3 * DAY {
            let known = until(&history, end);
            steps.advance(&known.series(Metric::Latency(P99)), &around.of(&known, true));
        }
        let one = outlook(&mut once, &history, 3 * DAY, &around, true);
        assert_eq!(one, outlook(&mut steps, &history, 3 * DAY, &around, true), "{name}");
        assert!(!once.forecaster().fell_back(), "{name}");
    }
}

#[test]
fn parts_add_up_to_the_cleaned_quantile_where_the_window_is_mixed_and_are_gaps_where_nothing_is_known() {
    let mut history = history(12, |step| if step < 9 { (50.0, 1.0) } else { (150.0, 2.0) });
    history.steps[3] = None;
    let latency = UpperQuantile { history: &history, at: P99, window: WINDOW };
    let quantile = |step: usize, cleaned: f64, mixed: bool| {
        let measured =
            history.steps.get(step).and_then(Option::as_ref).map_or(f64::NAN, |_| p99(&history, step));
        latency.parts(&Quantile { start: at(step), measured, cleaned: measured * cleaned, mixed })
    };
    let [log_median, log_ratio] = quantile(10, 0.5, true);
    assert!((log_median + log_ratio - (0.5 * p99(&history, 10)).ln()).abs() < 1e-9);
    let [_, of_window] = quantile(10, 0.5, false);
    assert!(of_window > log_ratio + 0.2, "merged with faster steps: {of_window} against {log_ratio}");
    for (name, step, cleaned) in
        [("a gap", 3, 1.0), ("before the history", 99, 1.0), ("no number left", 5, 0.0)]
    {
        assert!(quantile(step, cleaned, false).iter().all(|part| part.is_nan()), "{name}");
    }
}
