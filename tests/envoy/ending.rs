//! What is stored when a proxy ends: by SIGTERM, and by SIGKILL after a drain.
use foremesh_demo::Totals;
use foremesh_tests::load::hammer;
use foremesh_tests::{Fleet, Rig, until};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long an Envoy may take to end after SIGTERM.
const END: Duration = Duration::from_secs(10);
/// The proxy is gone, so nothing can come but what is on its way.
const LAST: Duration = Duration::from_secs(1);
/// Windows so long that, while traffic flows, only a flush at the end can deliver.
const LONG_MS: u64 = 60_000;
/// Requests that make both workers push once.
const FIRST: usize = 80;

/// Envoy destroys a worker right after it told the filter of the end, so the last summary gets out over a connection
/// to the planner that is there already, and not over one that would have to be made. A proxy in use has one; here both
/// workers make theirs by a first summary, which is due when this short traffic has ended.
async fn connect_both_workers(rig: &Rig) -> u64 {
    hammer(rig.proxy.address(), &rig.proxy.paths(), 8, FIRST).await;
    let arrived = async || {
        let stored = rig.planner.stored().await;
        let all = stored.observations() == FIRST as u64 && stored.streams.len() == 2;
        if all { Ok(()) } else { Err(stored.describe()) }
    };
    until("a first summary of both workers", Duration::from_secs(20), arrived).await;
    FIRST as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_right_after_a_load_delivers_the_live_window() {
    let mut rig = Rig::start(async |spec| spec.interval_ms = LONG_MS).await;
    let first = connect_both_workers(&rig).await;
    let load =
        Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 500.0).run_for(Duration::from_secs(3)).await;
    // Every request is answered; SIGTERM comes before the filter can see that traffic has ended.
    let counted = rig.proxy.requests().await;
    let pushed = rig.planner.stored().await.observations();
    rig.proxy.envoy.stop(END).await.expect("Envoy ends");
    let sent = first + load.all_ok();
    assert_eq!(counted, [sent; 3], "Envoy's total, completed and 2xx");
    let stored = rig.settle(sent, LAST).await;
    assert!(pushed < sent, "everything was pushed before the end, which proves nothing");
    println!("SIGTERM after load: {sent} sent, {} stored, {pushed} before the signal", stored.observations());
}

/// Requests that are in flight at the signal have no exact number: Envoy may have finished a response that its socket
/// never delivers. So three things are known. Every answer that the client got was finished, hence stored as `ok`. What
/// is stored as `ok` beyond that is among the requests that the client saw fail. And no request is stored that was not
/// sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_stores_every_answer() {
    let mut rig = Rig::start(async |spec| spec.interval_ms = LONG_MS).await;
    let first = connect_both_workers(&rig).await;
    let fleet = Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 1000.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let counted = rig.proxy.requests().await;
    let pushed = rig.planner.stored().await.observations();
    rig.proxy.envoy.stop(END).await.expect("Envoy ends");
    let load = fleet.finish().await.totals;
    let totals = Totals { sent: first + load.sent, ok: first + load.ok, ..load };
    tokio::time::sleep(LAST).await;
    let stored = rig.planner.stored().await;
    // Among the sent ones that failed are those on a connection that Envoy closed before it read them.
    let failed_in_flight = totals.sent - totals.ok;
    let (ok, all) = (stored.counts().ok, stored.observations());
    println!(
        "SIGTERM under load: {} sent, {} answered, {failed_in_flight} in flight; stored {ok} ok of {all}, {pushed} before; \
         Envoy just before: {counted:?}",
        totals.sent, totals.ok
    );
    stored.assert_exact(all);
    assert!(ok >= totals.ok, "{ok} ok stored of {} answered; {}", totals.ok, stored.describe());
    assert!(all >= counted[1], "{all} stored of {} that Envoy had finished before", counted[1]);
    assert!(all <= totals.sent, "{all} stored of {} sent", totals.sent);
    assert!(ok - totals.ok <= failed_in_flight, "{ok} ok stored, {} answered", totals.ok);
    assert!(pushed < totals.ok / 2, "{pushed} were pushed before the end, which proves little");
}

/// As a sidecar ends: asked to drain, clients leave over the next seconds, and 5 s after the request it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_proxy_has_delivered_everything_before_it_is_killed() {
    let mut rig = Rig::start(async |spec| spec.interval_ms = 2000).await;
    let fleet = Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 500.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let drained_at = Instant::now();
    rig.proxy.envoy.drain_inbound().await.expect("Envoy drains");
    let sent = fleet.run_for(Duration::from_secs(2)).await;
    sleep_until(drained_at + Duration::from_secs(5)).await;
    let [total, completed, _] = rig.proxy.requests().await;
    rig.proxy.envoy.kill().await.expect("Envoy can be killed");
    assert_eq!((total, completed), (sent.all_ok(), sent.all_ok()), "Envoy's total and completed");
    let stored = rig.settle(sent.all_ok(), LAST).await;
    println!("drain, then SIGKILL: {} sent, {} stored", sent.all_ok(), stored.observations());
}

/// What a kill without a drain costs is bounded, and what the planner has is still exact.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_proxy_loses_at_most_what_it_had_not_delivered() {
    let mut rig = Rig::start(async |spec| spec.interval_ms = 1000).await;
    let fleet = Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 300.0);
    let both = async || {
        let stored = rig.planner.stored().await;
        if stored.streams.len() == 2 { Ok(()) } else { Err(stored.describe()) }
    };
    until("both workers to deliver", Duration::from_secs(20), both).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.proxy.envoy.kill().await.expect("Envoy can be killed");
    let totals = fleet.finish().await.totals;
    tokio::time::sleep(LAST).await;
    let stored = rig.planner.stored().await;
    stored.assert_exact(stored.observations());
    let lost = totals.ok - stored.observations();
    assert!(stored.observations() <= totals.sent);
    // One window of a second, what is on its way, and what a busy machine delays.
    assert!(lost <= 300 * 4, "{lost} of {} answered are lost", totals.ok);
    println!("SIGKILL: {} answered, {} stored", totals.ok, stored.observations());
}
