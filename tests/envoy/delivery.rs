//! Delivery while everything works, while the planner is away, and while answers get lost.
use foremesh_tests::{Fleet, LossyProxy, Rig, until};
use std::time::Duration;

/// Longer than the filter needs to notice that traffic has ended, and to send what is left.
const QUIET: Duration = Duration::from_secs(2);
/// Longer than it takes to send again after an answer that never came: 2 s time-out, 1.25 s first back-off, 1 s tick.
const RESEND: Duration = Duration::from_secs(5);
/// Several answers in a row may be lost, and the pauses grow to 16 s and a quarter.
const MADE_UP_FOR: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_load_is_stored_exactly() {
    let rig = Rig::start(async |_| {}).await;
    let sent =
        Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 1500.0).run_for(Duration::from_secs(8)).await;
    let stored = rig.settle(sent.all_ok(), QUIET).await;
    assert_eq!(rig.proxy.requests().await, [sent.all_ok(); 3], "Envoy's total, completed and 2xx");
    assert_eq!(rig.backend.received(), sent.all_ok(), "requests that reached the service");
    assert_eq!(stored.counts().ok, sent.all_ok());
    assert_eq!(stored.streams.len(), 2, "both workers send: {}", stored.describe());
    for (path, totals) in &sent.paths {
        let route = path.replace("/route/", "route-");
        assert_eq!(stored.routes[&route].all(), totals.sent, "observations of {route}");
    }
    // Every element of the attribute list is there for such requests, so none may need the slow way.
    assert!(stored.streams.iter().all(|stream| stream.fallbacks == 0), "attributes were read one by one");
    println!(
        "steady: {} sent, {} stored, {} duplicates",
        sent.all_ok(),
        stored.observations(),
        stored.duplicates()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_planner_for_60_s_loses_nothing() {
    let mut rig = Rig::start(async |_| {}).await;
    let fleet = Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 200.0);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = rig.planner.stored().await.observations();
    assert!(before > 0, "summaries arrive before the outage");
    rig.planner.down().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.planner.up().await;
    assert!(rig.planner.stored().await.observations() >= before, "the store keeps what it acknowledged");
    let sent = fleet.run_for(Duration::from_secs(4)).await;
    let stored = rig.settle(sent.all_ok(), RESEND).await;
    assert_eq!(rig.proxy.requests().await, [sent.all_ok(); 3], "Envoy's total, completed and 2xx");
    assert!(stored.failed_pushes() > 0, "the filter noticed the outage: {}", stored.describe());
    println!(
        "outage: {} sent, {} stored, {} before it, {} failed pushes, {} duplicates",
        sent.all_ok(),
        stored.observations(),
        before,
        stored.failed_pushes(),
        stored.duplicates()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_whose_answer_is_lost_counts_once() {
    let mut lossy = None;
    let rig = Rig::start(async |spec| {
        let proxy = LossyProxy::start(spec.planner).await;
        spec.planner = proxy.address();
        lossy = Some(proxy);
    })
    .await;
    let lossy = lossy.expect("the proxy was put in");
    let sent =
        Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 300.0).run_for(Duration::from_secs(12)).await;
    // The last answer may be one that is lost: then the summary comes once more after everything is stored.
    rig.settle(sent.all_ok(), RESEND).await;
    // A body that was sent again may have lost its answer again, so the pauses grow: wait for the last delivery.
    let stored = until("every lost answer to be made up for", MADE_UP_FOR, async || {
        let stored = rig.planner.stored().await;
        if stored.duplicates() == lossy.lost() { Ok(stored) } else { Err(stored.describe()) }
    })
    .await;
    stored.assert_exact(sent.all_ok());
    assert_eq!(rig.proxy.requests().await, [sent.all_ok(); 3], "Envoy's total, completed and 2xx");
    assert!(lossy.lost() >= 2, "both kinds of loss happened: {} lost", lossy.lost());
    let summaries: u64 = stored.streams.iter().map(|stream| stream.summaries).sum();
    assert_eq!(
        summaries + stored.duplicates(),
        lossy.delivered(),
        "summaries and duplicates are all deliveries"
    );
    // A body whose answer is lost is sent again, at least once until its answer arrives.
    assert_eq!(stored.duplicates(), lossy.lost(), "{}", stored.describe());
    println!(
        "lost answers: {} sent, {} stored, {} deliveries, {} answers lost, {} duplicates",
        sent.all_ok(),
        stored.observations(),
        lossy.delivered(),
        lossy.lost(),
        stored.duplicates()
    );
}
