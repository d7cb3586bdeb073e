//! Kill -9 in the middle of appends and flushes.
use super::*;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

const MARKER: &str = "append-until-killed";
const CHILD: &str = "store::tests::crash::child_that_appends_until_killed";

fn numbered(sequence: u64) -> Summary {
    let latencies = [1000 + sequence, 2000];
    let routes = vec![route(Direction::Outbound, "cart", &latencies, 0)];
    summary(proxy("edge", "n1"), 7, sequence, NOON + ms(sequence) * 10, 2 * sequence, routes)
}

/// Run by the test below, in a folder of its own, and only there.
#[tokio::test]
#[ignore = "is started, and killed, by a_killed_store_keeps_what_it_acknowledged"]
async fn child_that_appends_until_killed() {
    let folder = std::env::current_dir().unwrap();
    assert!(folder.join(MARKER).exists(), "this is the child of another test, run that one");
    // Small enough that flushes happen all the time.
    let store = open_with(&folder, |settings| settings.flush_bytes = 2000).unwrap();
    for sequence in 1..1_000_000 {
        assert_eq!(store.append(numbered(sequence)).await.unwrap(), Appended::Stored);
        println!("acknowledged {sequence}");
    }
}

#[tokio::test]
async fn a_killed_store_keeps_what_it_acknowledged() {
    for acknowledged_before_kill in [1, 7, 60] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MARKER), "").unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut last = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(number) = line.split("acknowledged ").nth(1) {
                last = number.trim().parse().unwrap();
            }
            if last == acknowledged_before_kill {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(last >= acknowledged_before_kill, "the child ended on its own after {last}");

        let store = open(folder.path());
        let newest = store.streams().await.unwrap()[0].newest_sequence;
        assert!(newest >= last, "acknowledged {last}, kept {newest}");
        // The sender did not see the last answer, and sends again.
        for sequence in 1..=newest + 1 {
            let want = if sequence <= newest { Appended::Duplicate } else { Appended::Stored };
            assert_eq!(store.append(numbered(sequence)).await.unwrap(), want, "sequence {sequence}");
        }
        store.flush(at(NOON + 60 * MINUTE)).await.unwrap();
        let observations: u64 = all(&store, 0).await.iter().map(|s| s.counts.all()).sum();
        assert_eq!(observations, 2 * (newest + 1));
        assert_eq!(store.streams().await.unwrap()[0].lost, 0);
    }
}
