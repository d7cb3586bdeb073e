//! Workers of one proxy and of many are told apart by their epochs.
use foremesh_tests::load::hammer;
use foremesh_tests::{Backend, Place, PlannerUnderTest, Proxy, ProxySpec, Route, until};
use std::time::Duration;

/// Starts of a proxy with two workers.
const STARTS: usize = 10;
/// Requests of each start; every worker has some, because connections are balanced over the workers.
const REQUESTS: usize = 40;

/// The name of the proxy stays the same over its starts, as it does when a process is restarted, so that nothing but
/// the epoch tells the workers apart. One shared epoch would make two workers' summaries look like duplicates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_workers_share_an_epoch() {
    let place = Place::new();
    let backend = Backend::start().await;
    let planner = PlannerUnderTest::start(place.directory()).await;
    for start in 1..=STARTS {
        let routes = Route::many(2, backend.address());
        let spec = ProxySpec { interval_ms: 500, ..ProxySpec::new("shop-1", routes, planner.address()) };
        let proxy = Proxy::start(&place, spec).await;
        hammer(proxy.address(), &proxy.paths(), 8, REQUESTS).await;
        let arrived = async || {
            let stored = planner.stored().await;
            let (seen, workers) = (stored.observations(), stored.streams.len());
            let wanted = (start * REQUESTS) as u64;
            if seen >= wanted && workers >= 2 * start { Ok(()) } else { Err(stored.describe()) }
        };
        until(&format!("both workers of start {start}"), Duration::from_secs(20), arrived).await;
    }
    let stored = planner.stored().await;
    stored.assert_exact((STARTS * REQUESTS) as u64);
    assert_eq!(stored.epochs().len(), 2 * STARTS, "epochs of {STARTS} starts with two workers");
    assert_eq!(stored.duplicates(), 0, "{}", stored.describe());
    println!("{STARTS} starts: {} epochs", stored.epochs().len());
}
