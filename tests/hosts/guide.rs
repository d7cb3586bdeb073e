//! The guide of `docs/hosts.md`, run from its own text, up to the first recommended move.
use foremesh_demo::{Child, ChildSpec, free_ports};
use foremesh_tests::{
    hosts::Turn,
    place::{foremesh_binary, root},
    until,
};
use std::time::Duration;

const DOCUMENT: &str = include_str!("../../docs/hosts.md");
/// The guide says ten minutes, of which most are the build.
const WITHIN: Duration = Duration::from_secs(240);

/// What stands between ```` ```sh ```` and its end, in the guide.
fn commands() -> String {
    let (_, guide) = DOCUMENT.split_once("\n## Ten minutes\n").expect("the document has the guide");
    let guide = guide.split("\n## ").next().unwrap_or_default();
    let blocks = guide.split("```sh\n").skip(1);
    let blocks: Vec<&str> = blocks.map(|block| block.split("```").next().unwrap_or_default()).collect();
    assert!(blocks.len() >= 5, "the guide has {} blocks", blocks.len());
    blocks.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_ends_with_a_recommended_move() {
    let turn = Turn::take().await;
    // The ports of the guide may be somebody's here.
    let mut text = commands();
    let ports = free_ports(4).expect("there are free ports");
    for (of_guide, free) in ["8700", "8080", "9901", "9000"].into_iter().zip(ports) {
        text = text.replace(of_guide, &free.to_string());
    }
    let server = text
        .split_once("http://127.0.0.1:")
        .and_then(|(_, rest)| rest.split_once("/healthz"))
        .map(|(port, _)| format!("127.0.0.1:{port}"))
        .expect("the guide waits for the planner");
    let text = text.replace("stateDirectory: state\n", &format!("stateDirectory: state\nlisten: {server}\n"));
    let binary = foremesh_binary();
    let programs = [binary.parent(), turn.envoy().parent()].into_iter().flatten();
    let programs: Vec<String> = programs.map(|folder| folder.display().to_string()).collect();
    let script = format!(
        "set -eu\ncd {}\nexport FOREMESH={} FOREMESH_SERVER=http://{server} PATH={}:$PATH\ntrap 'kill $(cat *.pid) 2>/dev/null' EXIT\n{text}",
        turn.directory().display(),
        root().display(),
        programs.join(":"),
    );
    let (file, log) = (turn.directory().join("guide.sh"), turn.directory().join("guide.log"));
    std::fs::write(&file, script).expect("the script can be written");
    let mut child = Child::start(ChildSpec {
        name: "guide".to_owned(),
        program: "/bin/bash".into(),
        arguments: vec![file.into_os_string()],
        log: log.clone(),
    })
    .await
    .expect("bash can be started");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let status = until("the guide to end", WITHIN, async || child.ended().ok_or_else(said)).await;
    let said = said();
    assert!(status.success(), "{said}");
    for line in ["ok       host `h1`", "cart: h1 to h2"] {
        assert!(said.contains(line), "`{line}` is missing:\n{said}");
    }
}
