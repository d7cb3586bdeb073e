use super::*;
use proptest::prelude::*;

const SEASON: usize = 96;
const HORIZON: usize = 24;

/// Noise from -1 to 1 that is the same each time.
fn noise(seed: u64, index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_add(seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed >> 40) as f64 / f64::from(1 << 24)) * 2.0 - 1.0
}

/// A series that wanders, as most do.
fn wander(seed: u64, steps: usize) -> Vec<f64> {
    let mut level = 0.0;
    (0..steps)
        .map(|index| {
            level = 0.98 * level + noise(seed, index);
            level
        })
        .collect()
}

fn season(index: usize) -> f64 {
    20.0 * (std::f64::consts::TAU * (index % SEASON) as f64 / SEASON as f64).sin()
}

fn regressor(values: &[f64]) -> Regressor<'_> {
    Regressor { name: "spend", values }
}

#[test]
fn an_effect_and_its_lag_are_found() {
    let steps = 6 * SEASON;
    for lag in [0, 3, 9] {
        let theirs: Vec<f64> =
            wander(1, steps).iter().enumerate().map(|(index, level)| 50.0 + level + season(index)).collect();
        let ours: Vec<f64> = (0..steps)
            .map(|index| {
                200.0
                    + season(index)
                    + 2.0 * theirs[index.saturating_sub(lag)]
                    + 0.5 * wander(2, steps)[index]
            })
            .collect();
        let effects = learn(&ours, Some(SEASON), HORIZON, &[regressor(&theirs)]);
        let [effect] = effects.effects() else { panic!("{effects:?}") };
        assert_eq!(effect.lag, lag);
        let slope = effect.of(51.0) - effect.of(50.0);
        assert!(effect.compressed || (slope - 2.0).abs() < 0.25, "{slope} at lag {lag}");
        let mut rest = ours.clone();
        effects.subtract(&mut rest, &[regressor(&theirs)]);
        let spread = |values: &[f64]| values.iter().map(|value| (value - 200.0).abs()).sum::<f64>();
        assert!(spread(&rest) < spread(&ours));
    }
}

#[test]
fn a_regressor_that_is_not_related_changes_nothing() {
    let steps = 6 * SEASON;
    let mut found = 0;
    for seed in 0..60 {
        let ours: Vec<f64> = wander(100 + seed, steps)
            .iter()
            .enumerate()
            .map(|(index, level)| level + season(index))
            .collect();
        let theirs: Vec<f64> = wander(500 + seed, steps)
            .iter()
            .enumerate()
            .map(|(index, level)| level + season(index))
            .collect();
        found += usize::from(!learn(&ours, Some(SEASON), HORIZON, &[regressor(&theirs)]).is_empty());
    }
    assert!(found <= 2, "{found} of 60 wandering series with the same season were taken to be related");
}

#[test]
fn a_plan_raises_the_point_and_a_forecast_of_it_widens_the_band() {
    let steps = 6 * SEASON;
    let theirs: Vec<f64> = (0..steps).map(|index| if index / 20 % 4 == 0 { 10.0 } else { 0.0 }).collect();
    let ours: Vec<f64> = (0..steps).map(|index| 100.0 + 3.0 * theirs[index] + noise(3, index)).collect();
    let effects = learn(&ours, Some(SEASON), HORIZON, &[regressor(&theirs)]);
    assert_eq!(effects.effects().len(), 1);
    let band = [98.0, 98.5, 99.0, 100.0, 101.0, 101.5, 102.0];
    let plan = vec![10.0; HORIZON];
    let (point, known) = effects.add_back(5, &[(regressor(&theirs), Future::Known(&plan))], 100.0, band);
    assert!((point - 130.0).abs() < 1.5, "{point}");
    let bands = vec![[7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0]; HORIZON];
    let guess = Future::Forecast { points: &plan, bands: &bands };
    let (same, wide) = effects.add_back(5, &[(regressor(&theirs), guess)], 100.0, band);
    assert!((same - point).abs() < 1e-9);
    let width = |band: [f64; 7]| band[6] - band[0];
    // The regressor's 90 % band of 6 is worth 18 of ours, beside our own 4.
    assert!(width(known) < 5.0 && width(wide) > 15.0, "{known:?} {wide:?}");
    let (plain, untouched) = effects.add_back(5, &[], 100.0, band);
    assert_eq!((plain, untouched), (100.0, band), "a regressor that is not given has no effect");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_values_give_numbers(
        ours in proptest::collection::vec(value(), 0..200),
        theirs in proptest::collection::vec(value(), 0..220),
        ahead in proptest::collection::vec(value(), 0..30),
        season in proptest::option::of(0..60_usize),
        horizon in 0..40_usize,
    ) {
        let effects = learn(&ours, season, horizon, &[regressor(&theirs)]);
        let mut rest = ours.clone();
        effects.subtract(&mut rest, &[regressor(&theirs)]);
        let (point, band) = effects.add_back(3, &[(regressor(&theirs), Future::Known(&ahead))], 1.0, [1.0; 7]);
        prop_assert!(point.is_finite());
        prop_assert!(band.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", band);
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -1e3..1e3_f64,
        1 => proptest::sample::select(&[f64::NAN, f64::INFINITY, 0.0, 1e300, -1e300][..]),
    ]
}
