use super::*;
use proptest::prelude::*;

const GAP_MS: i64 = 60_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

/// Increases of a counter that was read so: seconds and values.
fn read_all(readings: &[(i64, f64)]) -> Vec<Option<f64>> {
    let mut counter = Counter::new(GAP_MS);
    readings.iter().map(|(s, value)| counter.read(None, at(s * 1000), *value).map(|i| i.amount)).collect()
}

/// A name, readings, and the increase that each of them shows.
type Case = (&'static str, &'static [(i64, f64)], &'static [Option<f64>]);

#[test]
fn each_kind_of_reading() {
    let cases: [Case; 7] = [
        ("growth", &[(0, 5.0), (10, 7.0), (20, 7.0)], &[None, Some(2.0), Some(0.0)]),
        ("a reset counts from 0", &[(0, 100.0), (10, 3.0), (20, 4.0)], &[None, Some(3.0), Some(1.0)]),
        ("a gap stays a gap", &[(0, 1.0), (61, 50.0), (71, 51.0)], &[None, None, Some(1.0)]),
        ("a duplicate", &[(0, 1.0), (0, 9.0), (10, 2.0)], &[None, None, Some(1.0)]),
        ("out of order", &[(10, 4.0), (5, 3.0), (20, 6.0)], &[None, None, Some(2.0)]),
        ("the clock went back", &[(1000, 4.0), (5, 5.0), (15, 6.0)], &[None, None, Some(1.0)]),
        (
            "not a count",
            &[(0, 1.0), (10, f64::NAN), (20, -1.0), (30, f64::INFINITY), (40, 5.0)],
            &[None, None, None, None, Some(4.0)],
        ),
    ];
    for (name, readings, want) in cases {
        assert_eq!(read_all(readings), want, "case {name}");
    }
}

#[test]
fn a_known_start_tells_when_a_reset_was() {
    let mut counter = Counter::new(GAP_MS);
    assert_eq!(
        counter.read(Some(at(0)), at(10_000), 4.0),
        Some(Increase { from: at(0), to: at(10_000), amount: 4.0 })
    );
    assert_eq!(
        counter.read(Some(at(0)), at(20_000), 6.0),
        Some(Increase { from: at(10_000), to: at(20_000), amount: 2.0 })
    );
    // It has counted more than before already, which only its start tells.
    assert_eq!(
        counter.read(Some(at(25_000)), at(30_000), 9.0),
        Some(Increase { from: at(25_000), to: at(30_000), amount: 9.0 })
    );
    let mut old = Counter::new(GAP_MS);
    assert_eq!(old.read(Some(at(0)), at(GAP_MS * 2), 9.0), None, "it says nothing of the last minute");
}

#[test]
fn increases_worked_out_elsewhere_count_once() {
    let mut counter = Counter::new(GAP_MS);
    assert_eq!(counter.add(at(0), at(10), 1.0), Some(Increase { from: at(0), to: at(10), amount: 1.0 }));
    assert_eq!(counter.add(at(0), at(10), 1.0), None, "a repeated push");
    assert_eq!(counter.add(at(8), at(20), 2.0), Some(Increase { from: at(10), to: at(20), amount: 2.0 }));
    assert_eq!(counter.add(at(30), at(20), 2.0), None);
    assert_eq!(counter.add(at(20), at(30), f64::NAN), None);
}

#[test]
fn a_step_with_a_restart_has_what_was_seen_of_it() {
    let step = Step::from_ms(60_000).unwrap();
    let (mut counter, mut steps) = (Counter::new(GAP_MS), Steps::new(step));
    // 1 a second; the restart at 32 s loses the 2 s that nobody read.
    for (s, value) in [(0, 500.0), (15, 515.0), (30, 530.0), (45, 13.0), (60, 28.0), (75, 43.0)] {
        if let Some(increase) = counter.read(None, at(s * 1000), value) {
            steps.add(increase);
        }
    }
    let whole = steps.take(at(75_000));
    assert_eq!(whole, BTreeMap::from([(at(0), StepPart { amount: 58.0, covered_ms: 60_000 })]));
    assert_eq!(
        steps.take(at(120_000)),
        BTreeMap::from([(at(60_000), StepPart { amount: 15.0, covered_ms: 15_000 })])
    );
}

proptest! {
    /// Whatever the readings: a constant rate comes out as that rate in every step, and as nothing where a gap was.
    #[test]
    fn a_constant_rate_is_that_rate_in_every_step(
        waits_ms in prop::collection::vec(prop_oneof![8 => 1_i64..20_000, 1 => 60_001_i64..400_000], 1..80),
        rate in 0.0_f64..1e6,
        begin in -1_000_000_i64..1_000_000,
        step_ms in 500_i64..90_000,
    ) {
        let step = Step::from_ms(step_ms).unwrap();
        let (mut counter, mut steps) = (Counter::new(GAP_MS), Steps::new(step));
        let (mut now, mut covered) = (begin, 0_i64);
        counter.read(None, at(now), rate * 1.0);
        for wait in &waits_ms {
            now += wait;
            let increase = counter.read(None, at(now), rate + rate * (now - begin) as f64 / 1e3);
            prop_assert_eq!(increase.is_some(), *wait <= GAP_MS);
            if let Some(increase) = increase {
                covered += wait;
                steps.add(increase);
            }
        }
        let parts = steps.take(at(now + step_ms * 2));
        prop_assert_eq!(parts.values().map(|part| part.covered_ms).sum::<i64>(), covered);
        for (start, part) in parts {
            prop_assert!((1..=step_ms).contains(&part.covered_ms));
            let got = part.amount / (part.covered_ms as f64 / 1e3);
            prop_assert!((got - rate).abs() <= 1e-6 * rate.max(1.0), "{got} for {rate} at {start:?}");
        }
    }

    /// With resets anywhere, the steps hold together exactly what the readings show: all growth but that between the
    /// last reading before a reset and the reset.
    #[test]
    fn nothing_is_lost_but_what_nobody_read(
        moves in prop::collection::vec((1_i64..10_000, 0_u32..1000, prop::bool::weighted(0.2)), 1..100),
    ) {
        let (mut counter, mut steps) = (Counter::new(GAP_MS), Steps::new(Step::from_ms(7000).unwrap()));
        let (mut now, mut value, mut seen) = (0, 0.0, 0.0);
        counter.read(None, at(now), value);
        for (wait, grown, reset) in moves {
            now += wait;
            let before = value;
            if reset {
                value = f64::from(grown);
                // A counter that is back above its old value hides its reset from everybody.
                seen += if value < before { value } else { value - before };
            } else {
                value += f64::from(grown);
                seen += f64::from(grown);
            }
            steps.add(counter.read(None, at(now), value).unwrap());
        }
        let total: f64 = steps.take(at(now + 20_000)).values().map(|part| part.amount).sum();
        prop_assert!((total - seen).abs() < 1e-6 * seen.max(1.0), "{total} for {seen}");
    }

    /// No reading whatever makes a negative or infinite amount.
    #[test]
    fn any_readings_give_sane_steps(readings in prop::collection::vec((any::<i32>(), any::<f64>()), 0..60)) {
        let (mut counter, mut steps) = (Counter::new(GAP_MS), Steps::new(Step::MINUTE));
        for (ms, value) in readings {
            if let Some(increase) = counter.read(None, at(i64::from(ms)), value) {
                prop_assert!(increase.amount >= 0.0 && increase.amount.is_finite());
                prop_assert!(increase.to > increase.from);
                steps.add(increase);
            }
        }
        for part in steps.take(at(i64::from(i32::MAX) + 60_000)).values() {
            prop_assert!(part.amount >= 0.0 && (1..=60_000).contains(&part.covered_ms));
        }
    }
}
