//! Whole passes: who gets what the budgets allow, and in which order.
use super::*;
use crate::{
    backtest::cpu::Cpu,
    calendar::{CalendarMetrics, Calendars, FetchLimits},
    clock::Clock,
    policies,
    store::{SeriesStore, tests::open},
};
use foremesh_core::{
    forecast::model::{Cost, Family, Fitted, History, ModelError, Prediction},
    history::{ServiceHistory, ServiceStep},
};
use std::path::Path;

const POLICY: &str = "
apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {name: shop}
spec:
  selector: {services: ['*']}
  rules:
    - name: slow
      predictedLatency: {quantile: 0.99, above: 100ms, within: 4m, probability: 0.5}
";

/// Ends at the steps 130, 1570 and so on: at(0) is noon, UTC.
const SALE: &str = r#"{"name": "sale", "when": {"cron": "0 14 * * *"}, "duration": "10m"}"#;

/// A model that says it costs so much, and repeats the newest value.
#[derive(Debug)]
pub(in crate::forecasts) struct Dear {
    pub(in crate::forecasts) fit_us: f64,
    /// Observed steps without which it is not fitted.
    pub(in crate::forecasts) from: usize,
}

#[derive(Debug)]
struct Last(f64);

impl Model for Dear {
    fn name(&self) -> &'static str {
        "extra_trees"
    }

    fn family(&self) -> Family {
        Family::Trees
    }

    fn cost(&self, _observed: usize) -> Cost {
        Cost { fit_us: self.fit_us, update_us: 0.0, predict_us: 0.0 }
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        self.from
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        Ok(Box::new(Last(history.values.last().copied().unwrap_or(f64::NAN))))
    }
}

impl Fitted for Last {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.0 = value;
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        out.fill(Prediction { point: self.0, quantiles: None });
    }
}

/// Services with their P99 in milliseconds, none of which is ever moved.
struct World {
    _folder: tempfile::TempDir,
    store: Arc<dyn SeriesStore>,
    services: Vec<(String, f32)>,
    calendars: Arc<CalendarSet>,
    policies: Arc<Vec<RelocationPolicy>>,
    /// Steps without a request before the first one.
    silent: usize,
}

impl World {
    async fn new(services: &[(&str, f32)], event: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = Path::new(":memory:");
        let calendars =
            Calendars::open(&[], nowhere, Clock::System, FetchLimits::default(), CalendarMetrics::default())
                .unwrap();
        if let Some(event) = event {
            calendars.put("sale", serde_json::from_str(event).unwrap(), false).await.unwrap();
        }
        Self {
            store: Arc::new(open(folder.path())),
            _folder: folder,
            services: services.iter().map(|(name, latency)| ((*name).to_owned(), *latency)).collect(),
            calendars: calendars.current(),
            policies: Arc::new(policies::parse(Path::new("shop.yaml"), POLICY).unwrap()),
            silent: 0,
        }
    }

    fn observed(&self, end: usize) -> Observed {
        let step = |latency: f32, at: usize| {
            let wave = (at * 7919 % 11) as f32;
            let busy = if (120..130).contains(&at) { 2 } else { 1 };
            (at >= self.silent)
                .then(|| ServiceStep::new(60 * busy * (10 + wave as u32), 0, [latency + wave; 5]))
        };
        let histories = self.services.iter().map(|(service, latency)| ServiceHistory {
            service: ServiceId::new(service.clone()),
            start: at(0),
            step: Step::MINUTE,
            steps: (0..end).map(|at| step(*latency, at)).collect(),
        });
        Observed::of_services(Arc::clone(&self.store), histories.collect())
    }

    fn known(&self, end: usize) -> Known {
        Known {
            policies: Arc::clone(&self.policies),
            rollouts: Vec::new(),
            calendars: Arc::clone(&self.calendars),
            regressors: Arc::default(),
            now: at(end),
            step: Step::MINUTE,
            keep_ms: 48 * 3_600_000,
            cpu_millicores: BTreeMap::new(),
        }
    }
}

fn forecasts(model: Dear, budget_us: f64, relearn_us: f64) -> Forecasts {
    forecasts_within(usize::MAX, model, budget_us, relearn_us)
}

fn forecasts_within(memory_bytes: usize, model: Dear, budget_us: f64, relearn_us: f64) -> Forecasts {
    let settings = ExpertsSettings { budget_us, refit_ms: 24 * 3_600_000, memory_bytes };
    let experts = Experts::new(settings, vec![Box::new(model)], vec!["extra_trees".to_owned()]);
    Forecasts::new(ForecastSettings::new(HORIZON, Some(60), 600_000), 1, experts, relearn_us)
}

#[tokio::test]
async fn the_riskiest_series_is_fitted_first_and_a_dear_fit_is_paid_back_over_passes() {
    let world = World::new(&[("calm", 20.0), ("slow", 95.0)], None).await;
    // Six series, each two and a half passes dear.
    let mut forecasts = forecasts(Dear { fit_us: 250.0, from: 100 }, 100.0, 0.0);
    let mut fitted = Vec::new();
    for end in 99..112 {
        let made = forecasts.pass(&world.observed(end), &world.known(end));
        let new: Vec<String> = made
            .all
            .keys()
            .filter(|id| forecasts.experts.waiting_since(id) == Some(at(end)))
            .map(SeriesId::to_string)
            .collect();
        fitted.push((end, new));
    }
    let of = |end: usize| &fitted[end - 99].1;
    assert!(of(99).is_empty(), "too little was observed");
    assert_eq!(of(100), &["service/slow/latency_p99_ms"], "{fitted:?}");
    let passes: Vec<usize> = fitted.iter().filter(|(_, new)| !new.is_empty()).map(|(end, _)| *end).collect();
    assert_eq!(passes, [100, 102, 105, 107, 110], "{fitted:?}");
    assert!(fitted.iter().all(|(_, new)| new.len() <= 1), "{fitted:?}");
    assert_eq!(forecasts.experts.counts()["extra_trees"].fitted, 5);
}

#[tokio::test]
async fn where_memory_is_full_a_series_at_risk_takes_that_of_one_that_is_not() {
    let mut world = World::new(&[("calm", 20.0), ("late", 20.0)], None).await;
    let model = || Dear { fit_us: 1.0, from: 100 };
    let with = |forecasts: &Forecasts| -> Vec<String> {
        let has = forecasts.kept.iter().filter(|(_, live)| live.has("extra_trees"));
        has.map(|(id, _)| id.to_string()).collect()
    };
    let mut unlimited = forecasts(model(), 100.0, 0.0);
    let made = unlimited.pass(&world.observed(100), &world.known(100));
    assert_eq!(with(&unlimited).len(), 6);
    // Of the six, two and a half.
    let limit = made.model_bytes * 5 / 12;
    let mut forecasts = forecasts_within(limit, model(), 100.0, 0.0);
    for end in 100..104 {
        let made = forecasts.pass(&world.observed(end), &world.known(end));
        assert_eq!(with(&forecasts).len(), 2, "at {end}");
        assert!(made.model_bytes <= limit && made.model_bytes > 0, "{} of {limit}", made.model_bytes);
    }
    let late = "service/late/latency_p99_ms".to_owned();
    assert!(!with(&forecasts).contains(&late));
    world.services[1].1 = 95.0;
    for end in 104..120 {
        let made = forecasts.pass(&world.observed(end), &world.known(end));
        assert!(made.model_bytes <= limit, "at {end}: {} of {limit}", made.model_bytes);
    }
    assert!(with(&forecasts).contains(&late), "{:?}", with(&forecasts));
    assert!(
        forecasts
            .pass(&world.observed(120), &world.known(120))
            .all
            .values()
            .all(|shown| shown.forecast.is_ok())
    );
}

#[tokio::test]
async fn series_of_an_event_that_ended_are_learned_again_over_passes_the_riskiest_first() {
    let names: Vec<String> = (0..8).map(|service| format!("calm-{service}")).collect();
    let mut services: Vec<(&str, f32)> = names.iter().map(|name| (name.as_str(), 20.0)).collect();
    services.push(("slow", 95.0));
    let world = World::new(&services, Some(SALE)).await;
    let all = 3 * services.len();
    // A series of 131 steps costs 1.6 ms; without a budget there is still one in each pass.
    for (relearn_us, in_a_pass) in [(0.0, 1), (5_000.0, 3), (1e9, all)] {
        let mut forecasts = forecasts(Dear { fit_us: 1.0, from: 1000 }, 0.0, relearn_us);
        for end in 110..130 {
            assert_eq!(forecasts.pass(&world.observed(end), &world.known(end)).relearning, 0, "at {end}");
        }
        let slow = SeriesId::Service(ServiceId::new("slow"), Metric::latency(0.99).unwrap());
        let mut left = all;
        let mut waited = BTreeMap::new();
        for end in 130..130 + all.div_ceil(in_a_pass) {
            let made = forecasts.pass(&world.observed(end), &world.known(end));
            left -= in_a_pass.min(left);
            assert_eq!(made.relearning, left, "at {end} with {relearn_us}");
            assert!(made.all.values().all(|shown| shown.forecast.is_ok()), "who waits is forecast too");
            assert!(!forecasts.kept[&slow].relearning_waits(), "at {end} with {relearn_us}");
            for (id, live) in &forecasts.kept {
                *waited.entry(id.clone()).or_insert(0) += usize::from(live.relearning_waits());
                assert_eq!(live.forecaster().observed(), end, "{id}: all that was observed is known");
            }
        }
        assert_eq!(
            waited.values().sum::<usize>(),
            (0..all).step_by(in_a_pass).skip(1).map(|done| all - done).sum::<usize>()
        );
    }
}

#[tokio::test]
async fn a_model_that_was_replaced_is_given_to_every_series_again_and_a_stand_in_only_where_named() {
    for (stand_in, chosen, want) in [(false, false, 2), (true, false, 0), (true, true, 2)] {
        let mut world = World::new(&[("cart", 20.0)], None).await;
        if chosen {
            let mut policies = Vec::clone(&world.policies);
            policies[0].models = vec!["extra_trees".to_owned()];
            world.policies = Arc::new(policies);
        }
        let mut forecasts = forecasts(Dear { fit_us: 1.0, from: 50 }, 1e6, 0.0);
        if stand_in {
            forecasts.experts.stand_in("extra_trees");
        }
        for end in [100, 101] {
            forecasts.pass(&world.observed(end), &world.known(end));
        }
        let with = |forecasts: &Forecasts| {
            let has = |metric| {
                forecasts.kept[&SeriesId::Service(ServiceId::new("cart"), metric)].has("extra_trees")
            };
            usize::from(has(Metric::Throughput)) + usize::from(has(Metric::latency(0.99).unwrap()))
        };
        let fits = |forecasts: &Forecasts| forecasts.experts.counts()["extra_trees"].fitted;
        assert_eq!(with(&forecasts), want, "stand-in {stand_in}, chosen {chosen}");
        let before = fits(&forecasts);
        forecasts.replace_model(Box::new(Dear { fit_us: 1.0, from: 50 }));
        forecasts.pass(&world.observed(102), &world.known(102));
        assert_eq!(with(&forecasts), 2);
        assert_eq!(fits(&forecasts), before + 3, "all three series get the new one at once");
    }
}

/// Run with `--ignored --nocapture`, with the core optimised.
#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_a_pass_over_a_thousand_services() {
    const LENGTH: usize = 2_880;
    let names: Vec<String> = (0..1_000).map(|service| format!("service-{service}")).collect();
    let services: Vec<(&str, f32)> = names.iter().map(|name| (name.as_str(), 20.0)).collect();
    let mut world = World::new(
        &services,
        Some(r#"{"name": "sale", "when": {"cron": "0 */2 * * *"}, "duration": "10m"}"#),
    )
    .await;
    world.silent = LENGTH - 60;
    let mut forecasts = forecasts(Dear { fit_us: 1.0, from: LENGTH }, 0.0, 0.0);
    forecasts.pass(&world.observed(LENGTH), &world.known(LENGTH));
    for end in LENGTH + 1..LENGTH + 4 {
        let (observed, known) = (world.observed(end), world.known(end));
        for what in ["with a new step", "without one"] {
            let cpu = Cpu::start();
            let made = forecasts.pass(&observed, &known);
            println!("{} series {what}: {:.0} ms", made.all.len(), cpu.seconds() * 1e3);
        }
    }
}
