//! What the API server is told.
use super::*;
use crate::webhook::{
    identity::Identity,
    registration::{says, webhooks},
};

fn identity() -> Identity {
    Identity::issue(&settings().hosts(), NOW, None).unwrap()
}

fn configuration(server: &Stored) -> Configuration {
    let moving = MovingList::new(server.client(), "foremesh-system");
    Configuration::new(&server.client(), moving, settings())
}

#[test]
fn a_cluster_at_rest_has_no_webhook() {
    assert_eq!(webhooks(&[], &settings(), "QQ==", "1"), json!([]));
}

#[test]
fn only_new_pods_of_what_moves_are_asked_about() {
    let moving = [moved("shop/web"), moved("shop/cart"), moved("bank/web")];
    let all = webhooks(&moving, &settings(), "QQ==", "17");
    let placement = &all[0];
    assert_eq!(placement["failurePolicy"], "Ignore");
    assert_eq!(placement["timeoutSeconds"], 2);
    assert_eq!(placement["sideEffects"], "None");
    assert_eq!(placement["reinvocationPolicy"], "Never");
    assert_eq!(placement["namespaceSelector"]["matchLabels"], json!({"foremesh.dev/managed": "true"}));
    assert_eq!(placement["namespaceSelector"]["matchExpressions"][0]["values"], json!(["bank", "shop"]));
    assert_eq!(
        placement["clientConfig"],
        json!({"caBundle": "QQ==", "service": {
            "namespace": "foremesh-system", "name": "foremesh", "port": 9443, "path": "/place"
        }})
    );
    assert_eq!(
        placement["matchConditions"][0]["expression"],
        "has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(owner, owner.kind == \
         'ReplicaSet' && ['bank/web-', 'shop/cart-', 'shop/web-'].exists(prefix, (request.namespace + '/' + \
         owner.name).startsWith(prefix)))"
    );
    // The one that may fail is for nothing but dry runs of our own list.
    let probe = &all[1];
    assert_eq!(probe["namespaceSelector"]["matchExpressions"][0]["values"], json!(["foremesh-system"]));
    assert_eq!(probe["rules"][0]["resources"], json!(["configmaps"]));
    assert_eq!(
        probe["matchConditions"][0]["expression"],
        "request.name == 'foremesh-moving' && has(request.dryRun) && request.dryRun"
    );
    assert_eq!(probe["clientConfig"]["service"]["path"], "/probe/17");
}

#[test]
fn a_planner_outside_is_reached_by_an_address() {
    for (host, url) in
        [("172.30.0.10", "https://172.30.0.10:9443/place"), ("fd00::1", "https://[fd00::1]:9443/place")]
    {
        let address = WebhookAddress::Url { host: host.to_owned(), port: 9443 };
        let settings = WebhookSettings { address, ..settings() };
        let all = webhooks(&[moved("shop/web")], &settings, "QQ==", "1");
        assert_eq!(all[0]["clientConfig"], json!({"caBundle": "QQ==", "url": url}));
        assert_eq!(settings.hosts(), hosts(&[host]));
    }
}

#[test]
fn what_the_api_server_adds_is_no_difference() {
    let wanted = json!([{"name": "a", "rules": [{"operations": ["CREATE"]}]}]);
    for (stored, same) in [
        (json!([{"name": "a", "rules": [{"operations": ["CREATE"]}], "matchPolicy": "Equivalent"}]), true),
        (json!([{"name": "a", "rules": [{"operations": ["CREATE", "UPDATE"]}]}]), false),
        (json!([{"name": "a", "rules": []}]), false),
        (json!([{"name": "b", "rules": [{"operations": ["CREATE"]}]}]), false),
        (json!([wanted[0], wanted[0]]), false),
        (json!([]), false),
    ] {
        assert_eq!(says(&stored, &wanted), same, "{stored}");
    }
}

#[tokio::test]
async fn the_configuration_follows_what_moves() {
    let server = Stored::default();
    let (configuration, identity) = (configuration(&server), identity());
    let moving = MovingList::new(server.client(), "foremesh-system");
    assert_eq!(configuration.sync(&identity, NOW, true).await.unwrap(), Synced::Idle);
    assert_eq!(server.object(CONFIGURATION), None, "nothing is made while nothing moves");

    moving.put(&moved("shop/web")).await.unwrap();
    let stamp = NOW.unix_ms().to_string();
    let written = Synced::Written { stamp: stamp.clone() };
    assert_eq!(configuration.sync(&identity, NOW, true).await.unwrap(), written);
    let stored = server.object(CONFIGURATION).unwrap();
    assert_eq!(stored["webhooks"].as_array().unwrap().len(), 2);
    assert_eq!(stored["webhooks"][0]["clientConfig"]["caBundle"], identity.ca_bundle());
    assert_eq!(stored["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "foremesh"}));

    let later = NOW.plus_ms(1000);
    assert_eq!(configuration.sync(&identity, later, false).await.unwrap(), Synced::Same);
    assert_eq!(server.object(CONFIGURATION).unwrap(), stored);

    // Somebody else's hand.
    let mut other = stored.clone();
    other["webhooks"][0]["failurePolicy"] = json!("Fail");
    other["metadata"]["labels"]["theirs"] = json!("kept");
    server.store(CONFIGURATION, other);
    assert_eq!(configuration.sync(&identity, later, false).await.unwrap(), written);
    let stored = server.object(CONFIGURATION).unwrap();
    assert_eq!(stored["webhooks"][0]["failurePolicy"], "Ignore");
    assert_eq!(stored["metadata"]["labels"]["theirs"], "kept");

    // Another authority.
    let renewed = Identity::issue(&settings().hosts(), later, Some(&identity.facts)).unwrap();
    assert_eq!(configuration.sync(&renewed, later, false).await.unwrap(), written);
    let stored = server.object(CONFIGURATION).unwrap();
    assert_eq!(stored["webhooks"][1]["clientConfig"]["caBundle"], renewed.ca_bundle());

    moving.remove(&WorkloadId::new("shop/web")).await.unwrap();
    assert_eq!(configuration.sync(&renewed, later, false).await.unwrap(), Synced::Idle);
    assert_eq!(server.object(CONFIGURATION).unwrap()["webhooks"], json!([]));
}

/// A look that began before a move was stored must not take the move's webhook away.
#[tokio::test]
async fn a_look_that_was_overtaken_looks_again() {
    let server = Stored::default();
    let (configuration, identity) = (configuration(&server), identity());
    let moving = MovingList::new(server.client(), "foremesh-system");
    moving.put(&moved("shop/web")).await.unwrap();
    configuration.sync(&identity, NOW, true).await.unwrap();
    let before = server.object(CONFIGURATION).unwrap()["metadata"]["resourceVersion"].clone();
    // It is armed for the same again: the writing is the sign for others.
    let later = NOW.plus_ms(5);
    assert_eq!(
        configuration.sync(&identity, later, true).await.unwrap(),
        Synced::Written { stamp: later.unix_ms().to_string() }
    );
    assert_ne!(server.object(CONFIGURATION).unwrap()["metadata"]["resourceVersion"], before);

    moving.remove(&WorkloadId::new("shop/web")).await.unwrap();
    server.asked();
    server.interfere(1);
    assert_eq!(configuration.sync(&identity, later, false).await.unwrap(), Synced::Idle);
    let reads = server.asked().iter().filter(|asked| **asked == format!("GET {CONFIGURATION}")).count();
    assert_eq!(reads, 2);
}

/// A clock that is set back must not make an earlier writing look like a later one.
#[tokio::test]
async fn stamps_only_grow() {
    let server = Stored::default();
    let (configuration, identity) = (configuration(&server), identity());
    MovingList::new(server.client(), "foremesh-system").put(&moved("shop/web")).await.unwrap();
    for (passed, stamp) in [(0, 0), (-5000, 1), (0, 2), (7, 7)] {
        let stamp = NOW.plus_ms(stamp).unix_ms().to_string();
        let synced = configuration.sync(&identity, NOW.plus_ms(passed), true).await.unwrap();
        assert_eq!(synced, Synced::Written { stamp });
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_not_reached_is_known_before_anything_is_scaled() {
    let server = Stored::default();
    let configuration = configuration(&server);
    MovingList::new(server.client(), "foremesh-system").put(&moved("shop/web")).await.unwrap();
    let error = configuration.heard("17").await.unwrap_err().to_string();
    assert!(error.contains("within 10 s: it does not ask the webhook yet"), "{error}");
    server.refuse(Some((500, "failed calling webhook: connection refused")));
    let error = configuration.heard("17").await.unwrap_err().to_string();
    assert!(error.contains("connection refused") && error.contains("firewalls"), "{error}");
    server.refuse(Some((403, "Forbidden")));
    let error = configuration.heard("17").await.unwrap_err();
    assert_eq!(error.remedy, "let the planner's account patch configmaps in namespace foremesh-system");
}
