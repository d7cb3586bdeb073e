//! What a scenario leaves for the table.
use crate::world::World;
use foremesh_tests::place::root;
use serde_json::json;
use std::fs;
use tokio::sync::Mutex;

/// Each scenario has the machine to itself, whatever the test runner does.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What was seen in a scenario that went as it should.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// How it ended, in a few words.
    pub(crate) ended: String,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

/// Plays a scenario; one that does not come to its end stays as failed.
pub(crate) async fn told<W: World>(name: &str, scenario: impl AsyncFnOnce() -> Seen) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let folder = root().join("build/conformance").join(W::PLATFORM);
    fs::create_dir_all(&folder).expect("a folder can be made");
    let write = |row: serde_json::Value| {
        fs::write(folder.join(format!("{name}.json")), format!("{row:#}\n")).expect("a row can be written");
    };
    write(json!({"platform": W::PLATFORM, "scenario": name, "passed": false}));
    let Seen { ended, requests, failed } = scenario().await;
    println!("{} {name}: {ended}; {requests} requests, {failed} failed", W::PLATFORM);
    write(json!({
        "platform": W::PLATFORM, "scenario": name, "passed": true, "ended": ended, "requests": requests, "failed": failed,
    }));
}
