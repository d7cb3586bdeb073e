//! A decision that went through the database is made again, by this process and by the command.
use super::world::World;
use foremesh::{api::PortableRecord, audit::unpack};
use foremesh_core::record::{Kept, Replay};
use foremesh_tests::place::foremesh_binary;
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
    let (code, said) = command(&file, &["--replay"]).await;
    assert_eq!((code, said.starts_with(&format!("replayed: the same {bytes} bytes"))), (0, true), "{said}");
    let (code, said) = command(&file, &[]).await;
    assert_eq!((code, said.contains("shop: move shop@host-a")), (0, true), "{said}");

    let mut changed = record;
    changed.plan = changed.plan.replace("\"to\":\"host-b\"", "\"to\":\"host-c\"");
    let packed = foremesh::audit::pack(&changed).expect("it can be packed");
    let changed = PortableRecord::new(plan, portable.made_at, &packed);
    std::fs::write(&file, serde_json::to_string(&changed).expect("JSON")).expect("a file");
    let (code, said) = command(&file, &["--replay"]).await;
    assert_eq!((code, said.contains("another plan from byte")), (1, true), "{said}");
}

async fn command(file: &Path, more: &[&str]) -> (i32, String) {
    let mut process = tokio::process::Command::new(foremesh_binary());
    process.args(["explain", "--record"]).arg(file).args(more).kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(60), process.output()).await;
    let output = ended.expect("it ends").expect("it runs");
    (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stdout).into_owned())
}
