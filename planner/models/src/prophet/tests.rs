//! Equality with Python's Prophet, and what must hold whatever the values are.
use super::*;
use foremesh_core::forecast::model::{Covariate, Prediction};
use foremesh_core::time::Step;
use serde::Deserialize;

/// A file of `scripts/bench.d/forecast/reference/prophet_fixtures.py`.
#[derive(Deserialize)]
struct Fixture {
    start_ms: i64,
    step_ms: i64,
    season: usize,
    mode: String,
    seasonal_naive_mae: f64,
    scale: f64,
    holidays_ms: Vec<i64>,
    values: Vec<Option<f64>>,
    /// Over the history and the horizon.
    covariates: Vec<Vec<f64>>,
    stan: Stan,
    optimum: Optimum,
}

/// What the package says.
#[derive(Deserialize)]
struct Stan {
    mean: Vec<f64>,
    q10: Vec<f64>,
    q90: Vec<f64>,
    log_posterior: f64,
}

/// What an independent optimiser without the kink says about the same posterior.
#[derive(Deserialize)]
struct Optimum {
    mean: Vec<f64>,
    log_posterior: f64,
    sigma: f64,
}

const FIXTURES: [&str; 12] = [
    "nab-network",
    "nab-gaps",
    "nezha-memory",
    "petshop-low-amplitude",
    "smd-disk",
    "mscloud-ingress",
    "azurevm-trend",
    "nasa-requests",
    "nezha-regressor",
    "smd-regressor",
    "mscloud-holidays",
    "mscloud-multiplicative",
];

impl Fixture {
    fn read(name: &str) -> Self {
        let file = format!("{}/tests/fixtures/prophet/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(&file).expect(&file)).expect(&file)
    }

    fn settings(&self) -> Prophet {
        let mode = if self.mode == "additive" { Mode::Additive } else { Mode::Multiplicative };
        let days: Vec<Timestamp> = self.holidays_ms.iter().map(|ms| Timestamp::from_unix_ms(*ms)).collect();
        let maintenance = Holiday { name: "maintenance".to_owned(), days, before: 0, after: 1 };
        Prophet {
            season_mode: mode,
            regressor_mode: mode,
            holidays: if self.holidays_ms.is_empty() { Vec::new() } else { vec![maintenance] },
            ..Prophet::default()
        }
    }

    /// The history, for whatever wants one.
    fn with_history<T>(&self, act: impl FnOnce(&History<'_>) -> T) -> T {
        let values: Vec<f64> = self.values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        let covariates: Vec<Covariate<'_>> =
            self.covariates.iter().map(|all| Covariate { name: "x", values: &all[..values.len()] }).collect();
        act(&History {
            start: Timestamp::from_unix_ms(self.start_ms),
            step: Step::from_ms(self.step_ms).unwrap(),
            season: Some(self.season),
            horizon: self.stan.mean.len(),
            values: &values,
            covariates: &covariates,
            lowest: None,
            highest: None,
        })
    }

    fn future(&self) -> Vec<&[f64]> {
        self.covariates.iter().map(|all| &all[self.values.len()..]).collect()
    }
}

fn largest_and_median(a: &[f64], b: &[f64], scale: f64) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let mut gaps: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs() / scale).collect();
    gaps.sort_by(f64::total_cmp);
    (gaps[gaps.len() - 1], gaps[gaps.len() / 2])
}

#[test]
fn it_says_what_the_package_says() {
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        let fitted = fixture.with_history(|history| fixture.settings().fit_to(history)).unwrap();
        let mean: Vec<f64> =
            fitted.ahead(&fixture.future(), fixture.stan.mean.len()).iter().map(|(mean, _)| *mean).collect();
        // Against the package as it is used, in the scale in which it works.
        let (largest, median) = largest_and_median(&mean, &fixture.stan.mean, fixture.scale);
        // Against the true optimum of its posterior, in the scale of the seasonal naive error.
        let (from_best, median_from_best) =
            largest_and_median(&mean, &fixture.optimum.mean, fixture.seasonal_naive_mae);
        println!(
            "{name}: to Stan {largest:.5} ({median:.5}) of max; to optimum {from_best:.5} ({median_from_best:.5}) of naive"
        );
        // On one series Stan stops where the posterior is e^26 times less than at its optimum.
        let short = fixture.optimum.log_posterior - fixture.stan.log_posterior;
        let allowed = if short > 10.0 { 0.02 } else { 0.01 };
        assert!(largest <= allowed, "{name}: {largest} of the largest value from what the package says");
        assert!(from_best <= 0.01, "{name}: {from_best} of the seasonal naive error from the optimum");
        let noise = fitted.most_likely.sigma / fixture.optimum.sigma - 1.0;
        assert!(noise.abs() < 1e-3, "{name}: noise off by {noise}");
    }
}

#[test]
fn its_parameters_are_at_least_as_likely_as_stans() {
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        let reached = fixture.with_history(|history| {
            let settings = fixture.settings();
            let problem = Design::new(&settings, history).problem(&settings, history);
            let found = problem.maximise();
            problem.posterior(&found.theta, problem.squares(&found.theta), found.sigma)
        });
        let Fixture { stan, optimum, .. } = &fixture;
        println!(
            "{name}: {reached:.4}, Stan {:.4}, optimum {:.4}",
            stan.log_posterior, optimum.log_posterior
        );
        assert!(
            reached >= stan.log_posterior,
            "{name}: {reached} is less than Stan's {}",
            stan.log_posterior
        );
        assert!(
            (reached - optimum.log_posterior).abs() < 1e-2,
            "{name}: {reached} {}",
            optimum.log_posterior
        );
    }
}

#[test]
fn its_interval_is_the_packages() {
    for name in FIXTURES {
        let fixture = Fixture::read(name);
        let mut fitted = fixture.with_history(|history| fixture.settings().fit(history)).unwrap();
        let mut out = vec![Prediction::UNKNOWN; fixture.stan.mean.len()];
        fitted.predict(&fixture.future(), &mut out);
        let width = |low: f64, high: f64| high - low;
        let ours: f64 = out.iter().map(|p| p.quantiles.unwrap()).map(|q| width(q[1], q[5])).sum();
        let theirs: f64 =
            fixture.stan.q10.iter().zip(&fixture.stan.q90).map(|(low, high)| width(*low, *high)).sum();
        println!("{name}: band {:.4} of the package's", ours / theirs);
        // Where Stan stops short of the optimum it has more noise, and future bends of another size.
        let short = fixture.optimum.log_posterior - fixture.stan.log_posterior;
        let allowed = if short > 10.0 { 0.08 } else { 0.02 };
        assert!((ours / theirs - 1.0).abs() < allowed, "{name}: 80 % band {ours} against {theirs}");
    }
}
