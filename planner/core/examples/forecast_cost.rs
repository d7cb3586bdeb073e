//! Forecasts as many series as a planner with 1 000 services has, and prints what came out; its cost is measured from
//! outside, because the core reads no clock: `time cargo run --release -p foremesh-core --example forecast_cost`.
use foremesh_core::{
    forecast::{ForecastSettings, forecast},
    series::Series,
    time::{Step, Timestamp},
};
use std::collections::BTreeMap;

const SERVICES: u64 = 1_000;
const METRICS: u64 = 3;
/// 48 hours of minutes.
const STEPS: u64 = 2_880;
const SEASON: usize = 1_440;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let step = Step::from_ms(60_000)?;
    let now = Timestamp::from_unix_ms(60_000 * i64::try_from(STEPS)?);
    let settings = ForecastSettings::new(60, Some(SEASON), 300_000);
    let mut shares: BTreeMap<String, f64> = BTreeMap::new();
    let mut error_sum = 0.0;
    for seed in 0..SERVICES * METRICS {
        let series = Series::new(Timestamp::from_unix_ms(0), step, values(seed));
        let made = forecast("service", "metric", &series, &[], &settings, now)?;
        for part in &made.parts {
            let share = part.weight * (part.end - part.first) as f64 / settings.horizon as f64;
            *shares.entry(part.model.clone()).or_default() += share;
        }
        error_sum += made.backtest_mae;
    }
    let series = SERVICES * METRICS;
    println!("{series} series of {STEPS} steps, horizon {}, season {SEASON}", settings.horizon);
    for (model, share) in shares {
        println!("share of {model} {:.3}", share / series as f64);
    }
    println!("mean absolute error {:.3}", error_sum / series as f64);
    Ok(())
}

/// A daily wave with noise from a linear congruential generator (Knuth's MMIX constants); every seventh series has
/// gaps.
fn values(seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let wave = |at: u64| (at as f64 / SEASON as f64 * std::f64::consts::TAU).sin();
    let value = |at: u64| {
        let noise = noise();
        if seed.is_multiple_of(7) && at % 97 < 9 {
            f64::NAN
        } else {
            60.0 + 40.0 * wave(at + seed) + 10.0 * noise
        }
    };
    (0..STEPS).map(value).collect()
}
