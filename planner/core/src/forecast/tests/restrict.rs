//! Which models have a say when only some are named, and what a newly fitted one starts with.
use super::super::{
    Forecaster, HoltWinters, Shape,
    candidates::NAMES,
    cheap_models,
    model::{Fitted, History, MEDIAN_AND_TAIL, MODEL_NAMES, Model as _, Prediction},
};
use crate::time::{Step, Timestamp};

const HORIZON: usize = 24;

fn shape() -> Shape {
    Shape {
        step: Step::from_ms(60_000).unwrap(),
        season: Some(96),
        horizon: HORIZON,
        lowest: Some(0.0),
        highest: None,
    }
}

fn value(step: usize) -> f64 {
    100.0 + 40.0 * (step as f64 / 96.0 * std::f64::consts::TAU).sin() + f64::from((step * 7919 % 13) as u32)
}

fn only(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_name_that_policies_may_give_is_of_a_model_in_the_forecaster_or_of_its_own() {
    let cheap: Vec<&str> = cheap_models().iter().map(|model| model.name()).collect();
    for name in &MODEL_NAMES[..7] {
        assert!(cheap.contains(name), "{name} is a cheap model");
        assert!(NAMES.contains(name) || *name == HoltWinters.name(), "{name} can be chosen");
    }
    // That one needs more than the values of a series; a live series of a latency brings it along.
    assert_eq!(MODEL_NAMES[7], MEDIAN_AND_TAIL);
    assert!(!cheap.contains(&MEDIAN_AND_TAIL));
}

#[test]
fn only_the_named_models_have_a_say_and_the_others_return_where_none_can() {
    let mut forecaster = Forecaster::new(shape());
    forecaster.restrict(&only(&["seasonal_naive"]));
    (0..60).for_each(|step| forecaster.observe(value(step)));
    let mut out = [Prediction::UNKNOWN; HORIZON];
    forecaster.forecast(&mut out).unwrap();
    assert!(forecaster.fell_back(), "no season was seen yet");
    (60..400).for_each(|step| forecaster.observe(value(step)));
    forecaster.forecast(&mut out).unwrap();
    assert!(!forecaster.fell_back());
    let used: Vec<String> = forecaster.contributions().into_iter().map(|part| part.model).collect();
    assert!(used.iter().all(|name| name == "seasonal_naive"), "{used:?}");
    forecaster.restrict(&[]);
    let used: Vec<String> = forecaster.contributions().into_iter().map(|part| part.model).collect();
    assert!(used.iter().any(|name| name != "seasonal_naive"), "{used:?}");
}

/// Knows the future, or says nothing.
#[derive(Debug)]
struct Oracle {
    at: usize,
    speaks: bool,
}

impl Fitted for Oracle {
    fn update(&mut self, _value: f64, _covariates: &[f64]) {
        self.at += 1;
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        for (ahead, out) in out.iter_mut().enumerate() {
            let point = if self.speaks { value(self.at + ahead) } else { f64::NAN };
            *out = Prediction { point, quantiles: None };
        }
    }
}

#[test]
fn a_model_that_was_judged_on_the_past_counts_at_once_and_one_that_says_nothing_never() {
    let values: Vec<f64> = (0..400).map(value).collect();
    for speaks in [true, false] {
        let mut forecaster = Forecaster::new(shape());
        for value in &values {
            forecaster.observe(*value);
        }
        forecaster.restrict(&only(&["oracle"]));
        assert!(forecaster.fell_back());
        let fitted_to = values.len() - 2 * HORIZON;
        forecaster.attach_judged("oracle", Box::new(Oracle { at: fitted_to, speaks }), &values, fitted_to);
        let mut out = [Prediction::UNKNOWN; HORIZON];
        forecaster.forecast(&mut out).unwrap();
        assert_eq!(forecaster.fell_back(), !speaks);
        let used: Vec<String> = forecaster.contributions().into_iter().map(|part| part.model).collect();
        assert_eq!(used.iter().all(|name| name == "oracle"), speaks, "{used:?}");
        if speaks {
            let off = out.iter().enumerate().map(|(ahead, out)| (out.point - value(400 + ahead)).abs());
            let worst = off.fold(0.0, f64::max);
            assert!(worst < 4.0, "{worst} off an oracle that is right");
        }
        // It goes on as one that was always there.
        (400..500).for_each(|step| forecaster.observe(value(step)));
        assert!(forecaster.has("oracle"));
    }
}

#[test]
fn holt_winters_can_be_attached_by_its_name() {
    let values: Vec<f64> = (0..400).map(value).collect();
    let history = History {
        start: Timestamp::from_unix_ms(0),
        step: shape().step,
        season: Some(96),
        horizon: HORIZON,
        values: &values[..300],
        covariates: &[],
        lowest: Some(0.0),
        highest: None,
    };
    let mut forecaster = Forecaster::new(shape());
    for value in &values {
        forecaster.observe(*value);
    }
    forecaster.restrict(&only(&[HoltWinters.name()]));
    forecaster.attach_judged(HoltWinters.name(), HoltWinters.fit(&history).unwrap(), &values, 300);
    assert!(!forecaster.fell_back());
}
