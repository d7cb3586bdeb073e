use super::{task::draw, *};
use foremesh_core::time::{Step, Timestamp};

const DAY: usize = 288;

/// A day of 5-minute steps, so many of them, with noise that has nothing in common from step to step.
fn measured(id: &str, steps: usize) -> MeasuredSeries {
    let mut random = random::stream(5, id.len() as u64);
    let value = |at: usize| {
        100.0 + 20.0 * (std::f64::consts::TAU * (at % DAY) as f64 / DAY as f64).sin() + 4.0 * random.normal()
    };
    MeasuredSeries {
        id: id.to_owned(),
        kind: "cpu".to_owned(),
        unit: "millicores".to_owned(),
        family: "made_up".to_owned(),
        start: Timestamp::from_unix_ms(1_700_000_100_000),
        step: Step::from_ms(300_000).unwrap(),
        values: (0..steps).map(value).collect(),
    }
}

fn bench() -> EventsBench {
    EventsBench {
        seeds: vec![1],
        tasks: 6,
        noise: 0.0,
        occurrences: None,
        fewest: 3,
        length: 12,
        horizon: 36,
        history: 5_760,
        dump: None,
        threads: 2,
    }
}

#[test]
fn tasks_are_the_same_again_and_events_are_where_they_must_be() {
    let series = [measured("a", 7 * DAY), measured("bb", 8 * DAY), measured("too short", 2 * DAY)];
    let tasks = draw(&series, &bench(), 3);
    assert_eq!(tasks, draw(&series, &bench(), 3));
    assert_ne!(tasks[0].events, draw(&series, &bench(), 4)[0].events);
    assert_eq!(tasks.len(), 6);
    for task in &tasks {
        assert_ne!(task.series_id, "too short", "three events do not fit");
        let expected = task.expected();
        assert!(expected.start >= task.origin && expected.end <= task.origin + 36, "{expected:?}");
        assert!(task.events.len() > 3 && task.events.iter().all(|event| event.len() == 12));
        for pair in task.events.windows(2) {
            // 18 hours are 216 steps.
            assert!((108..=324).contains(&(pair[1].start - pair[0].start)), "{pair:?}");
            assert!(pair[0].end <= task.origin);
        }
        assert!((task.deviation - 17.0).abs() < 5.0, "of a sine of 20 and noise of 4: {}", task.deviation);
        assert!((task.scale - 4.5).abs() < 1.0, "twice the noise, as mean distance: {}", task.scale);
    }
}

#[test]
fn so_many_past_events_as_asked_for() {
    for (asked, want) in [(1, 1), (2, 2), (4, 4)] {
        let bench = EventsBench { occurrences: Some(asked), ..bench() };
        let tasks = draw(&[measured("a", 9 * DAY)], &bench, 1);
        assert!(!tasks.is_empty() && tasks.iter().all(|task| task.events.len() == want + 1), "{asked}");
    }
    let bench = EventsBench { occurrences: Some(50), ..bench() };
    let none = run(&bench, &[measured("a", 9 * DAY)]).unwrap_err().to_string();
    assert!(none.contains("50 events"), "{none}");
}

#[test]
fn series_that_cannot_have_these_events_are_left_out() {
    let fits = measured("a", 7 * DAY);
    let mut negative = fits.clone();
    negative.values[10] = -1.0;
    let mut hourly = fits.clone();
    hourly.step = Step::from_ms(3_600_000).unwrap();
    let flat = MeasuredSeries { values: vec![5.0; 7 * DAY], ..fits.clone() };
    let gaps = MeasuredSeries { values: vec![f64::NAN; 7 * DAY], ..fits.clone() };
    for (name, series, want) in [
        ("fits", fits, 6),
        ("negative", negative, 0),
        ("hourly", hourly, 0),
        ("flat", flat, 0),
        ("gaps", gaps, 0),
    ] {
        assert_eq!(draw(&[series], &bench(), 1).len(), want, "{name}");
    }
}

#[test]
fn effects_are_in_events_only_and_noise_is_on_the_effect() {
    for (noise, exact) in [(0.0, true), (0.3, false)] {
        let task = &draw(&[measured("a", 7 * DAY)], &EventsBench { noise, ..bench() }, 2)[0];
        let values = task.with(Effect::Additive);
        let flags = task.flags();
        for (index, (value, plain)) in values.iter().zip(&task.values).enumerate() {
            let effect = value - plain;
            if flags[index] == 0.0 {
                assert!(effect.abs() < 1e-12, "step {index}");
            } else {
                let off = (effect - 5.0 * task.deviation).abs();
                assert_eq!(off < 1e-9, exact, "step {index}: {off}");
            }
        }
        assert_eq!(flags.iter().sum::<f64>() as usize, 12 * task.events.len());
    }
}

#[test]
fn known_events_are_forecast_better_than_ignored_ones_and_the_dump_says_the_same() {
    let series = [measured("a", 5 * DAY), measured("bb", 5 * DAY)];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.csv");
    let bench = EventsBench { dump: Some(file.clone()), seeds: vec![1, 2], tasks: 2, ..bench() };
    let report = run(&bench, &series).unwrap();
    assert_eq!((report.tasks, report.refused, report.series), (4, 0, 2));
    assert_eq!(report.effects.len(), 9, "three effects, over both seeds and by each");
    for effect in &report.effects[..3] {
        let errors = effect.in_event;
        let what = format!("{:?}: {errors:?}", effect.effect);
        assert!(errors.ours < 0.5 * errors.ignoring, "{what}");
        assert!(errors.known < errors.ignoring && errors.prophet < errors.ignoring, "{what}");
        let ratio = effect.ours_by_ignoring.unwrap();
        assert!((ratio.of_means - errors.ours / errors.ignoring).abs() < 0.01, "{what} {ratio:?}");
        assert!(ratio.of_means_90[0] <= ratio.of_means && ratio.of_means <= ratio.of_means_90[1]);
    }

    // Scored from the dump, as anybody else would.
    let text = std::fs::read_to_string(&file).unwrap();
    let (mut sums, mut history) = (std::collections::BTreeMap::<&str, (f64, usize)>::new(), 0);
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [_, _, _, _, _, scale, effect, step, in_event, actual, ours, ..] = cells[..] else {
            unreachable!("{line}")
        };
        if step.parse::<i64>().unwrap() < 1 {
            assert!(in_event == "1" && ours.is_empty(), "{line}");
            history += 1;
        } else if effect == "additive" && in_event == "1" {
            let [scale, actual, ours] = [scale, actual, ours].map(|cell| cell.parse::<f64>().unwrap());
            let (sum, count) = sums.entry(cells[0]).or_default();
            *sum += (ours - actual).abs() / scale;
            *count += 1;
        }
    }
    assert!(history >= 3 * 3 * 12 * 4, "{history} steps of past events");
    let mean = sums.values().map(|(sum, count)| sum / *count as f64).sum::<f64>() / sums.len() as f64;
    assert!((mean - report.effects[0].in_event.ours).abs() < 1e-3 * mean, "{mean}");
}

#[test]
fn what_makes_no_task_is_refused_with_a_remedy() {
    for (bench, want) in [
        (EventsBench { length: 40, ..bench() }, "raise --horizon"),
        (EventsBench { tasks: 0, ..bench() }, "--tasks"),
        (bench(), "no series gives a task"),
    ] {
        let error = run(&bench, &[]).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}
