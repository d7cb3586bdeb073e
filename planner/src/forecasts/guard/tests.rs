use super::*;
use foremesh_core::{
    forecast::model::{Cost, Family},
    time::Step,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    FitError,
    FitPanic,
    UpdatePanic,
    PredictPanic,
    NotANumber,
}

#[derive(Debug)]
struct Faulty(Fault);

impl Model for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn family(&self) -> Family {
        Family::Trees
    }

    fn cost(&self, _observed: usize) -> Cost {
        Cost { fit_us: 1.0, update_us: 1.0, predict_us: 1.0 }
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        3
    }

    fn fit(&self, _history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        assert_ne!(self.0, Fault::FitPanic, "as a library does");
        if self.0 == Fault::FitError {
            return Err(ModelError::Failed { why: "no way".to_owned() });
        }
        Ok(Box::new(FaultyFit(self.0)))
    }
}

#[derive(Debug)]
struct FaultyFit(Fault);

impl Fitted for FaultyFit {
    fn update(&mut self, _value: f64, _covariates: &[f64]) {
        assert_ne!(self.0, Fault::UpdatePanic, "as a library does");
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        assert_ne!(self.0, Fault::PredictPanic, "as a library does");
        let point = if self.0 == Fault::NotANumber { f64::NAN } else { 7.0 };
        out.fill(Prediction { point, quantiles: None });
    }
}

#[test]
fn every_fault_is_counted_and_leaves_the_series_to_the_others() {
    // Fault, and then: fitted, failed, bad predictions, whether a forecast came out.
    let table = [
        (Fault::None, 1, 0, 0, true),
        (Fault::FitError, 0, 1, 0, false),
        (Fault::FitPanic, 0, 1, 0, false),
        (Fault::UpdatePanic, 1, 0, 1, false),
        (Fault::PredictPanic, 1, 0, 1, false),
        (Fault::NotANumber, 1, 0, 2, false),
    ];
    for (fault, fitted, failed, bad, speaks) in table {
        let tally = Tally::default();
        let history = History {
            start: Timestamp::default(),
            step: Step::from_ms(1_000).unwrap(),
            season: None,
            horizon: 2,
            values: &[1.0; 9],
            covariates: &[],
            lowest: None,
            highest: None,
        };
        let mut out = [Prediction::UNKNOWN; 2];
        if let Some(mut model) = fit(&Faulty(fault), "service/shop/latency_p99_ms", &history, &tally) {
            for _ in 0..2 {
                model.update(1.0, &[]);
                model.predict(&[], &mut out);
            }
        }
        let counts = tally.counts()["faulty"];
        assert_eq!(
            (counts.fitted, counts.failed, counts.bad_predictions),
            (fitted, failed, bad),
            "{fault:?}"
        );
        assert_eq!(out.iter().all(|said| said.point.is_finite()), speaks, "{fault:?}");
    }
}
