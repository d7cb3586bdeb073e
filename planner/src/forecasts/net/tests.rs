use super::{corpus::selected, training::windows, *};
use crate::{
    clock::{Clock, ManualClock},
    forecasts::SeriesId,
};
use foremesh_core::{
    forecast::{
        Shape,
        model::{History, Model},
    },
    gauge::GaugeMetric,
    history::Metric,
    ids::{NodeId, ServiceId},
    time::Step,
};
use foremesh_models::Lstm;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

const DAY_MS: i64 = 24 * 3_600_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_763_985_600_000 + ms)
}

fn settings(folder: &Path) -> NetSettings {
    NetSettings { file: folder.join("lstm.json"), train_every_ms: DAY_MS, windows: 64 }
}

fn values(phase: usize) -> Vec<f64> {
    (0..200)
        .map(|step| 50.0 + 30.0 * ((step + phase) as f64 / 4.0).sin() + (step * 7919 % 13) as f64)
        .collect()
}

fn series_of(values: Vec<f64>) -> TrainingSeries {
    let shape = Shape { step: Step::MINUTE, season: Some(24), horizon: 8, lowest: Some(0.0), highest: None };
    TrainingSeries::new(at(0), shape, values)
}

fn series(phase: usize) -> TrainingSeries {
    series_of(values(phase))
}

/// What a model says about a series that it knows 20 values of.
fn said(model: &Lstm) -> Vec<u64> {
    let values = &values(3)[..20];
    let history = series(3);
    let mut fitted = model.fit(&History { values, ..history.history() }).unwrap();
    let mut out = vec![foremesh_core::forecast::model::Prediction::UNKNOWN; 4];
    fitted.predict(&[], &mut out);
    assert!(out.iter().all(|said| said.point.is_finite()), "{out:?}");
    out.iter().map(|said| said.point.to_bits()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a deadline of a test that waits for a thread")]
fn wait(training: &mut NetTraining) -> Option<Lstm> {
    let begun = Instant::now();
    let before = training.state();
    loop {
        let model = training.finished();
        if model.is_some() || training.state() != before {
            return model;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the training does not end");
        std::thread::yield_now();
    }
}

#[test]
fn it_is_time_once_a_day_and_sooner_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let usual = settings(folder.path());
    let none = NetSettings { windows: 0, ..usual.clone() };
    let hours = |hours: i64| Some(at(hours * 3_600_000));
    for (name, settings, trained, tried, want) in [
        ("never", &usual, None, None, true),
        ("an hour ago", &usual, hours(47), hours(47), false),
        ("a day ago", &usual, hours(24), hours(24), true),
        ("a day ago, and failed just now", &usual, hours(24), hours(48), false),
        ("a day ago, and failed an hour ago", &usual, hours(24), hours(47), true),
        ("in the future", &usual, hours(90), None, true),
        ("not wanted", &none, None, None, false),
    ] {
        assert_eq!(settings.due(at(2 * DAY_MS), trained, tried), want, "{name}");
    }
}

#[test]
fn few_nodes_are_not_lost_among_many_services_and_the_sum_is_bounded() {
    let services = (0..1_000).map(|n| SeriesId::Service(ServiceId::new(format!("s{n}")), Metric::Throughput));
    let nodes = (0..5).map(|n| SeriesId::Node(NodeId::new(format!("n{n}")), GaugeMetric::CpuUsedMillicores));
    let all: Vec<SeriesId> = services.chain(nodes).collect();
    let chosen = selected(all.iter(), 40, 1);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &chosen {
        *kinds.entry(id.kind()).or_default() += 1;
    }
    assert_eq!(kinds, BTreeMap::from([("node", 5), ("service", 35)]));
    assert_eq!(chosen, selected(all.iter(), 40, 1), "the same each time");
    assert_ne!(chosen, selected(all.iter(), 40, 2), "others another day");
    assert_eq!(selected(all.iter(), 2_000, 1).len(), all.len());
    assert_eq!([windows(200_000, 100), windows(200_000, 1_000_000)], [400, 200_000]);
}

#[test]
fn a_restart_has_the_net_at_once_and_trains_when_the_day_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at(0));
    let open = || NetTraining::open(settings(folder.path()), Clock::Manual(clock.clone()));
    let (mut training, kept) = open();
    assert!(kept.is_none() && training.due(at(0)));
    training.begin(Vec::new());
    assert!(training.due(at(0)), "nothing to learn from is no attempt");
    training.begin(vec![series(0), series(5)]);
    assert!(!training.due(at(DAY_MS * 9)), "one at a time");
    let model = wait(&mut training).expect("a net");
    assert!(training.finished().is_none(), "given once");
    let state = training.state();
    assert_eq!((state.trained, state.failed, state.unkept, state.trained_at), (1, 0, 0, Some(at(0))));
    assert!(state.cpu_seconds > 0.0, "{state:?}");
    let (again, kept) = open();
    assert_eq!(said(&kept.expect("the kept net")), said(&model));
    assert!(!again.due(at(DAY_MS - 1)) && again.due(at(DAY_MS)));
}

#[test]
fn a_training_that_fails_leaves_the_net_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::Manual(ManualClock::new(at(0)));
    let (mut training, _) = NetTraining::open(settings(folder.path()), clock.clone());
    training.begin(vec![series(0)]);
    let model = wait(&mut training).expect("a net");
    training.begin(vec![series_of(vec![1.0; 200])]);
    assert!(wait(&mut training).is_none());
    let state = training.state();
    assert_eq!((state.trained, state.failed, state.trained_at), (1, 1, Some(at(0))));
    let (_, kept) = NetTraining::open(settings(folder.path()), clock);
    assert_eq!(said(&kept.unwrap()), said(&model));
}

#[test]
fn a_file_that_cannot_be_used_is_passed_over_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let clock = Clock::Manual(ManualClock::new(at(0)));
    let (mut training, _) = NetTraining::open(settings.clone(), clock.clone());
    training.begin(vec![series(0)]);
    wait(&mut training).expect("a net");
    let good = fs::read_to_string(&settings.file).unwrap();
    for (name, content) in [
        ("empty", String::new()),
        ("cut off", good[..good.len() / 2].to_owned()),
        ("newer", r#"{"format": 2, "weights": "elsewhere"}"#.to_owned()),
        ("a net of another format", good.replace(r#""network":{"format":1"#, r#""network":{"format":9"#)),
    ] {
        assert_ne!(content, good, "{name}");
        fs::write(&settings.file, &content).unwrap();
        let (mut training, kept) = NetTraining::open(settings.clone(), clock.clone());
        assert!(kept.is_none() && training.due(at(0)), "{name}");
        training.begin(vec![series(0)]);
        wait(&mut training).expect("a net");
        assert!(NetTraining::open(settings.clone(), clock.clone()).1.is_some(), "{name}: replaced");
    }
}
