//! Whether upper quantiles are forecast better when the median and the tail take part.
#![allow(clippy::unwrap_used, reason = "clippy knows only functions marked as tests, not what they share")]
mod world;

use foremesh_core::{
    calendar::Priors,
    forecast::{ForecastSettings, model::MEDIAN_AND_TAIL},
    history::Metric,
    live::{LiveSeries, Surroundings, UpperQuantile},
    series::Series,
    time::Step,
};
use world::{Setting, World, world};

const P99: usize = 3;
/// Services of the regular test, and of the long one.
const FEW: u64 = 4;
const MANY: u64 = 12;

/// Mean absolute errors of the logarithm of p99 at some steps ahead.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    /// Against what was measured in the step.
    measured: f64,
    /// Against the quantile that the step's requests were drawn from.
    true_p99: f64,
    count: f64,
}

impl Errors {
    fn add(&mut self, said: f64, world: &World, measured: &Series, target: usize) {
        self.measured += (said.ln() - measured.values()[target].ln()).abs();
        self.true_p99 += (said.ln() - world.log_p99[target]).abs();
        self.count += 1.0;
    }

    fn mean(self) -> [f64; 2] {
        [self.measured / self.count, self.true_p99 / self.count]
    }
}

const WAYS: [&str; 4] = ["last value", "combination on p99", "with the expert", "the expert alone"];

/// Errors of each of [`WAYS`], and the mean weight of the expert at that distance.
fn errors(setting: &Setting, horizon: usize, ahead: usize, services: u64) -> ([[f64; 2]; WAYS.len()], f64) {
    let mut sums = [Errors::default(); WAYS.len()];
    let (mut weight, mut weights) = (0.0, 0.0);
    for service in 0..services {
        let world = world(setting, service);
        let measured = world.history.series(Metric::Latency(P99));
        let how = ForecastSettings::new(horizon, Some(setting.day), setting.step.times(3));
        let shape = how.shape(setting.step);
        let mut live = [0, 1, 2].map(|_| LiveSeries::new(shape, measured.start(), None));
        live[2].restrict(&[MEDIAN_AND_TAIL.to_owned()]);
        let priors = Priors::default();
        let without = Surroundings {
            metric: "latency_p99_ms",
            occurrences: &[],
            priors: &priors,
            moves: &[],
            regressors: &[],
            parts: None,
        };
        let with = Surroundings {
            parts: Some(UpperQuantile { history: &world.history, at: P99, window: setting.day / 24 }),
            ..without
        };
        let total = measured.values().len();
        // From the third day on, about two times an hour, at an interval that does not fall together with the season.
        for origin in (2 * setting.day..total - ahead).step_by((setting.day / 48).max(1) + 1) {
            let known = Series::new(measured.start(), setting.step, measured.values()[..origin].to_vec());
            sums[0].add(measured.values()[origin - 1], &world, &measured, origin + ahead - 1);
            for (way, live) in live.iter_mut().enumerate() {
                let around = if way == 0 { &without } else { &with };
                live.advance(&known, around);
                let made = live.outlook("cart", around, known.end(), &how).unwrap();
                sums[way + 1].add(made.steps[ahead - 1].point, &world, &measured, origin + ahead - 1);
                if way == 1 {
                    let of_it = |part: &&foremesh_core::forecast::model::Contribution| {
                        part.model == MEDIAN_AND_TAIL && (part.first..part.end).contains(&(ahead - 1))
                    };
                    weight += made.parts.iter().filter(of_it).map(|part| part.weight).sum::<f64>();
                    weights += 1.0;
                }
            }
        }
    }
    (sums.map(Errors::mean), weight / weights)
}

fn table(
    (day, days): (usize, usize),
    step: Step,
    horizon: usize,
    ahead: usize,
    services: u64,
) -> Vec<(usize, [[f64; 2]; WAYS.len()])> {
    let mut rows = Vec::new();
    for requests in [30, 300, 3000] {
        let (errors, weight) = errors(&Setting { step, day, days, requests }, horizon, ahead, services);
        println!("{requests} requests a step, {ahead} steps ahead; weight of the expert {weight:.2}");
        for (way, [measured, true_p99]) in WAYS.iter().zip(errors) {
            println!("  {way:20} {measured:.4} of the measured, {true_p99:.4} of the true p99");
        }
        rows.push((requests, errors));
    }
    rows
}

#[test]
fn the_expert_does_no_harm_at_any_rate_of_requests() {
    let step = Step::from_ms(300_000).unwrap();
    for (requests, errors) in table((288, 3), step, 12, 12, FEW) {
        let [_, without, with, _] = errors.map(|[measured, _]| measured);
        assert!(with <= 1.02 * without, "{requests} requests: {with} with it, {without} without");
    }
}

/// The same with more services and days, and as a planner runs: steps of a minute, an hour ahead.
#[test]
#[ignore = "takes minutes; run it with --release --nocapture"]
fn at_length() {
    table((288, 4), Step::from_ms(300_000).unwrap(), 12, 12, MANY);
    table((1440, 4), Step::MINUTE, 60, 12, MANY);
    table((1440, 4), Step::MINUTE, 60, 60, MANY);
}

/// Every step of a day of as many series is taken in and forecast; the core reads no clock, so it is timed from outside.
fn live_for_a_day(with_parts: bool) {
    let setting = Setting { step: Step::MINUTE, day: 1440, days: 2, requests: 30 };
    let world = world(&setting, 0);
    let measured = world.history.series(Metric::Latency(P99));
    let how = ForecastSettings::new(60, Some(1440), setting.step.times(3));
    let priors = Priors::default();
    let around = Surroundings {
        metric: "latency_p99_ms",
        occurrences: &[],
        priors: &priors,
        moves: &[],
        regressors: &[],
        parts: with_parts.then_some(UpperQuantile { history: &world.history, at: P99, window: 60 }),
    };
    let mut all: Vec<LiveSeries> =
        (0..20).map(|_| LiveSeries::new(how.shape(setting.step), measured.start(), None)).collect();
    for end in 1440..=2 * 1440 {
        let known = Series::new(measured.start(), setting.step, measured.values()[..end].to_vec());
        for live in &mut all {
            live.advance(&known, &around);
            live.outlook("cart", &around, known.end(), &how).unwrap();
        }
    }
    println!("{} bytes each without its experts", all[0].forecaster().bytes());
}

#[test]
#[ignore = "to be timed"]
fn cost_with_the_expert() {
    live_for_a_day(true);
}

#[test]
#[ignore = "to be timed"]
fn cost_without_the_expert() {
    live_for_a_day(false);
}
