//! Whatever is sent again, out of order or across a crash is stored exactly once.
use super::*;
use proptest::prelude::*;
use std::{collections::HashSet, fs};

const STREAMS: usize = 3;
const SUMMARIES: usize = 6;

#[derive(Clone, Debug)]
enum Action {
    /// Sends one summary of one stream, for the first time or again.
    Send(usize, usize),
    /// Sends several at once, so that they share a commit.
    Together(Vec<(usize, usize)>),
    Flush,
    /// Goes on with the bytes that a kill would have left: the file and its log.
    Crash,
    /// Ends in order.
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    let one = || (0..STREAMS, 0..SUMMARIES);
    prop_oneof![
        6 => one().prop_map(|(stream, number)| Action::Send(stream, number)),
        2 => prop::collection::vec(one(), 1..6).prop_map(Action::Together),
        2 => Just(Action::Flush),
        1 => Just(Action::Crash),
        1 => Just(Action::Restart),
    ]
}

/// Summary `number` of a stream: some routes, some observations, all distinct.
fn sent(stream: usize, number: usize) -> (Summary, u64) {
    let count = |number: usize| (stream + 2 * number + 1) as u64;
    let latencies = |number: usize| (0..count(number)).map(|n| 200 + n * 31).collect::<Vec<_>>();
    let cumulative: u64 = (0..=number).map(count).sum();
    let routes = vec![route(Direction::Outbound, "cart", &latencies(number), 0)];
    let end = NOON + ms(number as u64 * 25_000);
    let name = if stream == 0 { "edge" } else { "cart" };
    (summary(proxy(name, "n1"), stream as u64 + 1, number as u64 + 1, end, cumulative, routes), count(number))
}

async fn run(actions: Vec<Action>) {
    let mut folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let mut stored: HashSet<(usize, usize)> = HashSet::new();
    let mut want = 0;
    for action in actions {
        match action {
            Action::Send(stream, number) => {
                let (summary, count) = sent(stream, number);
                let new = stored.insert((stream, number));
                want += if new { count } else { 0 };
                let expected = if new { Appended::Stored } else { Appended::Duplicate };
                assert_eq!(store.append(summary).await.unwrap(), expected);
            }
            Action::Together(list) => {
                let appends = list.iter().map(|&(stream, number)| store.append(sent(stream, number).0));
                futures::future::try_join_all(appends).await.unwrap();
                for (stream, number) in list {
                    want += if stored.insert((stream, number)) { sent(stream, number).1 } else { 0 };
                }
            }
            Action::Flush => store.flush(at(NOON + 10 * MINUTE)).await.unwrap(),
            Action::Crash => {
                let next = tempfile::tempdir().unwrap();
                for name in ["store.db", "store.db-wal"] {
                    if folder.path().join(name).exists() {
                        fs::copy(folder.path().join(name), next.path().join(name)).unwrap();
                    }
                }
                drop(store);
                folder = next;
                store = open(folder.path());
            }
            Action::Restart => {
                drop(store);
                store = open(folder.path());
            }
        }
    }
    store.flush(at(NOON + 10 * MINUTE)).await.unwrap();
    for level in 0..3 {
        let steps = all(&store, level).await;
        assert_eq!(steps.iter().map(|s| s.counts.all()).sum::<u64>(), want, "observations in level {level}");
        assert_eq!(steps.iter().map(|s| s.latency.count()).sum::<u64>(), want, "latencies in level {level}");
    }
    let streams = store.streams().await.unwrap();
    assert_eq!(streams.iter().map(|s| s.observations).sum::<u64>(), want);
    assert_eq!(streams.iter().map(|s| s.summaries).sum::<u64>(), stored.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_sends_resends_flushes_and_crashes_stores_once(actions in prop::collection::vec(action(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(actions));
    }
}
