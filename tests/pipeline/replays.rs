//! A decision that went through the database is made again, by this process and by the command.
use super::world::World;
use foremesh::{api::PortableRecord, audit::unpack};
use foremesh_core::record::{Kept, Replay};
use foremesh_tests::place::foremesh_binary;
use serde_json::Value;
use std::{path::Path, time::Duration};

/// Fetches the record of a plan and decides again.
pub(crate) async fn assert_replays(world: &World, plan: &str) {
    let answer = world.get(&format!("/api/v1/plans/{plan}/record")).await;
    let portable: PortableRecord = serde_json::from_value(answer.clone()).expect("a portable record");
    let record = unpack(&portable.packed().expect("base64")).expect("a record");
    assert_eq!(record.kept, Kept::Involved, "little is kept, and it is enough");
    assert!(record.plan.contains(plan), "{}", record.plan);
    let Replay::Same { bytes, .. } = record.replay().expect("it can be replayed") else {
        panic!("another plan: {:?}", record.replay())
    };
    assert_eq!(bytes, record.plan.len());

    let file = world.state_file("record.json");
    std::fs::write(&file, answer.to_string()).expect("a file");
    let (code, said) = explain(&file, &["--replay"]).await;
    assert_eq!((code, said.starts_with(&format!("replayed: the same {bytes} bytes"))), (0, true), "{said}");
    let (code, said) = explain(&file, &[]).await;
    assert_eq!((code, said.contains("shop: move shop@host-a")), (0, true), "{said}");

    let mut changed = record;
    changed.plan = changed.plan.replace("\"to\":\"host-b\"", "\"to\":\"host-c\"");
    let packed = foremesh::audit::pack(&changed).expect("it can be packed");
    let changed = PortableRecord::new(plan, portable.made_at, &packed);
    std::fs::write(&file, serde_json::to_string(&changed).expect("JSON")).expect("a file");
    let (code, said) = explain(&file, &["--replay"]).await;
    assert_eq!((code, said.contains("another plan from byte")), (1, true), "{said}");
}

/// What would have been, by the command from the same record and by the running planner.
pub(crate) async fn assert_simulates(world: &World, plan: &str) {
    let file = world.state_file("record.json");
    let record = world.get(&format!("/api/v1/plans/{plan}/record")).await;
    std::fs::write(&file, record.to_string()).expect("a file");
    // `shop` runs on host-a, which a neighbour fills soon; host-b has room, host-c is too small for all of it.
    let (code, said) = simulate(&file, &["--move", "shop=host-b"]).await;
    assert_eq!((code, &said["accepted"], &said["breach"]), (0, &true.into(), &false.into()), "{said}");
    let shop = &said["services"][0];
    assert!(shop["after"]["latency_ms"].as_f64() < shop["before"]["latency_ms"].as_f64(), "{said}");
    let (code, said) = simulate(&file, &["--move", "shop=host-c"]).await;
    assert_eq!((code, &said["accepted"]), (3, &false.into()), "{said}");
    let (code, said) = simulate(&file, &["--node-down", "host-a"]).await;
    assert_eq!((code, &said["services"][0]["after"]["lost"]), (3, &true.into()), "{said}");
    let (code, _) = simulate(&file, &["--move", "shop=host-z"]).await;
    assert_eq!(code, 1, "there is no such host");

    let (path, kind) = ("/api/v1/what-if", "application/json");
    for (body, status) in [
        (r#"{"load": {"shop": 1.5}}"#, 200),
        (r#"{"moves": [{"workload": "shop", "to": "host-a"}], "nodeDown": ["host-c"], "at": null}"#, 200),
        (r#"{"moves": [{"workload": "shop", "to": "host-z"}]}"#, 400),
        (r#"{"moves": [], "node_down": ["host-a"]}"#, 400),
        ("{}", 400),
    ] {
        assert_eq!(world.post(path, kind, body).await, status, "{body}");
    }
}

/// What is decided about a service is told in words and in fields.
pub(crate) async fn assert_explained(world: &World) {
    let told = world.get("/api/v1/decisions/services/shop").await;
    let facts = &told["facts"];
    assert_eq!((&facts["service"], &facts["decision"]), (&"shop".into(), &"nothing".into()), "{told}");
    assert!(facts["guard_rail"].is_string() && facts["uncertainty"]["model"].is_string(), "{told}");
    assert!(
        told["explanation"].as_str().is_some_and(|text| text.contains("nothing to do, because")),
        "{told}"
    );
    assert_eq!(world.status("/api/v1/decisions/services/nobody").await, 404);
    let last = world.get("/api/v1/decisions/last").await;
    assert_eq!(last["plans"].as_array().map(Vec::len), Some(0), "{last}");
}

async fn explain(file: &Path, more: &[&str]) -> (i32, String) {
    command(["explain", "--record"], file, more).await
}

async fn simulate(file: &Path, more: &[&str]) -> (i32, Value) {
    let (code, said) = command(["simulate", "--record"], file, &[more, &["-o", "json"]].concat()).await;
    (code, serde_json::from_str(&said).unwrap_or_default())
}

async fn command(words: [&str; 2], file: &Path, more: &[&str]) -> (i32, String) {
    let mut process = tokio::process::Command::new(foremesh_binary());
    process.args(words).arg(file).args(more).kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(60), process.output()).await;
    let output = ended.expect("it ends").expect("it runs");
    (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stdout).into_owned())
}
