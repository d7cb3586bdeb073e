//! Objects are watched, and their status is written.
use super::server::Server;
use foremesh_core::time::Timestamp;
use foremesh_kubernetes::{
    Clock, ClusterSettings,
    resources::{Resources, Stored, Written},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const NAMESPACE: &str = "crds-watched";

#[expect(clippy::disallowed_methods, reason = "a real server is asked in real time")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap())
}

/// The stored object of a name once it is as wanted.
async fn until(
    resources: &Resources,
    what: &str,
    wanted: impl Fn(Option<&Stored>) -> bool,
) -> Option<Arc<Stored>> {
    let mut seen = String::new();
    for _ in 0..200 {
        match resources.stored(Written::Policy) {
            Ok(stored) => {
                let found =
                    stored.into_iter().find(|stored| stored.namespace == NAMESPACE && stored.name == "shop");
                if wanted(found.as_deref()) {
                    return found;
                }
                seen = format!("{found:?}");
            }
            Err(error) => seen = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not within 20 s, but {seen}");
}

fn policy(mode: &str) -> Value {
    json!({
        "apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy",
        "metadata": {"name": "shop", "namespace": NAMESPACE},
        "spec": {
            "selector": {"services": ["cart"]}, "mode": mode,
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms"}}],
        },
    })
}

#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn what_is_stored_is_known_and_can_be_answered() {
    let server = Server::connect().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let _ = server.send("POST", "/api/v1/namespaces", Some(&namespace)).await;
    let all = format!("/apis/foremesh.dev/v1alpha1/namespaces/{NAMESPACE}/relocationpolicies");
    let one = format!("{all}/shop");
    let _ = server.send("DELETE", &one, None).await;

    let clock: Clock = Arc::new(now);
    let resources = Resources::connect(&ClusterSettings::default(), clock).await.unwrap();
    until(&resources, "nothing is there", |stored| stored.is_none()).await;
    server.send("POST", &all, Some(&policy("observe"))).await.unwrap();
    let stored = until(&resources, "it is made", |stored| stored.is_some()).await.unwrap();
    assert_eq!((stored.generation, &stored.status), (1, &Value::Null));
    assert_eq!(stored.spec["cooldown"], json!("15m"), "what is left out has its default");

    let condition = json!({
        "type": "Accepted", "status": "True", "reason": "InForce", "message": "in force",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let status = json!({"observedGeneration": 1, "services": 2, "conditions": [condition]});
    resources.write_status(Written::Policy, &stored, &status).await.unwrap();
    let answered =
        until(&resources, "it is answered", |stored| stored.is_some_and(|stored| !stored.status.is_null()))
            .await
            .unwrap();
    assert_eq!((answered.generation, &answered.status), (1, &status), "a status is no new generation");
    let object = server.get(&one).await.unwrap();
    let writers = object["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        writers.iter().any(|writer| writer["manager"] == "foremesh" && writer["subresource"] == "status"),
        "{writers:?}"
    );
    let shorter = json!({"observedGeneration": 1, "conditions": status["conditions"]});
    resources.write_status(Written::Policy, &answered, &shorter).await.unwrap();
    until(&resources, "what is not said any more is gone", |stored| {
        stored.is_some_and(|stored| stored.status == shorter)
    })
    .await;

    server.send("PATCH", &one, Some(&json!({"spec": {"mode": "recommend"}}))).await.unwrap();
    until(&resources, "it is edited", |stored| {
        stored.is_some_and(|stored| stored.generation == 2 && stored.spec["mode"] == "recommend")
    })
    .await;
    let wrong = server.send("PATCH", &one, Some(&json!({"spec": {"mode": "auto"}}))).await.unwrap_err();
    assert!(
        wrong.contains("mode auto needs a trial in a staging mesh, or somebody who waives it"),
        "{wrong}"
    );
    server.send("DELETE", &one, None).await.unwrap();
    until(&resources, "it is deleted", |stored| stored.is_none()).await;
    resources.write_status(Written::Policy, &stored, &status).await.expect("what is gone needs no answer");
    server.send("DELETE", &format!("/api/v1/namespaces/{NAMESPACE}"), None).await.unwrap();
}
