use super::{
    super::tests::{live, nothing_around, pass::Dear},
    *,
};
use foremesh_core::{calendar::Priors, history::Metric, ids::ServiceId, time::Step};

fn id(name: &str) -> SeriesId {
    SeriesId::Service(ServiceId::new(name), Metric::Throughput)
}

fn minute(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_764_000_000_000 + minute * 60_000)
}

/// Which of the series were fitted in each of so many passes, a minute apart, in the order of `names`.
fn fitted(cost_us: f64, budget_us: f64, refit_ms: i64, names: &[&'static str], passes: i64) -> Vec<String> {
    let settings = ExpertsSettings { budget_us, refit_ms, memory_bytes: usize::MAX };
    let mut experts = Experts::new(
        settings,
        vec![Box::new(Dear { fit_us: cost_us, from: 3 })],
        vec!["extra_trees".to_owned()],
    );
    let value = |step: usize| 10.0 + (step % 7) as f64;
    let mut series: Vec<(SeriesId, LiveSeries)> =
        names.iter().map(|name| (id(name), live(60, value))).collect();
    let history =
        Series::new(Timestamp::from_unix_ms(1_763_985_600_000), Step::MINUTE, (0..60).map(value).collect());
    let priors = Priors::default();
    let around = nothing_around(&priors);
    let mut all = Vec::new();
    for pass in 0..passes {
        experts.begin_pass(minute(pass), |_| true);
        let mut now = Vec::new();
        for (id, live) in &mut series {
            let before = experts.waiting_since(id);
            experts.look_at(id, live, &history, &around, &[]);
            if experts.waiting_since(id) != before {
                now.push(id.subject().to_owned());
            }
        }
        all.push(now.join("+"));
    }
    all
}

#[test]
fn a_fit_that_costs_more_than_a_pass_may_spend_is_paid_back_before_the_next() {
    const DAY_MS: i64 = 86_400_000;
    for (name, cost, budget, want) in [
        ("all fit into one pass", 10.0, 100.0, ["a+b+c", "", "", "", ""]),
        ("two and a half fit", 40.0, 100.0, ["a+b+c", "", "", "", ""]),
        ("two fit", 50.0, 100.0, ["a+b", "c", "", "", ""]),
        ("one costs two passes", 200.0, 100.0, ["a", "", "b", "", "c"]),
        ("one costs a little over three passes", 310.0, 100.0, ["a", "", "", "b", ""]),
        ("no budget", 10.0, 0.0, ["", "", "", "", ""]),
    ] {
        assert_eq!(fitted(cost, budget, DAY_MS, &["a", "b", "c"], 5), want, "{name}");
    }
}

#[test]
fn a_model_is_fitted_again_when_its_time_has_come_and_not_before() {
    assert_eq!(fitted(10.0, 100.0, 3 * 60_000, &["a"], 8), ["a", "", "", "a", "", "", "a", ""]);
}
