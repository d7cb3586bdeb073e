//! Trials against a played API server: what is made, what is left alone, and that nothing stays.
use super::*;
use crate::moving::played::Stored;
use std::sync::atomic::{AtomicBool, Ordering};

const SPACE: &str = "/api/v1/namespaces/foremesh-staging";

/// A played API server with production and a staging namespace in it.
fn played() -> Stored {
    let server = Stored::default();
    server.store("/apis/apps/v1/namespaces/shop/deployments/cart", deployment());
    server.store("/api/v1/namespaces/shop", json!({"metadata": {"name": "shop", "labels": seen().labels}}));
    server.store("/api/v1/namespaces/shop/configmaps/cart", seen().config_maps[0].clone());
    for service in services() {
        let name = service["metadata"]["name"].as_str().unwrap();
        server.store(&format!("/api/v1/namespaces/shop/services/{name}"), service.clone());
    }
    let [namespace, tls, sidecar, _] = space("foremesh-staging", None).try_into().unwrap();
    server.store(SPACE, namespace);
    let rule =
        |group: &str, plural: &str| object_path(group, plural, Some("foremesh-staging"), STAGING_RULES);
    server.store(&rule("security.istio.io", "peerauthentications"), tls);
    server.store(&rule("networking.istio.io", "sidecars"), sidecar);
    server
}

fn staging(server: &Stored, secrets: bool) -> Staging {
    let (namespace, domain) = (STAGING_NAMESPACE.to_owned(), "cluster.local".to_owned());
    Staging::new(server.client(), server.client(), StagingPlace { namespace, secrets, domain })
}

/// What a trial has left.
fn leave(server: &Stored, plural: &str, name: &str, trial: &str, phase: &str) -> String {
    let path = format!("{SPACE}/{plural}/{name}");
    let labels = json!({TRIAL_LABEL: trial});
    server.store(&path, json!({"metadata": {"name": name, "labels": labels}, "status": {"phase": phase}}));
    path
}

/// Plays the kubelets until it is told to stop.
async fn kubelets(server: Stored, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for (end, node, ip) in [("source", "node-1", "10.0.0.1"), ("target", "node-2", "10.0.0.2")] {
            let path = format!("{SPACE}/pods/cart-{end}");
            if let Some(mut pod) = server.object(&path).filter(|pod| pod["status"].is_null()) {
                pod["spec"]["nodeName"] = json!(node);
                pod["status"] = json!({"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]});
                server.store(&path, pod);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn copies_come_and_go_and_nothing_else_is_written() {
    let server = played();
    let theirs = format!("{SPACE}/configmaps/theirs");
    server.store(&theirs, json!({"metadata": {"name": "theirs"}}));
    let stale = leave(&server, "configmaps", "cart", "plan-old.0", "");
    let ended = leave(&server, "pods", "cart-source", "plan-old.0", "Failed");
    let staging = staging(&server, false);
    let stop = AtomicBool::new(false);
    let tried = async {
        let copies = staging.start(&wanted()).await;
        stop.store(true, Ordering::Relaxed);
        copies.unwrap()
    };
    let (copies, ()) = tokio::join!(tried, kubelets(server.clone(), &stop));
    let at = |text: &str| text.parse().unwrap();
    assert_eq!(copies, Copies { source: at("10.0.0.1:8080"), target: at("10.0.0.2:8080") });
    for made in [&stale, &ended] {
        let trial = server.object(made).unwrap()["metadata"]["labels"][TRIAL_LABEL].clone();
        assert_eq!(trial, "plan-1a2b.0", "{made}");
    }
    staging.clear("plan-1a2b.0").await.unwrap();
    let asked = server.asked();
    for gone in [stale, ended, format!("{SPACE}/pods/cart-target"), format!("{SPACE}/serviceaccounts/cart")] {
        assert!(server.object(&gone).is_none(), "{gone}");
    }
    assert!(server.object(&theirs).is_some() && server.object(SPACE).is_some());
    let writes: Vec<&String> = asked.iter().filter(|asked| !asked.starts_with("GET")).collect();
    let of_trial = |asked: &&&String| asked.contains("/namespaces/foremesh-staging/");
    assert!(writes.len() > 5 && writes.iter().all(|asked| of_trial(&asked)), "{writes:?}");
    assert!(!asked.iter().any(|asked| asked.contains("secrets")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_become_ready_is_an_error() {
    let server = played();
    let error = staging(&server, false).start(&wanted()).await.unwrap_err().to_string();
    assert!(error.contains("the copy on node-1 is not ready") && error.contains("after 5 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn secrets_are_copied_only_where_policy_and_settings_say_so() {
    let server = played();
    let mut secret = deployment();
    secret["spec"]["template"]["spec"]["imagePullSecrets"] = json!([{"name": "registry"}]);
    server.store("/apis/apps/v1/namespaces/shop/deployments/cart", secret);
    let error = staging(&server, true).start(&wanted()).await.unwrap_err().to_string();
    assert!(error.contains("need the secret registry"), "{error}");
    let allowed = Wanted { copy_secrets: true, ..wanted() };
    let error = staging(&server, false).start(&allowed).await.unwrap_err().to_string();
    assert!(error.contains("--trials-with-secrets"), "{error}");
    assert!(!server.asked().iter().any(|asked| asked.contains("secrets")), "none is read");
    let error = staging(&server, true).start(&allowed).await.unwrap_err().to_string();
    assert!(error.contains("registry of its namespace's secrets, which is not there"), "{error}");
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.starts_with("GET")), "nothing was made: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_takes_trials_and_nothing_else() {
    let server = played();
    let theirs = format!("{SPACE}/secrets/theirs");
    server.store(&theirs, json!({"metadata": {"name": "theirs"}}));
    let left = [
        leave(&server, "pods", "cart-source", "plan-1.0", "Running"),
        leave(&server, "secrets", "key", "plan-1.0", ""),
        leave(&server, "services", "stock", "plan-2.0", ""),
    ];
    let staging = staging(&server, true);
    assert_eq!(staging.sweep().await.unwrap(), ["plan-1.0", "plan-2.0"]);
    assert!(left.iter().all(|path| server.object(path).is_none()));
    assert!(server.object(&theirs).is_some());
    assert!(staging.sweep().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_teardown_takes_its_own_trial_only() {
    let server = played();
    let own = leave(&server, "configmaps", "cart", "plan-1a2b.0", "");
    let other = leave(&server, "configmaps", "web", "plan-9.0", "");
    staging(&server, false).clear("plan-1a2b.0").await.unwrap();
    assert!(server.object(&own).is_none() && server.object(&other).is_some());
}

#[tokio::test(start_paused = true)]
async fn two_trials_never_share_the_namespace() {
    let server = played();
    let other = leave(&server, "pods", "web-source", "plan-9.0", "Running");
    let error = staging(&server, false).start(&wanted()).await.unwrap_err().to_string();
    assert!(error.contains("of trial plan-9.0 runs in it"), "{error}");
    assert!(server.object(&other).is_some());
    // Nor does one take what is somebody else's into it.
    server.remove(&other);
    server.store(&format!("{SPACE}/configmaps/cart"), json!({"metadata": {"name": "cart"}}));
    let error = staging(&server, false).start(&wanted()).await.unwrap_err().to_string();
    assert!(error.contains("configmaps/cart: it is there already"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn in_a_namespace_that_is_not_ours_nothing_is_touched() {
    let server = played();
    let left = leave(&server, "pods", "cart-source", "plan-1.0", "Running");
    server.store(SPACE, json!({"metadata": {"name": "foremesh-staging", "labels": {"team": "orders"}}}));
    let staging = staging(&server, true);
    for error in [
        staging.start(&wanted()).await.unwrap_err(),
        staging.clear("plan-1.0").await.unwrap_err(),
        staging.sweep().await.map(drop).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.contains("somebody else's") && error.contains("foremesh install staging"), "{error}");
    }
    assert!(server.object(&left).is_some());
    server.remove(SPACE);
    let error = staging.start(&wanted()).await.unwrap_err().to_string();
    assert!(error.contains("it is not there") && error.contains("foremesh install staging"), "{error}");
    assert!(server.asked().iter().all(|asked| asked.starts_with("GET")));
    assert!(staging.sweep().await.unwrap().is_empty(), "what is not there has nothing in it");
}
