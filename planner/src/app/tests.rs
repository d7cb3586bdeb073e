use super::*;
use crate::causes::chain;
use std::fs;

const HOSTS: &str = "
hosts:
  - name: h1
    address: 127.0.0.1
    capacity: 1000m
    commands: {start: ['true'], ready: ['true'], stop: ['true'], usage: ['true']}
workloads: []
traffic: {edsDirectory: eds}
";

/// What `serve` says with a policy that looks this far ahead; the state directory has been made and may be prepared.
async fn refusal(within: &str, prepare: impl FnOnce(&Path) -> Option<File>) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("hosts.yaml", HOSTS);
    write(
        "foremesh.yaml",
        "listen: 127.0.0.1:0\nstateDirectory: state\nplatform: {hosts: hosts.yaml}\npolicies: [policy.yaml]\n",
    );
    write(
        "policy.yaml",
        &format!(
            "
apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {{name: shop}}
spec:
  selector: {{services: [shop]}}
  rules:
    - name: slow
      predictedLatency: {{quantile: 0.99, above: 250ms, within: {within}}}
"
        ),
    );
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let held = prepare(&state);
    let error = serve(&ServeArgs { config: folder.path().join("foremesh.yaml") }).await.unwrap_err();
    drop(held);
    let files = fs::read_dir(&state).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    (chain(error.as_ref()).replace(folder.path().to_str().unwrap(), "DIR"), files.collect())
}

#[tokio::test]
async fn a_policy_beyond_the_horizon_is_refused_at_the_start_as_check_does() {
    let (text, files) = refusal("2h", |_| None).await;
    assert_eq!(
        text,
        "policy `shop` looks 7200000 ms ahead, but the planner's `horizon` is 1h; lengthen `horizon` or shorten `within`"
    );
    assert!(files.is_empty(), "nothing was touched: {files:?}");
}

#[tokio::test]
async fn a_second_planner_touches_nothing_in_the_state_directory() {
    let (text, files) = refusal("30m", |state| Some(lock_directory(state).unwrap())).await;
    assert_eq!(
        text,
        "state directory `DIR/state` is in use by another planner; stop that one, or give this one its own \
         `stateDirectory`"
    );
    assert_eq!(files, ["planner.lock"]);
}
