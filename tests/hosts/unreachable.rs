//! A host that cannot be asked.
use foremesh_tests::{
    hosts::{HOME, Mesh, SPARE, TARGET},
    place::foremesh_binary,
};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);

/// The best target is down: the service goes to the second best, and the plan says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_down_is_never_a_target() {
    let mut mesh = Mesh::prepare("auto").await;
    mesh.kill_host(TARGET);
    mesh.planner.start().await;
    mesh.start_load().await;
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!((&ended["state"], &ended["to"]), (&"Succeeded".into(), &SPARE.into()), "{ended:#}");

    let plan = format!("/api/v1/plans/{}", ended["plan"].as_str().unwrap_or_default());
    let page = mesh.planner.json(&plan).await.expect("the plan has a page");
    let explanation = page["explanation"].as_str().unwrap_or_default();
    let told = explanation.contains(TARGET) && explanation.contains("gave no answer: is the host running?");
    assert!(told, "the plan says why not {TARGET}: {explanation}");
    let nodes = mesh.planner.json("/api/v1/nodes").await.expect("nodes are listed");
    let state_of = |name: &str| {
        let nodes = nodes["nodes"].as_array().cloned().unwrap_or_default();
        nodes.into_iter().find(|node| node["id"] == name).map(|node| node["state"].clone())
    };
    assert_eq!(state_of(TARGET), Some("unreachable".into()), "{nodes:#}");
    assert_eq!(state_of(HOME), Some("ready".into()), "{nodes:#}");

    let report = mesh.end_load().await;
    mesh.assert_all_observed(&report).await;
    assert!(mesh.planner.stop().await.success());
    mesh.assert_only_on(SPARE).await;
}

/// `foremesh check` names the host, the command that failed, what it said, and what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_host_command_and_remedy() {
    let mesh = Mesh::prepare("auto").await;
    let check = async || {
        let mut command = tokio::process::Command::new(foremesh_binary());
        command.arg("check").arg("--config").arg(&mesh.planner.files().settings).kill_on_drop(true);
        let output = command.output().await.expect("the command runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = check().await;
    assert!(said.contains(&format!("ok       host `{TARGET}`")), "{said}");
    assert!(!said.contains("error "), "{said}");
    // The policy moves without a trial, which is worth a warning.
    assert_eq!(code, Some(3), "{said}");

    mesh.kill_host(TARGET);
    let (code, said) = check().await;
    assert_eq!(code, Some(1), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error ")).collect();
    let [error] = errors[..] else { panic!("one error is expected: {said}") };
    for needle in [
        &format!("host `{TARGET}` is unreachable"),
        &format!("`usage` of host `{TARGET}`"),
        "ctl --agent",
        "exit code 1",
        "is the host running?",
    ] {
        assert!(error.contains(needle), "`{needle}` is missing in: {error}");
    }
}
