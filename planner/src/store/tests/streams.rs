//! Duplicates, loss and silence.
use super::*;
use crate::store::streams::{Seen, Sequences};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn one(sequence: u64, cumulative: u64) -> Summary {
    let routes = vec![route(Direction::Outbound, "cart", &[10, 20], 0)];
    summary(proxy("edge", "n1"), 7, sequence, NOON + ms(sequence) * 2000, cumulative, routes)
}

#[tokio::test]
async fn loss_is_what_is_missing_from_the_cumulative_count() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // Sequence, its cumulative count, and afterwards: lost observations, missing summaries, duplicates.
    let cases = [
        (1, 2, (0, 0, 0)),
        (2, 4, (0, 0, 0)),
        (4, 8, (2, 1, 0)),
        (5, 11, (3, 1, 0)),
        (3, 6, (1, 0, 0)),
        (3, 6, (1, 0, 1)),
    ];
    for (sequence, cumulative, want) in cases {
        store.append(one(sequence, cumulative)).await.unwrap();
        let streams = store.streams().await.unwrap();
        assert_eq!(streams.len(), 1);
        let stream = &streams[0];
        let got = (stream.lost, stream.missing, stream.duplicates);
        assert_eq!(got, want, "after sequence {sequence}");
    }
    store.flush(at(NOON)).await.unwrap();
    let before = store.streams().await.unwrap();
    drop(store);
    assert_eq!(open(folder.path()).streams().await.unwrap(), before, "a restart knows the same");
}

#[tokio::test]
async fn what_another_store_acknowledged_is_not_lost_here() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(one(10, 500)).await.unwrap();
    store.append(one(11, 502)).await.unwrap();
    let stream = store.streams().await.unwrap().remove(0);
    assert_eq!((stream.lost, stream.missing, stream.before_first), (0, 0, 498));
    store.append(one(9, 498)).await.unwrap();
    let stream = store.streams().await.unwrap().remove(0);
    assert_eq!((stream.lost, stream.missing, stream.before_first), (0, 0, 496), "a late one was under way");
}

#[tokio::test]
async fn the_newest_summary_says_how_the_proxy_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (sequence, failed) in [(1, 0), (3, 5), (2, 1)] {
        let mut sent = one(sequence, 2 * sequence);
        sent.message.failed_pushes = failed;
        sent.message.overflow = failed * 2;
        sent.message.fallbacks = failed * 3;
        sent.message.config_error = format!("error {failed}");
        store.append(sent).await.unwrap();
    }
    let stream = store.streams().await.unwrap().remove(0);
    assert_eq!((stream.failed_pushes, stream.overflow, stream.fallbacks), (5, 10, 15));
    assert_eq!(stream.config_error, "error 5");
    assert_eq!((stream.newest_sequence, stream.summaries, stream.observations), (3, 3, 6));
}

#[tokio::test]
async fn silent_streams_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (workload, epoch, end) in [("edge", 1, NOON), ("edge", 2, NOON + MINUTE), ("cart", 3, NOON)] {
        let routes = vec![route(Direction::Outbound, "cart", &[1], 0)];
        store.append(summary(proxy(workload, "n1"), epoch, 1, end, 1, routes)).await.unwrap();
    }
    assert_eq!(store.streams().await.unwrap().len(), 3);
    store.flush(at(NOON + 24 * 60 * MINUTE + 30_000)).await.unwrap();
    let epochs: Vec<_> = store.streams().await.unwrap().iter().map(|s| s.epoch).collect();
    assert_eq!(epochs, [2], "forgotten after 24 hours of silence");
    drop(store);
    assert_eq!(open(folder.path()).streams().await.unwrap().len(), 1, "in the file too");
}

#[tokio::test]
async fn the_number_of_streams_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), |settings| settings.max_streams = 5).unwrap();
    for epoch in 1..=9_u64 {
        let routes = vec![route(Direction::Outbound, "cart", &[1], 0)];
        store.append(summary(proxy("edge", "n1"), epoch, 1, NOON + ms(epoch), 1, routes)).await.unwrap();
    }
    store.flush(at(NOON + 10)).await.unwrap();
    let epochs: Vec<_> = store.streams().await.unwrap().iter().map(|s| s.epoch).collect();
    assert_eq!(epochs, [5, 6, 7, 8, 9], "the longest silent are forgotten first");
}

#[test]
fn too_many_gaps_are_refused_rather_than_guessed() {
    let mut sequences = Sequences::default();
    (1..=300).for_each(|n| sequences.receive(2 * n));
    assert_eq!(sequences.seen(600), Seen::Duplicate);
    assert_eq!(sequences.seen(599), Seen::New);
    let Seen::Forgotten(floor) = sequences.seen(1) else { panic!("sequence 1 is forgotten") };
    assert_eq!(sequences.seen(floor + 2), Seen::New, "just above the floor a gap is still known");
    assert_eq!(sequences.seen(floor + 1), Seen::Duplicate);
}

proptest! {
    #[test]
    fn sequences_agree_with_a_set(received in prop::collection::vec(1_u64..80, 0..120)) {
        let (mut sequences, mut set) = (Sequences::default(), BTreeSet::new());
        for sequence in received {
            let want = if set.insert(sequence) { Seen::New } else { Seen::Duplicate };
            prop_assert_eq!(sequences.seen(sequence), want);
            sequences.receive(sequence);
            let text = sequences.gaps_text();
            prop_assert_eq!(Sequences::from_parts(sequences.highest, sequences.floor, &text), Some(sequences.clone()));
        }
    }
}
