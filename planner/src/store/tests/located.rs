//! Routes whose answering replica the caller's proxy knows: counted at its node too, and nowhere twice.
use super::*;
use crate::{endpoints::located, gates::StoreGates, rollout::GateSource};
use foremesh_core::units::Quantile;
use std::sync::Arc;

/// What the edge on n1 saw of the replicas on h1 and h2, as ingest names it.
fn seen(sequence: u64, cumulative: u64) -> Summary {
    let to = |peer: &str, name: &str, latencies: &[u64], failed| RouteWindow {
        peer: peer.into(),
        route: name.into(),
        ..route(Direction::Outbound, "cart", latencies, failed)
    };
    let routes = vec![
        to("cart@h1", "get", &[1_000; 30], 3),
        to("cart@h2", "get", &[9_000; 10], 0),
        to("cart@h1", "put", &[1_000; 5], 0),
        to("", "get", &[500; 2], 0),
    ];
    let mut sent = summary(proxy("edge", "n1"), 7, sequence, NOON + ms(sequence) * 2000, cumulative, routes);
    assert!(located(&mut sent.message));
    sent.body = foremesh_summary::encode(&sent.message).into();
    sent
}

#[tokio::test]
async fn a_gate_sees_each_replica_by_what_its_callers_saw() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let clock = Clock::Manual(ManualClock::new(at(NOON + 10_000)));
    for (sequence, cumulative) in [(1, 47), (2, 94)] {
        store.append(seen(sequence, cumulative)).await.unwrap();
    }
    let again = store.append(seen(2, 94)).await.unwrap();
    assert_eq!(again, Appended::Duplicate);
    let gates = StoreGates { store: Arc::clone(&store) as _, clock };
    let sample = async |node: &str| {
        let median = Quantile::new(0.5).unwrap();
        let (from, to) = (at(NOON), at(NOON + 10_000));
        let of = gates.sample(&"cart".into(), &node.into(), median, from, to).await.unwrap();
        (of.requests, of.server_errors, of.latency_ms.round())
    };
    assert_eq!(sample("h1").await, (70, 6, 1.0));
    assert_eq!(sample("h2").await, (20, 0, 9.0));
    assert_eq!(sample("n1").await.0, 0, "nothing was answered at the edge's own node");
    let streams = store.streams().await.unwrap();
    assert_eq!((streams[0].observations, streams[0].lost, streams[0].duplicates), (94, 0, 1));
    let rows = store.service_range(ServiceQuery::new(0, at(0), at(i64::MAX))).await.unwrap();
    let requests: u32 = rows.iter().map(|row| row.step.requests).sum();
    assert_eq!(requests, 94, "the service has each request once");
}

#[tokio::test]
async fn a_restart_counts_what_waited_as_it_would_have_been() {
    let folder = tempfile::tempdir().unwrap();
    let before = {
        let store = open(folder.path());
        store.append(seen(1, 47)).await.unwrap();
        store.flush(at(NOON)).await.unwrap();
        all(&store, 0).await
    };
    let other = tempfile::tempdir().unwrap();
    open(other.path()).append(seen(1, 47)).await.unwrap();
    let store = open(other.path());
    store.flush(at(NOON)).await.unwrap();
    let mut after = all(&store, 0).await;
    let key = |step: &SeriesStep| (*step.key).clone();
    let mut before = before;
    before.sort_by_key(key);
    after.sort_by_key(key);
    assert_eq!(after, before);
    assert_eq!(after.len(), 5, "two routes of the caller, and three of the replicas");
}
