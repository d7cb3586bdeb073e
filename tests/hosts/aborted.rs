//! An operator stops a move.
use foremesh_tests::hosts::{HOME, Mesh};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_an_operator_it_goes_back_without_a_failed_request() {
    let mut mesh = Mesh::start().await;
    let seen = mesh.planner.reaches("Ramping(0)", WITHIN).await;
    let abort = format!(
        "/api/v1/relocations/{}/abort?by=ops%40example.com&reason=a%20release%20is%20coming",
        seen["id"].as_str().expect("a relocation has an id")
    );
    let answer = mesh.planner.post(&abort).await.expect("the planner answers");
    assert_eq!(answer.status, 200, "{}", answer.body);

    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(ended["state"], "Aborted", "{ended:#}");
    let history = ended["history"].as_array().cloned().unwrap_or_default();
    let turned = history.iter().find(|change| change["to"] == "RollingBack(shift, from Ramping)");
    let why = turned.and_then(|change| change["why"].as_str()).unwrap_or_default();
    assert_eq!(why, "ops@example.com asked to stop: a release is coming", "{ended:#}");

    let again = mesh.planner.post(&abort).await.expect("the planner answers");
    assert_eq!((again.status, &*again.content_type), (409, "application/problem+json"), "{}", again.body);

    let report = mesh.end_load().await;
    mesh.assert_all_observed(&report).await;
    let audit = mesh.planner.audit().await;
    let on_record = audit.iter().any(|entry| entry["kind"] == "rollout" && entry["record"]["why"] == why);
    assert!(on_record, "who stopped it and why is on record");
    let relocations = mesh.planner.relocations().await.expect("relocations are listed");
    assert_eq!(
        relocations.len(),
        1,
        "what an operator took back is not tried again at once: {relocations:#?}"
    );
    assert!(mesh.planner.stop().await.success());
    mesh.assert_only_on(HOME).await;
}
