//! The guide of `docs/hosts.md`, run from its own text, up to the first recommended move.
use foremesh_demo::{Child, ChildSpec, free_ports};
use foremesh_tests::{guide, hosts::Turn, place::foremesh_binary, until};
use std::{path::Path, time::Duration};

const DOCUMENT: &str = include_str!("../../docs/hosts.md");
/// The guide says ten minutes, of which most are the build.
const WITHIN: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_ends_with_a_recommended_move() {
    let turn = Turn::take().await;
    // The ports of the guide may be somebody's here.
    let mut text = guide::commands(DOCUMENT);
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
    let text = format!("export FOREMESH_SERVER=http://{server}\n{text}");
    let binary = foremesh_binary();
    let programs: Vec<&Path> = [binary.parent(), turn.envoy().parent()].into_iter().flatten().collect();
    let (file, log) = (guide::script(turn.directory(), &programs, &text), turn.directory().join("guide.log"));
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
