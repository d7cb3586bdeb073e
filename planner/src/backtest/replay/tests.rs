use super::*;
use foremesh_core::forecast::LEVELS;
use foremesh_core::{
    forecast::model::{Cost, History},
    time::{Step, Timestamp},
};
use std::sync::{Arc, Mutex};

/// Writes down everything that it is shown.
#[derive(Clone, Debug)]
struct Spy {
    family: Family,
    fit_us: f64,
    fails: bool,
    seen: Arc<Mutex<Vec<Shown>>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Shown {
    Fit(usize),
    Update(f64),
    Predict,
    Breach,
}

impl Spy {
    fn new(family: Family, fit_us: f64) -> Self {
        Self { family, fit_us, fails: false, seen: Arc::default() }
    }
}

impl Model for Spy {
    fn name(&self) -> &'static str {
        "spy"
    }

    fn family(&self) -> Family {
        self.family
    }

    fn cost(&self, _observed: usize) -> Cost {
        Cost { fit_us: self.fit_us, update_us: 0.0, predict_us: 0.0 }
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        1
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        // Every value is its own index, so the newest tells how far the model can see.
        assert!(history.values.iter().enumerate().all(|(at, value)| *value as usize == at));
        self.seen.lock().unwrap().push(Shown::Fit(history.values.len()));
        if self.fails {
            return Err(ModelError::Failed { why: "it is told to".to_owned() });
        }
        let newest = history.values.last().copied().unwrap();
        Ok(Box::new(Watching { newest, seen: Arc::clone(&self.seen) }))
    }
}

#[derive(Debug)]
struct Watching {
    newest: f64,
    seen: Arc<Mutex<Vec<Shown>>>,
}

impl Fitted for Watching {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.newest = value;
        self.seen.lock().unwrap().push(Shown::Update(value));
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        self.seen.lock().unwrap().push(Shown::Predict);
        out.fill(Prediction { point: self.newest, quantiles: None });
    }

    fn breach(&mut self, _future: &[&[f64]], _window: &BreachWindow) -> Option<f64> {
        self.seen.lock().unwrap().push(Shown::Breach);
        Some(0.5)
    }
}

fn series(length: usize) -> MeasuredSeries {
    MeasuredSeries {
        id: "s".into(),
        kind: "cpu".into(),
        unit: "percent".into(),
        family: "f".into(),
        start: Timestamp::default(),
        step: Step::MINUTE,
        values: (0..length).map(|at| at as f64).collect(),
    }
}

fn run(spy: &Spy, refit_us: f64) -> (Replay, Task) {
    let series = series(100);
    let mut task = Task::new(&series, 4, 10).unwrap();
    // High enough that the newest value is never above it, so that every dense origin asks.
    task.threshold = 1000.0;
    (replay(spy, &series, &task, Budget { refit_us, breach_steps: usize::MAX }), task)
}

#[test]
fn no_model_ever_sees_a_value_from_after_its_origin() {
    for family in [Family::Ridge, Family::Trees] {
        let spy = Spy::new(family, 1.0);
        let (out, task) = run(&spy, 2.0);
        // What the newest value seen was at each forecast, in order: exactly the step before the origin.
        let newest: Vec<usize> = out.forecasts.rows(10).map(|row| row[0].point as usize).collect();
        assert_eq!(newest, task.origins.iter().map(|origin| origin - 1).collect::<Vec<_>>(), "{family:?}");
        // At every question the values shown so far are those before the origin, each of them once.
        let (mut known, mut asked) = (0, Vec::new());
        for shown in spy.seen.lock().unwrap().iter() {
            match shown {
                Shown::Fit(length) => {
                    assert!(*length >= known, "a refit forgot what was shown");
                    known = *length;
                }
                Shown::Update(value) => {
                    assert_eq!(*value as usize, known, "a value was skipped or shown twice");
                    known += 1;
                }
                Shown::Predict | Shown::Breach => asked.push(known),
            }
        }
        let last = *task.origins.last().unwrap();
        let mut breaches: Vec<usize> = (task.first..=last).collect();
        breaches.extend(&task.origins);
        breaches.sort_unstable();
        assert_eq!(asked, breaches, "{family:?}");
        assert_eq!(out.breaches.iter().map(|b| b.origin).collect::<Vec<_>>(), (70..=90).collect::<Vec<_>>());
    }
}

#[test]
fn only_models_that_learn_by_refits_are_refitted_within_the_budget() {
    for (family, fit_us, refit_us, fits, every) in [
        (Family::Ridge, 1.0, 100.0, 1, None),
        (Family::Combination, 1.0, 100.0, 1, None),
        (Family::Lstm, 1.0, 100.0, 1, None),
        (Family::Trees, 1.0, 100.0, 4, Some(1)),
        (Family::Arima, 50.0, 100.0, 2, Some(2)),
        (Family::Prophet, 500.0, 100.0, 1, Some(4)),
    ] {
        let (out, _) = run(&Spy::new(family, fit_us), refit_us);
        assert_eq!((out.fits, out.refit_every), (fits, every), "{family:?}");
    }
}

#[test]
fn a_model_that_fails_is_stood_in_for_and_counted() {
    let (out, task) = run(&Spy { fails: true, ..Spy::new(Family::Ridge, 1.0) }, 1.0);
    assert_eq!((out.fits, out.failures, out.fallbacks), (0, 4, 4));
    assert_eq!(out.failed_because.as_deref(), Some("the fit failed: it is told to"));
    for (row, origin) in out.forecasts.rows(10).zip(&task.origins) {
        assert!(row.iter().all(|step| step.point as usize == origin - 1), "the newest value stands in");
    }
}

#[test]
fn the_band_is_the_one_of_80_percent() {
    for (place, want) in BAND.into_iter().zip([0.1, 0.9]) {
        assert!((LEVELS[place] - want).abs() < 1e-12, "level {}, not {want}", LEVELS[place]);
    }
}

#[test]
fn nothing_is_asked_when_the_newest_value_is_above_already() {
    let series = series(100);
    let mut task = Task::new(&series, 4, 10).unwrap();
    task.threshold = 75.0;
    let budget = Budget { refit_us: 1.0, breach_steps: usize::MAX };
    let out = replay(&Spy::new(Family::Ridge, 1.0), &series, &task, budget);
    // Before step 77 the newest value is at most 75.
    assert_eq!(out.breaches.iter().map(|b| b.origin).max(), Some(76));
}
