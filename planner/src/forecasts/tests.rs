pub(super) mod pass;

use super::*;
use foremesh_core::{ids::ServiceId, live::Surroundings, series::Series, time::Step};

const HORIZON: usize = 4;

fn at(step: usize) -> Timestamp {
    Timestamp::from_unix_ms(1_763_985_600_000).plus_ms(Step::MINUTE.times(step))
}

fn id(service: &str) -> SeriesId {
    SeriesId::Service(ServiceId::new(service), Metric::Throughput)
}

/// Nothing is known around a series of throughput.
pub(super) const fn nothing_around(priors: &Priors) -> Surroundings<'_> {
    Surroundings {
        metric: "throughput_rps",
        occurrences: &[],
        priors,
        moves: &[],
        regressors: &[],
        parts: None,
    }
}

/// A series that was forecast at each of its steps.
pub(super) fn live(steps: usize, value: impl Fn(usize) -> f64) -> LiveSeries {
    let how = ForecastSettings::new(HORIZON, Some(12), 600_000);
    let mut live = LiveSeries::new(how.shape(Step::MINUTE), at(0), None);
    let priors = Priors::default();
    let around = nothing_around(&priors);
    for end in 1..=steps {
        live.advance(&Series::new(at(0), Step::MINUTE, (0..end).map(&value).collect()), &around);
        let _ = live.outlook("cart", &around, at(end), &how);
    }
    live
}

#[test]
fn the_worst_series_are_listed_first_and_those_that_nobody_could_judge_last() {
    // The same shape each "day" is known after some of them; noise never is.
    let seasonal = |step: usize| [50.0, 80.0, 20.0, 90.0, 10.0, 60.0][step % 6] + (step % 5) as f64 * 0.1;
    let noise = |step: usize| ((step * 7919 + step * step * 104_729) % 1009) as f64;
    let kept = BTreeMap::from([
        (id("a-known"), live(200, seasonal)),
        (id("b-new"), live(2, seasonal)),
        (id("c-noise"), live(200, noise)),
        (id("d-never"), live(0, seasonal)),
    ]);
    let listed = accuracies(&kept);
    let names: Vec<&str> = listed.iter().map(|one| one.id.subject()).collect();
    assert_eq!(names, ["c-noise", "a-known", "b-new", "d-never"]);
    let relative: Vec<Option<f64>> = listed.iter().map(Accuracy::relative).collect();
    assert!(relative[1].is_some_and(|known| known < 0.5), "{relative:?}");
    assert!(relative[0] > relative[1] && relative[2].is_none() && relative[3].is_none(), "{relative:?}");
    assert!(
        listed[1].scores[0].count > 150 && listed[1].scores[0].coverage_80 > 0.5,
        "{:?}",
        listed[1].scores
    );
    assert_eq!(listed[1].observed, 200);
}

#[test]
fn who_is_most_likely_to_breach_gets_dear_models_first_then_who_has_waited_longest() {
    let how = ForecastSettings::new(HORIZON, Some(12), 600_000);
    let settings = ExpertsSettings { budget_us: 1.0, refit_ms: 1, memory_bytes: usize::MAX };
    let mut forecasts = Forecasts::new(how, 0, Experts::new(settings, Vec::new(), Vec::new()), 0.0);
    let wanted = ["calm", "new", "risky", "riskier"].map(id).into_iter().collect();
    forecasts.risks = BTreeMap::from([(id("risky"), 0.3), (id("riskier"), 0.9), (id("calm"), 0.0)]);
    let order: Vec<&str> = forecasts.in_order(&wanted).into_iter().map(SeriesId::subject).collect();
    assert_eq!(order, ["riskier", "risky", "calm", "new"]);
}
