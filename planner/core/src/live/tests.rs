#![allow(clippy::float_cmp, reason = "scores are exact")]
use super::*;
use crate::calendar::Priors;

const MINUTE: i64 = 60_000;
const SEASON: usize = 60;

const fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE)
}

fn shape() -> Shape {
    Shape { step: Step::MINUTE, season: Some(SEASON), horizon: 20, lowest: Some(0.0), highest: None }
}

fn series(values: &[f64]) -> Series {
    Series::new(at(0), Step::MINUTE, values.to_vec())
}

/// A day of an hour: a wave around 100, with a little noise that repeats every 7 steps.
fn wave(steps: usize) -> Vec<f64> {
    let phase = |step: usize| (step % SEASON) as f64 / SEASON as f64 * std::f64::consts::TAU;
    (0..steps).map(|step| 100.0 + 20.0 * phase(step).sin() + ((step * 5) % 7) as f64 * 0.3).collect()
}

fn around<'a>(occurrences: &'a [Occurrence], moves: &'a [Excluded], priors: &'a Priors) -> Surroundings<'a> {
    Surroundings { metric: "latency_p99_ms", occurrences, priors, moves, regressors: &[] }
}

fn backup(from: i64, to: i64) -> Occurrence {
    Occurrence { event: "backup".to_owned(), tags: Vec::new(), start: at(from), end: at(to), expected: None }
}

fn settings() -> ForecastSettings {
    ForecastSettings::new(15, Some(SEASON), 5 * MINUTE)
}

fn points(forecast: &Forecast) -> Vec<f64> {
    forecast.steps.iter().map(|step| step.point).collect()
}

#[test]
fn it_makes_no_difference_how_many_steps_come_at_once() {
    let (values, priors) = (wave(240), Priors::default());
    let around = around(&[], &[], &priors);
    let mut at_once = LiveSeries::new(shape(), at(0), None);
    at_once.advance(&series(&values), &around);
    let mut one_by_one = LiveSeries::new(shape(), at(0), None);
    for length in 1..=values.len() {
        one_by_one.advance(&series(&values[..length]), &around);
    }
    let said = |live: &mut LiveSeries| points(&live.outlook("cart", &around, at(240), &settings()).unwrap());
    assert_eq!(said(&mut at_once), said(&mut one_by_one));
}

#[test]
fn the_first_step_is_the_one_that_holds_now_also_when_values_are_late() {
    let (values, priors) = (wave(240), Priors::default());
    let around = around(&[], &[], &priors);
    let mut live = LiveSeries::new(shape(), at(0), None);
    live.advance(&series(&values), &around);
    for late in 0..4 {
        let now = at(240 + late).plus_ms(1_000);
        let forecast = live.outlook("cart", &around, now, &settings()).unwrap();
        assert_eq!(forecast.steps[0].at, at(240 + late), "{late} steps late");
        assert_eq!((forecast.made_at, forecast.data_age_ms), (now, late * MINUTE + 1_000));
        assert!(forecast.steps.len() >= 15, "{late} steps late: {} steps", forecast.steps.len());
    }
    let stale = live.outlook("cart", &around, at(246), &settings());
    assert!(matches!(stale, Err(ForecastError::Stale { .. })), "{stale:?}");
}

#[test]
fn an_event_is_forecast_from_two_occurrences_and_not_when_it_is_called_off() {
    let mut values = wave(240);
    let past = [backup(70, 80), backup(165, 175)];
    for one in &past {
        let (from, to) = (one.start.unix_ms() / MINUTE, one.end.unix_ms() / MINUTE);
        values[from as usize..to as usize].iter_mut().for_each(|value| *value += 200.0);
    }
    let priors = Priors::default();
    let said = |occurrences: &[Occurrence]| {
        let around = around(occurrences, &[], &priors);
        let mut live = LiveSeries::new(shape(), at(0), None);
        // Step by step, so that each occurrence is learned when it ends.
        for length in (1..=values.len()).step_by(5).chain([values.len()]) {
            live.advance(&series(&values[..length]), &around);
        }
        let forecast = live.outlook("cart", &around, at(240), &settings()).unwrap();
        (points(&forecast), live.in_force(at(240), forecast.end()))
    };
    let coming: Vec<Occurrence> = past.iter().cloned().chain([backup(245, 252)]).collect();
    let (raised, in_force) = said(&coming);
    let (called_off, none) = said(&past);
    for minute in 5..12 {
        assert!(
            raised[minute] > called_off[minute] + 140.0,
            "minute {minute}: {raised:?} and {called_off:?}"
        );
    }
    assert!(called_off.iter().all(|value| *value < 140.0), "{called_off:?}");
    assert!((raised[14] - called_off[14]).abs() < 1.0, "after it: {raised:?} and {called_off:?}");
    assert_eq!((in_force.len(), in_force[0].occurrences, none.len()), (1, 2, 0));
}

#[test]
fn after_a_move_it_speaks_again_in_a_few_steps_and_of_the_new_place() {
    let mut values = wave(240);
    values.iter_mut().skip(200).for_each(|value| *value -= 70.0);
    let (priors, moves) = (Priors::default(), [Excluded { from: at(196), to: at(200) }]);
    let (before, after) = (around(&[], &[], &priors), around(&[], &moves, &priors));
    let mut live = LiveSeries::new(shape(), at(0), None);
    live.advance(&series(&values[..196]), &before);
    let moving = [Excluded { from: at(196), to: Timestamp::from_unix_ms(i64::MAX) }];
    live.advance(&series(&values[..199]), &around(&[], &moving, &priors));
    live.advance(&series(&values[..200]), &after);
    let nothing = live.outlook("cart", &after, at(200), &settings());
    assert!(matches!(nothing, Err(ForecastError::NotEnoughHistory { .. })), "{nothing:?}");
    live.advance(&series(&values[..203]), &after);
    let forecast = live.outlook("cart", &after, at(203), &settings()).unwrap();
    for (step, actual) in forecast.steps.iter().take(5).zip(&values[203..]) {
        assert!((step.point - actual).abs() < 25.0, "{step:?}, but it was {actual}");
        assert!(step.quantiles[6] > step.quantiles[0], "a band: {step:?}");
    }
}

#[test]
fn scores_are_those_of_what_was_published() {
    let priors = Priors::default();
    let around = around(&[], &[], &priors);
    let values: Vec<f64> = (0..120).map(|step| if step % 2 == 0 { 10.0 } else { 14.0 }).collect();
    let mut live = LiveSeries::new(shape(), at(0), None);
    live.advance(&series(&values[..100]), &around);
    let forecast = live.outlook("cart", &around, at(100), &settings()).unwrap();
    // The same step is published twice and counts once.
    live.outlook("cart", &around, at(100).plus_ms(1), &settings()).unwrap();
    live.advance(&series(&values), &around);
    let scores = live.judged().scores();
    let end = forecast.steps.len() - 1;
    for (score, index) in scores.iter().zip([0, end / 2, end]) {
        let step = forecast.steps[index];
        let actual = values[100 + index];
        assert_eq!((score.count, score.mae), (1, (actual - step.point).abs()), "step {index}");
        // The newest value was 14.
        assert_eq!(score.mae_last_value, (actual - 14.0).abs(), "step {index}");
        let inside = (step.quantiles[1]..=step.quantiles[5]).contains(&actual);
        assert_eq!(score.coverage_80, f64::from(u8::from(inside)), "step {index}");
    }
}

#[test]
fn an_effect_larger_than_a_value_leaves_nothing_and_no_gap() {
    let mut values = wave(240);
    // The second occurrence is far weaker than the first and the third.
    for (from, value) in [(70, 400.0), (120, 120.0), (165, 400.0)] {
        values[from..from + 10].fill(value);
    }
    let occurrences = [backup(70, 80), backup(120, 130), backup(165, 175)];
    let priors = Priors::default();
    let around = around(&occurrences, &[], &priors);
    let mut live = LiveSeries::new(shape(), at(0), None);
    live.advance(&series(&values), &around);
    assert_eq!(live.forecaster().observed(), 240, "no step is lost");
}
