//! The description of the API against the routes that a planner really has, in both directions.
use super::{load::Load, world::World};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use foremesh_tests::until;
use std::{collections::BTreeSet, time::Duration};
use tower::ServiceExt as _;

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

#[tokio::test]
async fn every_route_is_described_and_everything_described_is_served() {
    let world = World::new("observe").await;
    let description = world.get("/api/v1/openapi.json").await;
    let paths = description["paths"].as_object().expect("it has paths");

    // A router does not list its routes, but it shows them for debugging, as texts in quotes.
    let shown = format!("{:?}", world.router());
    let served: BTreeSet<&str> = shown.split('"').filter(|text| is_path(text)).collect();
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(served, described, "left is served, right is described");
    assert!(served.contains("/api/v1/signals") && served.len() > 25, "{served:?}");

    for (path, methods) in paths {
        for method in METHODS {
            let (uri, verb) = (path.replace(['{', '}'], ""), method.to_uppercase());
            let request = Request::builder().method(&*verb).uri(&uri).body(Body::empty()).expect("a request");
            let status = world.router().oneshot(request).await.expect("an answer").status();
            let is_served = status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_served, methods.get(method).is_some(), "{verb} {path}: {status}");
        }
    }
}

/// A path, and not what the catch-all behind all routes is called.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains("__private") && text != "/" && !text.contains(char::is_whitespace)
}

#[tokio::test]
async fn a_source_that_fails_is_counted_and_says_why() {
    let lines =
        "signals: {prometheus: {url: 'http://127.0.0.1:1', interval: 100ms}, otlp: {enabled: true}}\n";
    let mut world = World::with_short_days(lines, &[], Load::Neighbour).await;
    let before = world.get("/api/v1/signals").await;
    let fresh = serde_json::json!({
        "name": "prometheus", "reads": 0, "failures": 0, "gauges": 0, "left_out": 0, "last_read": null,
        "newest": null, "age_ms": null, "error": null, "warnings": []
    });
    assert_eq!(before["sources"].as_array().map(|all| all.contains(&fresh)), Some(true), "{before}");

    let push = Request::post("/v1/metrics").header("content-type", "application/x-protobuf");
    let push = push.body(Body::from("nonsense")).expect("a request");
    assert_eq!(world.router().oneshot(push).await.expect("an answer").status(), StatusCode::BAD_REQUEST);
    world.read_signals();
    let sources = until("both to have failed", Duration::from_secs(30), async || {
        let all = world.get("/api/v1/signals").await["sources"].clone();
        let failed = all.as_array().into_iter().flatten().filter(|one| one["failures"].as_u64() >= Some(1));
        if failed.count() == 2 { Ok(all) } else { Err(all.to_string()) }
    })
    .await;
    for (name, words) in [
        ("prometheus", ["http://127.0.0.1:1 does not answer the query", "check that the server runs"]),
        ("otlp", ["a push was refused", "ExportMetricsServiceRequest"]),
    ] {
        let source = sources.as_array().into_iter().flatten().find(|one| one["name"] == name);
        let error = source.and_then(|source| source["error"].as_str()).unwrap_or_default();
        assert!(words.iter().all(|word| error.contains(word)), "{name}: {sources}");
    }
}
