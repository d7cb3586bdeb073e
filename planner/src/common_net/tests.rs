use super::*;
use foremesh_core::time::Step;
use std::time::Duration;

const HORIZON: usize = 12;
const HOUR_MS: i64 = 3_600_000;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000 + hour * HOUR_MS)
}

fn settings(wanted: bool) -> NetSettings {
    NetSettings { every_ms: 24 * HOUR_MS, windows: 64, wanted }
}

fn lesson(value: impl Fn(usize) -> f64) -> Lesson {
    let shape =
        Shape { step: Step::MINUTE, season: Some(48), horizon: HORIZON, lowest: Some(0.0), highest: None };
    Lesson { start: at(0), shape, values: (0..240).map(value).collect() }
}

fn wave(step: usize) -> f64 {
    10.0 + (step as f64 * std::f64::consts::TAU / 48.0).sin()
}

async fn ended(net: &mut CommonNet) -> Option<Box<dyn Model>> {
    for _ in 0..3000 {
        if net.running.as_ref().is_none_or(JoinHandle::is_finished) {
            return net.finished();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("64 windows take milliseconds, and it still trains after 30 s");
}

#[tokio::test]
async fn a_net_is_trained_once_a_day_and_a_restart_has_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lstm.json");
    let mut net = CommonNet::open(&file, HORIZON, settings(true));
    assert!(net.model().is_none() && net.due(at(0)), "nothing is kept");
    net.train(at(0), Vec::new());
    assert!(net.due(at(0)), "nothing to learn from yet");
    net.train(at(0), vec![lesson(wave)]);
    assert!(!net.due(at(100)), "one training at a time");
    let model = ended(&mut net).await.expect("it was trained");
    assert_eq!(model.name(), "lstm");
    assert!(ended(&mut net).await.is_none(), "each training gives one model");
    let report = net.report();
    assert_eq!((report.trained_at, report.succeeded, report.failed), (Some(at(0)), 1, 0));
    assert!(report.cpu_seconds > 0.0);

    let again = CommonNet::open(&file, HORIZON, settings(true));
    assert_eq!(again.network, net.network, "the same weights");
    for (hour, due) in [(0, false), (23, false), (24, true), (-23, false), (-24, true)] {
        assert_eq!(again.due(at(hour)), due, "{hour} hours after the training");
    }
    assert!(!CommonNet::open(&file, HORIZON, settings(false)).due(at(99)), "nobody names the model");
}

#[tokio::test]
async fn a_training_that_fails_leaves_the_old_net_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lstm.json");
    let mut net = CommonNet::open(&file, HORIZON, settings(true));
    net.train(at(0), vec![lesson(wave)]);
    let before = ended(&mut net).await.map(|_| net.network.clone());
    net.train(at(24), vec![lesson(|_| 5.0)]);
    assert!(ended(&mut net).await.is_none(), "a constant teaches nothing");
    assert_eq!(Some(net.network.clone()), before);
    let report = net.report();
    assert_eq!((report.trained_at, report.succeeded, report.failed), (Some(at(0)), 1, 1));
    assert!(!net.due(at(47)) && net.due(at(48)), "the next try is a day later");
}

#[tokio::test]
async fn a_kept_net_that_cannot_be_used_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lstm.json");
    let mut net = CommonNet::open(&file, HORIZON, settings(true));
    net.train(at(0), vec![lesson(wave)]);
    assert!(ended(&mut net).await.is_some());
    let whole = std::fs::read_to_string(&file).unwrap();
    for (name, text, horizon) in [
        ("as it was kept, for another horizon", whole.clone(), HORIZON + 1),
        ("cut off", whole[..whole.len() / 2].to_owned(), HORIZON),
        ("of another format", whole.replace("\"format\":1", "\"format\":99"), HORIZON),
        ("empty", String::new(), HORIZON),
        ("another file", "{}".to_owned(), HORIZON),
    ] {
        std::fs::write(&file, &text).unwrap();
        let net = CommonNet::open(&file, horizon, settings(true));
        assert!(net.model().is_none() && net.due(at(0)), "{name}");
    }
}
