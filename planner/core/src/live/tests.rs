//! A "day" has 120 steps of a minute here, so that three of them are soon over.
use super::{judged::Judged, *};
use crate::{covariate::Future, forecast::LEVELS};
use proptest::prelude::*;

const DAY: usize = 120;
const HORIZON: usize = 30;
const NAN: f64 = f64::NAN;

pub(super) fn at(step: usize) -> Timestamp {
    Timestamp::from_unix_ms(1_763_985_600_000).plus_ms(Step::MINUTE.times(step))
}

fn settings() -> ForecastSettings {
    ForecastSettings::new(HORIZON, Some(DAY), 10 * 60_000)
}

fn shape() -> Shape {
    Shape { horizon: HORIZON + 4, ..settings().shape(Step::MINUTE) }
}

/// Noise from -1 to 1, the same for the same step.
pub(super) fn noise(step: usize) -> f64 {
    let mut bits = (step as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn backup(first: usize, end: usize) -> Occurrence {
    let tags = vec!["backup".to_owned()];
    Occurrence { event: "nightly".to_owned(), tags, start: at(first), end: at(end), expected: None }
}

/// What is known around, owned.
#[derive(Clone, Default)]
struct Around {
    occurrences: Vec<Occurrence>,
    moves: Vec<Excluded>,
    priors: Priors,
}

impl Around {
    fn events(occurrences: &[(usize, usize)]) -> Self {
        let occurrences = occurrences.iter().map(|(first, end)| backup(*first, *end)).collect();
        Self { occurrences, ..Self::default() }
    }

    fn moving(from: usize, to: Option<usize>) -> Self {
        let to = to.map_or(Timestamp::from_unix_ms(i64::MAX), at);
        Self { moves: vec![Excluded { from: at(from), to }], ..Self::default() }
    }

    fn as_known(&self) -> Surroundings<'_> {
        Surroundings {
            metric: "latency_p99_ms",
            occurrences: &self.occurrences,
            priors: &self.priors,
            moves: &self.moves,
            regressors: &[],
            parts: None,
        }
    }
}

/// A series that is fed step by step, of which so many steps are kept.
struct Fed {
    live: LiveSeries,
    values: Vec<f64>,
    kept: usize,
}

impl Fed {
    fn new() -> Self {
        Self { live: LiveSeries::new(shape(), at(0), None), values: Vec::new(), kept: 20 * DAY }
    }

    fn series(&self) -> Series {
        let first = self.values.len().saturating_sub(self.kept);
        Series::new(at(first), Step::MINUTE, self.values[first..].to_vec())
    }

    /// Takes in values until there are so many, one after the other, and asks for a forecast each time.
    fn to(&mut self, end: usize, value: impl Fn(usize) -> f64, around: &Around) {
        for step in self.values.len()..end {
            self.values.push(value(step));
            // What is over for longer than anything is kept is not told, nor what is far away.
            let (first, far) = (at(self.values.len().saturating_sub(self.kept)), at(step + 1 + HORIZON + 4));
            let near = |one: &Occurrence| one.end > first && one.start < far;
            let occurrences = around.occurrences.iter().filter(|one| near(one)).cloned().collect();
            let seen = Around { occurrences, ..around.clone() };
            self.live.advance(&self.series(), &seen.as_known());
            let _ = self.outlook(&seen);
        }
    }

    fn outlook(&mut self, around: &Around) -> Result<Forecast, ForecastError> {
        self.live.outlook("cart", &around.as_known(), at(self.values.len()), &settings())
    }
}

fn within(value: f64, first: usize, end: usize, events: &[(usize, usize)], factor: f64) -> f64 {
    debug_assert!(first <= end);
    if events.iter().any(|(from, to)| (*from..*to).contains(&first)) { value * factor } else { value }
}

/// 100 with a little noise, and so many times as much during events.
fn busy(events: &[(usize, usize)], factor: f64) -> impl Fn(usize) -> f64 + use<'_> {
    move |step| within(100.0 + 2.0 * noise(step), step, step, events, factor)
}

/// Mean point of the forecast over the steps from `first` to `end`.
fn mean(forecast: &Forecast, first: usize, end: usize) -> f64 {
    let points: Vec<f64> = forecast
        .steps
        .iter()
        .filter(|step| (at(first)..at(end)).contains(&step.at))
        .map(|step| step.point)
        .collect();
    assert_eq!(points.len(), end - first, "the forecast covers {first} to {end}");
    points.iter().sum::<f64>() / points.len() as f64
}

#[test]
fn a_nightly_event_raises_the_forecast_before_the_third_and_a_cancelled_one_does_not() {
    const NIGHTS: [(usize, usize); 3] = [(80, 100), (200, 220), (320, 340)];
    for (name, known, least, most) in [
        ("the third takes place", &NIGHTS[..], 170.0, 190.0),
        ("the third is cancelled", &NIGHTS[..2], 95.0, 108.0),
    ] {
        let mut fed = Fed::new();
        let all = Around::events(known);
        fed.to(315, busy(&NIGHTS[..2], 1.8), &all);
        let forecast = fed.outlook(&all).unwrap();
        let said = mean(&forecast, 321, 339);
        assert!((least..=most).contains(&said), "{name}: {said}");
        let before = mean(&forecast, 315, 320);
        assert!((95.0..=106.0).contains(&before), "{name}, before it: {before}");
        let in_force = fed.live.in_force(at(315), at(345));
        assert_eq!(in_force.len(), known.len() - 2, "{name}");
        if let Some(event) = in_force.first() {
            assert_eq!((event.event.as_str(), event.occurrences), ("nightly", 2));
        }
    }
}

#[test]
fn an_event_whose_time_moves_is_not_taken_for_season() {
    let nights = [(20, 40), (190, 210), (270, 290), (450, 470), (505, 525), (615, 635)];
    let mut fed = Fed::new();
    let all = Around::events(&nights);
    // The last one is in sight, but not yet there.
    fed.to(610, busy(&nights[..5], 1.8), &all);
    let forecast = fed.outlook(&all).unwrap();
    let (during, after) = (mean(&forecast, 616, 634), mean(&forecast, 636, 640));
    assert!((165.0..=195.0).contains(&during), "during it {during}");
    assert!((92.0..=110.0).contains(&after), "after it {after}");
    // One day after an earlier one.
    let mut unaware = Fed::new();
    let none = Around::default();
    unaware.to(610, busy(&nights[..5], 1.8), &none);
    let unaware = mean(&unaware.outlook(&none).unwrap(), 616, 634);
    assert!(unaware < 150.0, "without the calendar nothing can know of it: {unaware}");
}

#[test]
fn occurrences_that_come_into_sight_or_leave_the_history_rebuild_nothing() {
    let nights: Vec<(usize, usize)> = (0..8).map(|day| (day * DAY + 80, day * DAY + 100)).collect();
    let mut fed = Fed::new();
    fed.kept = 3 * DAY;
    let mut rebuilt = Vec::new();
    for step in 1..8 * DAY {
        let before = fed.live.forecaster().observed();
        fed.to(step, busy(&nights, 1.5), &Around::events(&nights));
        if fed.live.forecaster().observed() <= before {
            rebuilt.push(step);
        }
    }
    // After a rebuild there are as many values as are kept, which the first two nights are before.
    assert!(rebuilt.iter().all(|step| step % DAY == 100), "only when an event ends: {rebuilt:?}");
    assert!(rebuilt.len() >= 4, "{rebuilt:?}");
}

#[test]
fn what_an_event_did_is_known_after_it_left_the_history_and_after_a_move() {
    let (first, second) = ((60, 90), (10 * DAY, 10 * DAY + 30));
    for (name, moves) in [("a long time ago", vec![]), ("at another place", vec![(9 * DAY, 9 * DAY + 5)])] {
        let mut fed = Fed::new();
        fed.kept = 3 * DAY;
        let mut all = Around::events(&[first, (200, 230), second]);
        all.moves = moves.iter().map(|(from, to)| Excluded { from: at(*from), to: at(*to) }).collect();
        fed.to(9 * DAY + 2, busy(&[first, (200, 230)], 2.0), &Around { moves: vec![], ..all.clone() });
        fed.to(10 * DAY - 5, busy(&[first], 2.0), &all);
        let forecast = fed.outlook(&all).unwrap();
        let said = mean(&forecast, 10 * DAY + 1, 10 * DAY + 24);
        assert!((160.0..=230.0).contains(&said), "{name}: {said}");
    }
}

#[test]
fn a_season_that_is_taken_over_is_one_of_the_same_time_of_day() {
    let value = |step: usize| if (60..80).contains(&(step % DAY)) { 200.0 } else { 100.0 } + noise(step);
    let none = Around::default();
    let mut known = Fed::new();
    known.values = (0..8 * DAY + 45).map(value).collect();
    known.live.advance(&known.series(), &none.as_known());
    // Begun at another time of day than the other one, and asked five values later.
    let first = 8 * DAY + 45;
    let mut new = LiveSeries::new(shape(), at(first), Some(&known.live));
    let series = Series::new(at(first), Step::MINUTE, (first..first + 5).map(value).collect());
    new.advance(&series, &none.as_known());
    let forecast = new.outlook("cart", &none.as_known(), at(first + 5), &settings()).unwrap();
    let (before, peak) = (mean(&forecast, first + 6, first + 14), mean(&forecast, first + 17, first + 33));
    assert!(peak > before + 40.0, "{before} before the peak, {peak} at it");
}

#[test]
fn what_a_series_did_itself_is_no_news_from_like_ones() {
    let effects = |factor: f64| {
        let nights = [(80, 100), (200, 220)];
        let mut fed = Fed::new();
        fed.to(230, busy(&nights, factor), &Around::events(&nights));
        fed.live.effects().unwrap().clone()
    };
    let (own, other) = (effects(1.5), effects(3.0));
    let log = |priors: &Priors| priors.get("backup").map(f64::exp);
    let near = |found: Option<f64>, want: f64| found.is_some_and(|found| (found / want - 1.0).abs() < 0.1);
    let both = Priors::of([&own, &other]);
    assert!(near(log(&both), (1.5f64 * 3.0).sqrt()), "{:?}", log(&both));
    assert!(near(log(&both.without(&own)), 3.0), "{:?}", log(&both.without(&own)));
    assert_eq!(Priors::of([&own]).without(&own), Priors::default());
    assert_eq!(both.clone().only(|tag| tag != "backup"), Priors::default());
    assert!(near(log(&Priors::of([&own]).or(&both)), 1.5), "the own knowledge comes first");
}

#[test]
fn an_event_called_off_when_it_was_over_is_learnt_from_no_more() {
    let mut fed = Fed::new();
    let all = Around::events(&[(80, 100), (200, 220), (320, 340)]);
    fed.to(230, busy(&[(80, 100), (200, 220)], 1.8), &all);
    assert!(!fed.live.effects().unwrap().is_empty());
    let none = Around::default();
    fed.to(231, busy(&[], 1.0), &none);
    assert!(fed.live.effects().is_none_or(Effects::is_empty), "{:?}", fed.live.effects());
    assert_eq!(fed.live.forecaster().observed(), 231, "all values count again");
}

#[test]
fn a_move_makes_forecasts_possible_again_within_three_steps_with_bands_that_cover() {
    let value = |step: usize| if step < 300 { 100.0 + 10.0 * noise(step) } else { 40.0 + 4.0 * noise(step) };
    let mut fed = Fed::new();
    fed.to(300, value, &Around::default());
    fed.to(305, value, &Around::moving(300, None));
    assert_eq!(fed.live.forecaster().range().map(|(low, _)| low > 80.0), Some(true), "not learnt from");
    let (mut inside, mut all) = (0, 0);
    for end in 306..=420 {
        let moved = Around::moving(300, Some(305));
        fed.to(end, value, &moved);
        let Ok(forecast) = fed.outlook(&moved) else {
            assert!(end < 308, "no forecast after {} steps", end - 305);
            continue;
        };
        for (index, said) in forecast.steps.iter().enumerate() {
            let actual = value(end + index);
            inside += usize::from((said.quantiles[1]..=said.quantiles[5]).contains(&actual));
            all += 1;
        }
    }
    let coverage = f64::from(inside as u32) / f64::from(all as u32);
    assert!((0.65..=0.97).contains(&coverage), "the 80 % band covers {coverage}");
}

#[test]
fn a_finished_move_counts_also_while_the_next_one_goes_on() {
    let mut around = Around::moving(100, Some(110));
    around.moves.push(Excluded { from: at(200), to: Timestamp::from_unix_ms(i64::MAX) });
    let value = |step: usize| if step < 110 { 500.0 } else { 50.0 + noise(step) };
    let mut fed = Fed::new();
    fed.values = (0..205).map(value).collect();
    fed.live.advance(&fed.series(), &around.as_known());
    let forecast = fed.outlook(&around).unwrap();
    let highest = forecast.steps.iter().map(|step| step.quantiles[6]).fold(0.0, f64::max);
    assert!(highest < 100.0, "the old place is forgotten: {highest}");
}

#[test]
fn values_that_come_late_are_awaited() {
    for (name, late, possible) in [("three steps", 3, true), ("four steps", 4, false)] {
        let value = |step: usize| 100.0 + noise(step);
        let mut live = LiveSeries::new(shape(), at(0), None);
        let none = Around::default();
        for end in 1..=200 {
            let values = (0..end).map(|step| if step + late < end { value(step) } else { NAN }).collect();
            live.advance(&Series::new(at(0), Step::MINUTE, values), &none.as_known());
        }
        let outlook = live.outlook("cart", &none.as_known(), at(200), &settings());
        assert_eq!(outlook.is_ok(), possible, "{name}: {outlook:?}");
        if let Ok(forecast) = outlook {
            assert_eq!((forecast.steps[0].at, forecast.steps.len()), (at(200), HORIZON), "{name}");
            assert_eq!(forecast.data_age_ms, 180_000, "{name}");
            assert_eq!(live.forecaster().observed(), 197, "{name}");
        }
    }
}

#[test]
fn a_clock_that_was_wrong_does_not_silence_a_series() {
    let none = Around::default();
    for (name, ahead) in [("a step", 1), ("an hour", 60), ("five years", 5 * 365 * 1440)] {
        let mut fed = Fed::new();
        fed.to(200, |step| 100.0 + noise(step), &none);
        let future = Series::new(at(200 + ahead - 10), Step::MINUTE, vec![NAN; 10]);
        fed.live.advance(&future, &none.as_known());
        fed.to(280, |step| 100.0 + noise(step), &none);
        let forecast = fed.outlook(&none).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((forecast.steps[0].point - 100.0).abs() < 5.0, "{name}: {forecast:?}");
        assert_eq!(forecast.steps[0].at, at(280), "{name}");
    }
}

#[test]
fn a_gap_longer_than_the_history_is_survived() {
    let none = Around::default();
    let mut fed = Fed::new();
    fed.kept = 2 * DAY;
    fed.to(200, |step| 100.0 + noise(step), &none);
    fed.to(600, |_| NAN, &none);
    assert!(matches!(fed.outlook(&none), Err(ForecastError::Stale { .. })), "{:?}", fed.outlook(&none));
    fed.to(610, |step| 30.0 + noise(step), &none);
    let forecast = fed.outlook(&none).unwrap();
    assert!((forecast.steps[0].point - 30.0).abs() < 10.0, "{:?}", forecast.steps[0]);
}

/// The forecast of a series that follows `follows`, with a regressor that jumps in the horizon.
fn with_regressor(theirs: &[f64], future: &[f64], slope: f64) -> (Forecast, usize) {
    let count = theirs.len();
    let values = (0..count).map(|step| 100.0 + noise(step) + slope * theirs[step]).collect();
    let regressors = [(Regressor { name: "spend", values: theirs }, Future::Known(future))];
    let none = Around::default();
    let known = Surroundings { regressors: &regressors, ..none.as_known() };
    let mut live = LiveSeries::new(shape(), at(0), None);
    live.advance(&Series::new(at(0), Step::MINUTE, values), &known);
    let forecast = live.outlook("cart", &known, at(count), &settings()).unwrap();
    (forecast, live.regressors().effects().len())
}

#[test]
fn a_regressor_with_known_future_changes_the_forecast_and_a_useless_one_nothing() {
    // A plan that changes each hour.
    let theirs: Vec<f64> = (0..5 * DAY).map(|step| 10.0 * (1.0 + noise(step / 60 + 7_000))).collect();
    let jump: Vec<f64> = (0..HORIZON + 4).map(|step| if step < 10 { 5.0 } else { 20.0 }).collect();
    let level: Vec<f64> = vec![5.0; HORIZON + 4];
    let ((high, one), (low, _)) = (with_regressor(&theirs, &jump, 3.0), with_regressor(&theirs, &level, 3.0));
    assert_eq!(one, 1, "it has an effect");
    let by = mean(&high, 5 * DAY + 10, 5 * DAY + 30) - mean(&low, 5 * DAY + 10, 5 * DAY + 30);
    assert!((35.0..=55.0).contains(&by), "15 more of it, at 3 each: {by}");
    let before = mean(&high, 5 * DAY, 5 * DAY + 10) - mean(&low, 5 * DAY, 5 * DAY + 10);
    assert!(before.abs() < 1e-6, "not before it jumps: {before}");
    let ((with, none), (without, _)) =
        (with_regressor(&theirs, &jump, 0.0), with_regressor(&theirs, &level, 0.0));
    assert_eq!((none, with), (0, without), "a useless one changes nothing");
}

#[test]
fn a_regressor_is_read_at_the_right_step_while_the_newest_value_is_awaited() {
    let theirs: Vec<f64> = (0..5 * DAY).map(|step| 10.0 * (1.0 + noise(step / 60 + 7_000))).collect();
    let jump: Vec<f64> = (0..HORIZON + 4).map(|step| if step < 10 { 5.0 } else { 20.0 }).collect();
    let regressors = [(Regressor { name: "spend", values: &theirs }, Future::Known(&jump))];
    let none = Around::default();
    let known = Surroundings { regressors: &regressors, ..none.as_known() };
    let mut values: Vec<f64> =
        (0..theirs.len()).map(|step| 100.0 + noise(step) + 3.0 * theirs[step]).collect();
    let count = values.len();
    values[count - 2..].fill(NAN);
    let mut live = LiveSeries::new(shape(), at(0), None);
    live.advance(&Series::new(at(0), Step::MINUTE, values), &known);
    let forecast = live.outlook("cart", &known, at(count), &settings()).unwrap();
    let jumps = forecast.steps.windows(2).position(|two| two[1].point - two[0].point > 30.0);
    assert_eq!(jumps, Some(9), "it jumps at the tenth step after now: {:?}", forecast.steps);
}

#[test]
fn scores_are_right_against_hand_computed_ones() {
    let said = |point: f64, begin: usize| {
        let band = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0].map(|by| point + by);
        let mut forecast = Forecast::of_paths(at(begin), Step::MINUTE, &[vec![point; 3]]);
        for step in &mut forecast.steps {
            (step.point, step.quantiles) = (point, band);
        }
        forecast
    };
    let mut judged = Judged::default();
    judged.observe(at(0), Step::MINUTE, &[10.0]);
    judged.publish(&said(11.0, 1));
    // The same step again counts once.
    judged.publish(&said(50.0, 1));
    judged.observe(at(1), Step::MINUTE, &[12.0]);
    judged.publish(&said(12.0, 2));
    judged.observe(at(2), Step::MINUTE, &[15.0, NAN, 8.0]);
    // Next step: 11 for 12 (after 10), 12 for 15 (after 12); middle: 11 for 15 (after 10), then a gap;
    // end: a gap, then 12 for 8 (after 12).
    let want = [
        Score { count: 2, mae: 2.0, mae_last_value: 2.5, coverage_80: 0.5, below_q90: 0.5 },
        Score { count: 1, mae: 4.0, mae_last_value: 5.0, coverage_80: 0.0, below_q90: 0.0 },
        Score { count: 1, mae: 4.0, mae_last_value: 4.0, coverage_80: 0.0, below_q90: 1.0 },
    ];
    assert_eq!(judged.scores(), &want);
    assert_eq!(want.map(|score| score.relative()), [Some(0.8), Some(0.8), Some(1.0)]);
}

#[test]
fn values_in_force_are_judged_with_the_effect_and_a_move_judges_nothing() {
    let nights = [(80, 100), (200, 220), (320, 340)];
    let mut fed = Fed::new();
    fed.to(345, busy(&nights, 1.8), &Around::events(&nights));
    let before = fed.live.judged().scores()[0];
    assert!(before.count > 300 && before.mae < 10.0, "{before:?}");
    fed.to(348, |_| 9_000.0, &Around::moving(345, None));
    fed.to(352, |_| 9_000.0, &Around::moving(345, Some(348)));
    let after = fed.live.judged().scores()[0];
    assert!(after.mae < 60.0, "what was said at the old place is not judged by the new one: {after:?}");
}

/// Values with gaps, impossible ones and jumps.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        8 => 0.0..200.0,
        2 => Just(NAN),
        1 => prop_oneof![Just(f64::INFINITY), Just(-5.0), Just(1e300), Just(-1e300), Just(0.0), Just(1e9)],
    ];
    proptest::collection::vec(value, 1..260)
}

fn check(forecast: &Forecast) {
    assert!(!forecast.steps.is_empty() && forecast.steps.len() <= HORIZON);
    for step in &forecast.steps {
        let ordered = step.quantiles.windows(2).all(|two| two[0] <= two[1]);
        assert!(ordered && step.quantiles.iter().all(|value| value.is_finite() && *value >= 0.0), "{step:?}");
        assert!(step.point.is_finite(), "{step:?}");
        assert!((step.quantiles[0]..=step.quantiles[LEVELS.len() - 1]).contains(&step.point), "{step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_breaks_it(
        values in values(),
        moves in proptest::collection::vec((0usize..260, 0usize..30, any::<bool>()), 0..3),
        events in proptest::collection::vec((0usize..300, 1usize..60), 0..5),
        kept in 5usize..200,
        back in 0usize..80,
        asked in 0usize..12,
    ) {
        let mut all = Around::events(&events.iter().map(|(from, long)| (*from, from + long)).collect::<Vec<_>>());
        all.moves = moves.iter().map(|(from, long, over)| {
            let to = if *over { at(from + long) } else { Timestamp::from_unix_ms(i64::MAX) };
            Excluded { from: at(*from), to }
        }).collect();
        all.moves.sort_by_key(|moving| (moving.to, moving.from));
        let mut fed = Fed::new();
        fed.kept = kept;
        let cut = values.len() / 2;
        fed.to(cut, |step| values[step], &all);
        // The clock goes back, and on again.
        let earlier = cut.saturating_sub(back);
        fed.values.truncate(earlier);
        fed.to(values.len(), |step| values[step], &all);
        let known = all.as_known();
        if let Ok(forecast) = fed.live.outlook("cart", &known, at(values.len() + asked), &settings()) {
            check(&forecast);
        }
    }

    #[test]
    fn in_one_go_and_step_by_step_give_the_same(values in values()) {
        let none = Around::default();
        // Asking for a forecast refits the models, so it is asked for at the end only.
        let mut steps = Fed::new();
        for value in &values {
            steps.values.push(*value);
            steps.live.advance(&steps.series(), &none.as_known());
        }
        let mut once = Fed::new();
        once.values = values;
        once.live.advance(&once.series(), &none.as_known());
        match (steps.outlook(&none), once.outlook(&none)) {
            (Ok(one), Ok(other)) => {
                check(&one);
                prop_assert_eq!(one, other);
            }
            (one, other) => prop_assert_eq!(one.err(), other.err()),
        }
    }
}

thread_local! {
    /// Values that the echo of this test was shown.
    static SHOWN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Says the newest value, and counts what it is shown.
#[derive(Debug)]
struct Echo(f64);

impl crate::forecast::model::Fitted for Echo {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.0 = value;
        SHOWN.set(SHOWN.get() + 1);
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [crate::forecast::model::Prediction]) {
        out.fill(crate::forecast::model::Prediction { point: self.0, quantiles: None });
    }
}

#[test]
fn what_is_put_off_is_learned_later_and_until_then_all_stays_as_it_was() {
    let nights = [(80, 100), (200, 220)];
    let around = Around::events(&nights);
    let value = busy(&nights, 1.8);
    let series = |end: usize| Series::new(at(0), Step::MINUTE, (0..end).map(&value).collect());
    let (mut at_once, mut later) =
        (LiveSeries::new(shape(), at(0), None), LiveSeries::new(shape(), at(0), None));
    let factor = |live: &LiveSeries| live.effects().map(|effects| effects.tags()["backup"].occurrences);
    for end in 1..=230 {
        at_once.advance(&series(end), &around.as_known());
        later.advance_only(&series(end), &around.as_known());
        assert!(!at_once.relearning_waits());
        // Two events ended in the meantime, and nobody had time.
        assert_eq!(later.relearning_waits(), end >= 100, "at {end}");
        assert_eq!(later.forecaster().observed(), end, "values are taken in all the same");
    }
    // What is known of an event stays; one that was never seen before is learned at once, but without a replay.
    assert_eq!((factor(&at_once), factor(&later)), (Some(2), Some(1)));
    assert!(later.relearning_cost_us() > 0.0);
    later.advance(&series(230), &around.as_known());
    assert!(!later.relearning_waits());
    assert_eq!(factor(&later), Some(2));
    assert_eq!(later.forecaster().observed(), 230);
    let said = |live: &mut LiveSeries| {
        mean(&live.outlook("cart", &around.as_known(), at(230), &settings()).unwrap(), 232, 250)
    };
    let (at_once, later) = (said(&mut at_once), said(&mut later));
    assert!((later / at_once - 1.0).abs() < 0.05, "{later} later, {at_once} at once");
}

#[test]
fn attached_models_outlive_a_replay_with_their_errors() {
    let around = Around::events(&[(200, 220)]);
    let value = busy(&[(200, 220)], 1.8);
    let mut fed = Fed::new();
    fed.to(180, &value, &around);
    fed.live.attach("echo", Box::new(Echo(100.0)));
    let errors = |live: &LiveSeries| {
        let parts = live.forecaster().contributions();
        parts.iter().filter(|part| part.model == "echo").map(|part| part.errors).sum::<usize>()
    };
    fed.to(219, &value, &around);
    let before = errors(&fed.live);
    let known = fed.live.forecaster().observed();
    fed.to(221, &value, &around);
    assert!(fed.live.effects().unwrap().tags()["backup"].occurrences == 1, "it was learned again");
    assert_eq!(fed.live.forecaster().observed(), known + 2, "and replayed");
    assert!(fed.live.has("echo"));
    assert!(before == 0 || errors(&fed.live) > 0, "{before} errors before");
    assert_eq!(SHOWN.get(), 41, "each value once");
}
