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
const SERVICES: u64 = 12;

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

fn table(day: usize, days: usize, step: Step, horizon: usize, ahead: usize) -> Vec<[[f64; 2]; WAYS.len()]> {
    let mut rows = Vec::new();
    for requests in [30, 300, 3000] {
        let (errors, weight) = errors(&Setting { step, day, days, requests }, horizon, ahead, SERVICES);
        println!("{requests} requests a step, {ahead} steps ahead; weight of the expert {weight:.2}");
        for (way, [measured, true_p99]) in WAYS.iter().zip(errors) {
            println!("  {way:20} {measured:.4} of the measured, {true_p99:.4} of the true p99");
        }
        rows.push(errors);
    }
    rows
}

#[test]
fn the_expert_helps_and_harms_nowhere() {
    let step = Step::from_ms(300_000).unwrap();
    let (mut logs, mut rows) = (0.0, 0.0);
    for errors in table(288, 4, step, 12, 12) {
        let (without, with) = (errors[1][0], errors[2][0]);
        assert!(with <= 1.02 * without, "{with} with the expert, {without} without: {errors:?}");
        logs += (with / without).ln();
        rows += 1.0;
    }
    let ratio = f64::exp(logs / rows);
    assert!(ratio < 0.99, "the expert changes the error by {ratio}, over all rates");
}

/// As a planner runs: steps of a minute, an hour ahead.
#[test]
#[ignore = "takes minutes; run it with --release --nocapture"]
fn at_steps_of_a_minute() {
    table(1440, 4, Step::MINUTE, 60, 12);
    table(1440, 4, Step::MINUTE, 60, 60);
}
