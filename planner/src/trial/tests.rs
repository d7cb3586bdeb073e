//! The load against services that are there for the test.
use super::*;
use axum::{Router, extract::State, http::StatusCode, routing::any};
use foremesh_core::{
    policy::{Callees, TrialRequest},
    time::Timestamp,
    trial::{TrialOrder, TrialVerdict, judge},
    units::Quantile,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// What a copy does with each request, and how many it got.
#[derive(Clone, Debug, Default)]
struct Copy {
    /// Answers of each hundred that are failures.
    failing: u64,
    delay: Duration,
    got: Arc<AtomicU64>,
    posts: Arc<AtomicU64>,
}

impl Copy {
    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let answer = |State(copy): State<Self>, method: axum::http::Method| async move {
            let number = copy.got.fetch_add(1, Ordering::Relaxed);
            copy.posts.fetch_add(u64::from(method == axum::http::Method::POST), Ordering::Relaxed);
            tokio::time::sleep(copy.delay).await;
            if number % 100 < copy.failing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
        };
        let router = Router::new().fallback(any(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        at
    }
}

fn order() -> TrialOrder {
    let request = |path: &str, method: &str, weight| TrialRequest {
        path: path.to_owned(),
        method: method.to_owned(),
        headers: [("x-trial".to_owned(), "1".to_owned())].into(),
        body: (method == "POST").then(|| "{}".to_owned()),
        weight,
    };
    TrialOrder {
        workload: "shop/cart".into(),
        service: "cart".into(),
        source: "a".into(),
        target: "b".into(),
        requests: vec![request("/cart?x=1", "GET", 3), request("/cart", "POST", 1)],
        port: None,
        callees: Callees::None,
        copy_secrets: false,
        rate_rps: 200.0,
        peak_rps: 200.0,
        pairs: 200,
        most_pairs: 200,
        warm_up_ms: 200,
        start_within_ms: 0,
        quantile: Quantile::new(0.5).unwrap(),
        objective_ms: 50.0,
        error_margin: 0.05,
        latency_factor: 1.2,
        seed: 3,
    }
}

async fn verdict(target: Copy, order: &TrialOrder) -> (TrialVerdict, String, [Copy; 2]) {
    let source = Copy::default();
    let ends = Ends { source: source.serve().await, target: target.serve().await, host: "cart".to_owned() };
    let samples = tokio::time::timeout(Duration::from_secs(60), load(&ends, order)).await.unwrap().unwrap();
    let report = judge(order, &samples, Timestamp::from_unix_ms(0));
    (report.verdict, report.why, [source, target])
}

#[tokio::test]
async fn both_get_the_same_and_equal_ones_pass() {
    // Whether this machine has time for a load is not what is asked.
    let order = TrialOrder { objective_ms: 2_000.0, ..order() };
    let (verdict, why, [source, target]) = verdict(Copy::default(), &order).await;
    assert_eq!(verdict, TrialVerdict::Pass, "{why}");
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (got, posts) = (count(&source.got), count(&source.posts));
    assert!(got >= 200 && count(&target.got).abs_diff(got) <= 20, "{got}");
    assert!((0.1..0.4).contains(&(posts as f64 / got as f64)), "{posts} of {got}");
}

#[tokio::test]
async fn a_target_that_fails_ends_it_early() {
    let order = TrialOrder { pairs: 4000, most_pairs: 4000, objective_ms: 2_000.0, ..order() };
    let (verdict, why, [source, _]) = verdict(Copy { failing: 30, ..Copy::default() }, &order).await;
    assert_eq!(verdict, TrialVerdict::Fail, "{why}");
    assert!(source.got.load(Ordering::Relaxed) < 3000, "it stopped at the first look: {why}");
}

#[tokio::test]
async fn a_slow_target_fails() {
    let slow = Copy { delay: Duration::from_secs(3), ..Copy::default() };
    let order = TrialOrder { objective_ms: 1_500.0, ..order() };
    let (verdict, why, _) = verdict(slow, &order).await;
    assert_eq!(verdict, TrialVerdict::Fail, "{why}");
}

#[tokio::test]
async fn nobody_there_is_no_pass() {
    let source = Copy::default();
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let ends = Ends { source: source.serve().await, target: nowhere, host: "cart".to_owned() };
    let samples = load(&ends, &order()).await.unwrap();
    assert_eq!(judge(&order(), &samples, Timestamp::from_unix_ms(0)).verdict, TrialVerdict::Fail);
    let ends = Ends { source: nowhere, target: nowhere, host: "cart".to_owned() };
    let samples = load(&ends, &order()).await.unwrap();
    assert_eq!(judge(&order(), &samples, Timestamp::from_unix_ms(0)).verdict, TrialVerdict::Inconclusive);
}
