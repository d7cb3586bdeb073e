//! What every command does, whatever it is asked.
use foremesh_tests::place::foremesh_binary;
use std::{process::Stdio, time::Duration};

#[tokio::test]
async fn a_command_whose_reader_leaves_ends_without_a_word() {
    let mut process = tokio::process::Command::new(foremesh_binary());
    process.arg("openapi").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = process.spawn().expect("it runs");
    // Nobody reads what it is going to print.
    drop(child.stdout.take());
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await;
    let output = ended.expect("it ends").expect("it can be waited for");
    assert!(!output.status.success(), "it could not print: {:?}", output.status);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{said}");
}
