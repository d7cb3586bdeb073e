use super::*;
use crate::calendar::ExpectedEffect;
use proptest::prelude::*;

const STEP: Step = Step::MINUTE;
const DAY: usize = 1_440;

/// What an event makes of a value in one of its steps.
type Change = fn(f64, usize) -> f64;

fn at(step: usize) -> Timestamp {
    Timestamp::from_unix_ms(STEP.times(step))
}

fn event(tag: &str, first: usize, end: usize) -> Occurrence {
    Occurrence {
        event: tag.to_owned(),
        tags: vec![tag.to_owned()],
        start: at(first),
        end: at(end),
        expected: None,
    }
}

/// Noise from -1 to 1 that is the same each time.
fn noise(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed >> 40) as f64 / f64::from(1 << 24)) * 2.0 - 1.0
}

/// A day that rises to the evening and falls, around 100, and noise of 2.
fn daily(steps: usize) -> Vec<f64> {
    let value = |index: usize| {
        100.0 - 40.0 * (std::f64::consts::TAU * (index % DAY) as f64 / DAY as f64).cos() + 2.0 * noise(index)
    };
    (0..steps).map(value).collect()
}

fn learn_all(values: &[f64], occurrences: &[Occurrence]) -> Effects {
    learn("throughput_rps", values, at(0), STEP, Some(DAY), occurrences, &Priors::default())
}

/// Mean effect over the steps of an occurrence, on a value of 100.
fn effect_in(effects: &Effects, first: usize, end: usize) -> f64 {
    (first..end).map(|step| effects.add_back(at(step), 100.0) - 100.0).sum::<f64>() / (end - first) as f64
}

#[test]
fn a_nightly_backup_is_expected_before_the_third_night_and_a_cancelled_one_is_not() {
    // Two nights and a bit: no season can be known, and the backup is at the same time each night.
    let mut values: Vec<f64> = (0..2 * DAY + 60).map(|index| 50.0 + noise(index)).collect();
    let night = |nth: usize| (nth * DAY + 150, nth * DAY + 180);
    for nth in 0..2 {
        values[night(nth).0..night(nth).1].iter_mut().for_each(|value| *value += 30.0);
    }
    let nights: Vec<Occurrence> = (0..4).map(|nth| event("backup", night(nth).0, night(nth).1)).collect();
    let effects = learn_all(&values, &nights);
    let third = effect_in(&effects, night(2).0, night(2).1);
    assert!((third - 30.0).abs() < 2.0, "the third night is expected to be higher by {third}");
    assert!((effect_in(&effects, night(2).1, night(2).1 + 30)).abs() < 1e-9, "nothing after it");

    let without_third = [nights[0].clone(), nights[1].clone(), nights[3].clone()];
    let effects = learn_all(&values, &without_third);
    assert!(effect_in(&effects, night(2).0, night(2).1).abs() < 1e-9, "the third night is cancelled");
    assert!((effect_in(&effects, night(3).0, night(3).1) - 30.0).abs() < 2.0, "the fourth is not");

    // A past night on which it was cancelled would have taught that it does nothing.
    values[night(1).0..night(1).1].iter_mut().for_each(|value| *value -= 30.0);
    let effects = learn_all(&values, &[nights[0].clone(), nights[2].clone()]);
    assert!((effect_in(&effects, night(2).0, night(2).1) - 30.0).abs() < 3.0);

    // What is left of the nights has no backup in it.
    let mut rest = values.clone();
    effects.subtract(&mut rest, at(0));
    assert!(rest[..DAY].iter().all(|value| (value - 50.0).abs() < 5.0));
}

#[test]
fn the_way_is_the_one_that_predicts_best() {
    // The events move through the day, so that the level under them goes from 60 to 140.
    let starts = [30, DAY + 700, 2 * DAY + 350, 3 * DAY + 1_050, 4 * DAY + 500, 5 * DAY + 900, 6 * DAY + 200];
    let next = 7 * DAY + 720;
    let cases: [(&str, Change, EffectKind, f64); 3] = [
        ("additive", |value, _| value + 40.0, EffectKind::Additive, 40.0),
        ("factor", |value, _| value * 1.8, EffectKind::Factor, 80.0),
        ("ramp", |value, step| value + 6.0 * step.min(10) as f64, EffectKind::Additive, 49.0),
    ];
    for (name, change, kind, want) in cases {
        let mut values = daily(7 * DAY + 600);
        for start in starts {
            for step in 0..30 {
                values[start + step] = change(values[start + step], step);
            }
        }
        let mut occurrences: Vec<Occurrence> =
            starts.iter().map(|start| event(name, *start, start + 30)).collect();
        occurrences.push(event(name, next, next + 30));
        let effects = learn_all(&values, &occurrences);
        let tag = &effects.tags()[name];
        assert_eq!((tag.kind, tag.occurrences, tag.source), (kind, 7, EffectSource::Learned), "{name}");
        assert_eq!(tag.phases.len() > 3, name == "ramp", "{name} has {} phases", tag.phases.len());
        let size = effect_in(&effects, next, next + 30);
        assert!((size - want).abs() < 0.06 * want, "{name}: {size} instead of {want}");
    }
}

#[test]
fn a_series_that_is_zero_now_and_then_has_a_factor_too() {
    let starts = [30, DAY + 700, 2 * DAY + 350, 3 * DAY + 1_050, 4 * DAY + 500];
    let next = 5 * DAY + 720;
    let mut values = daily(5 * DAY + 600);
    for start in starts {
        values[start..start + 30].iter_mut().for_each(|value| *value *= 1.8);
    }
    values.iter_mut().step_by(97).for_each(|value| *value = 0.0);
    let mut occurrences: Vec<Occurrence> =
        starts.iter().map(|start| event("sale", *start, start + 30)).collect();
    occurrences.push(event("sale", next, next + 30));
    let effects = learn_all(&values, &occurrences);
    assert_eq!(effects.tags()["sale"].kind, EffectKind::Factor);
    let size = effect_in(&effects, next, next + 30);
    assert!((size - 80.0).abs() < 5.0, "{size}");

    // One that can be negative has none.
    values[500] = -1.0;
    assert_eq!(learn_all(&values, &occurrences).tags()["sale"].kind, EffectKind::Additive);
}

#[test]
fn bursts_within_an_occurrence_are_not_its_effect() {
    // One step in six is a burst, within events and elsewhere; the line around knows the usual level only.
    let burst = |index: usize| if index.is_multiple_of(6) { 60.0 } else { 0.0 };
    let mut values: Vec<f64> = (0..4 * DAY).map(|index| 50.0 + noise(index) + burst(index)).collect();
    let starts = [200, DAY + 500, 2 * DAY + 900, 3 * DAY + 300];
    for start in starts {
        values[start..start + 24].iter_mut().for_each(|value| *value += 20.0);
    }
    let occurrences: Vec<Occurrence> =
        starts.iter().map(|start| event("backup", *start, start + 24)).collect();
    let effects = learn_all(&values, &occurrences);
    let mean = effects.tags()["backup"].mean();
    assert!((mean - 20.0).abs() < 3.0, "a mean would say 30, it says {mean}");
}

#[test]
fn the_season_is_not_taken_for_an_event() {
    // Two hours in the morning slope and at the peak, on which the event does nothing at all.
    let values = daily(6 * DAY);
    for (name, slot) in [("slope", 300), ("peak", 660)] {
        let occurrences: Vec<Occurrence> =
            [1, 4, 6].map(|day| event(name, day * DAY + slot, day * DAY + slot + 120)).into();
        let size = effect_in(&learn_all(&values, &occurrences), 6 * DAY + slot, 6 * DAY + slot + 120);
        assert!(size.abs() < 1.5, "{name}: the season bends by up to 5, {size} is left of it");
    }
}

#[test]
fn what_people_expect_counts_until_it_was_seen() {
    let with = |text: &str, first: usize| {
        let expected: ExpectedEffect = text.parse().unwrap();
        Occurrence { expected: Some(expected), ..event("sale", first, first + 30) }
    };
    let mut values = daily(2 * DAY);
    let effects = learn_all(&values, &[with("x1.5", 2 * DAY + 100)]);
    assert_eq!(effects.tags()["sale"].source, EffectSource::Expected);
    assert!((effects.add_back(at(2 * DAY + 110), 80.0) - 120.0).abs() < 1e-9);
    assert_eq!(effects.in_force(at(2 * DAY), at(3 * DAY))[0].effect, "x1.50");
    let band = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    let wide = effects.add_back_band(at(2 * DAY + 110), band);
    assert!(wide.windows(2).all(|pair| pair[0] < pair[1]) && wide[6] - wide[0] > 1.5 * 6.0, "{wide:?}");
    assert!(learn_all(&values, &[with("+5 ms", 2 * DAY + 100)]).is_empty(), "requests are not milliseconds");

    // Three times +20 against an expected +100: it counts as one of four.
    for day in [0, 1] {
        values[day * DAY + 500..day * DAY + 530].iter_mut().for_each(|value| *value += 20.0);
    }
    // On half the level, so that it cannot be taken for a factor.
    values[DAY + 90..DAY + 120].iter_mut().for_each(|value| *value += 20.0);
    let seen = [500, DAY + 500, DAY + 90, 2 * DAY + 100].map(|first| with("+100", first));
    let size = effect_in(&learn_all(&values, &seen), 2 * DAY + 100, 2 * DAY + 130);
    assert!((size - 40.0).abs() < 3.0, "{size}");
}

#[test]
fn like_services_count_like_three_occurrences() {
    let mut values = daily(DAY);
    values[500..530].iter_mut().for_each(|value| *value *= 2.0);
    let teacher = learn_all(&values, &[event("sale", 500, 530)]);
    let priors = Priors::of([&teacher]);
    let plain = daily(DAY);
    let learnt = |values: &[f64], occurrences: &[Occurrence]| {
        learn("throughput_rps", values, at(0), STEP, Some(DAY), occurrences, &priors)
    };
    let unseen = learnt(&plain, &[event("sale", DAY + 10, DAY + 40)]);
    assert_eq!(unseen.tags()["sale"].source, EffectSource::LikeServices);
    assert!((unseen.add_back(at(DAY + 20), 100.0) - 200.0).abs() < 12.0);
    // Once seen without any effect: a quarter of nothing, three quarters of the doubling, on a logarithmic scale.
    let once = learnt(&plain, &[event("sale", 500, 530), event("sale", DAY + 10, DAY + 40)]);
    let factor = once.add_back(at(DAY + 20), 100.0) / 100.0;
    assert!((factor - 2_f64.powf(0.75)).abs() < 0.1, "{factor}");
}

#[test]
fn events_that_overlap_are_told_apart() {
    let mut values: Vec<f64> = (0..3 * DAY).map(|index| 100.0 + noise(index)).collect();
    let mut occurrences = Vec::new();
    for (tag, size, starts) in
        [("a", 30.0, [200, DAY + 200, 2 * DAY + 200]), ("b", 50.0, [220, DAY + 600, 2 * DAY + 900])]
    {
        for start in starts {
            values[start..start + 40].iter_mut().for_each(|value| *value += size);
            occurrences.push(event(tag, start, start + 40));
        }
    }
    let effects = learn_all(&values, &occurrences);
    assert!((effects.tags()["a"].mean() - 30.0).abs() < 3.0, "{:?}", effects.tags());
    assert!((effects.tags()["b"].mean() - 50.0).abs() < 3.0, "{:?}", effects.tags());
    let mut rest = values.clone();
    effects.subtract(&mut rest, at(0));
    assert!(rest.iter().all(|value| (value - 100.0).abs() < 8.0));
}

#[test]
fn an_event_shorter_than_a_step_has_its_part_of_it() {
    let step = Step::from_ms(600_000).unwrap();
    let start = Timestamp::from_unix_ms(0);
    let ms = |steps: f64| start.plus_ms((steps * 600_000.0) as i64);
    let short = |from: f64, to: f64| Occurrence { start: ms(from), end: ms(to), ..event("short", 0, 1) };
    let mut values: Vec<f64> = (0..300).map(|index| 10.0 + 0.1 * noise(index)).collect();
    for index in [50, 120, 200] {
        values[index] += 6.0;
    }
    let occurrences = [short(50.0, 50.5), short(120.2, 120.7), short(200.4, 200.9), short(310.75, 311.25)];
    let effects = learn("latency_p99_ms", &values, start, step, None, &occurrences, &Priors::default());
    let added = |index: f64| effects.add_back(ms(index), 10.0) - 10.0;
    assert!(
        (added(310.0) - 3.0).abs() < 0.3 && (added(311.0) - 3.0).abs() < 0.3,
        "{} {}",
        added(310.0),
        added(311.0)
    );
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3_f64,
        1 => proptest::sample::select(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300, -1e300, 1e-300][..]),
    ]
}

fn any_occurrence() -> impl Strategy<Value = Occurrence> {
    let effect =
        proptest::option::of(proptest::sample::select(&["x1.8", "x0.001", "+200", "-5 rps", "+1 ms"][..]));
    (0..3_u8, -20_000_000..20_000_000_i64, 1..5_000_000_i64, effect).prop_map(
        |(tag, start, length, effect)| Occurrence {
            event: format!("event {tag}"),
            tags: vec![format!("tag {tag}")],
            start: Timestamp::from_unix_ms(start),
            end: Timestamp::from_unix_ms(start + length),
            expected: effect.map(|text| text.parse().unwrap()),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_subtracted_is_added_back(
        values in proptest::collection::vec(10.0..1e4_f64, 1..300),
        occurrences in proptest::collection::vec(any_occurrence(), 0..12),
        season in proptest::option::of(1..100_usize),
    ) {
        let effects = learn("throughput_rps", &values, at(0), STEP, season, &occurrences, &Priors::default());
        let mut rest = values.clone();
        effects.subtract(&mut rest, at(0));
        for (index, (value, rest)) in values.iter().zip(&rest).enumerate() {
            let back = effects.add_back(at(index), *rest);
            prop_assert!((back - value).abs() <= 1e-9 * (value.abs() + effects.add_back(at(index), 0.0).abs() + 1.0), "{} instead of {}", back, value);
        }
    }

    #[test]
    fn any_values_give_effects_that_are_numbers(
        values in proptest::collection::vec(any_value(), 0..200),
        occurrences in proptest::collection::vec(any_occurrence(), 0..12),
        season in proptest::option::of(0..100_usize),
    ) {
        let effects = learn("throughput_rps", &values, at(0), STEP, season, &occurrences, &Priors::default());
        for effect in effects.tags().values() {
            prop_assert!(effect.phases.iter().all(|phase| phase.is_finite()) && effect.spread.is_finite(), "{:?}", effect);
        }
        for step in 0..220 {
            let band = effects.add_back_band(at(step), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
            prop_assert!(band.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", band);
        }
        let mut rest = values.clone();
        effects.subtract(&mut rest, at(0));
        let listed = effects.in_force(at(0), at(200));
        prop_assert!(listed.windows(2).all(|pair| pair[0].start <= pair[1].start));
    }
}
