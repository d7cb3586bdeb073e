//! What developers, dashboards and probes get from a planner that has learnt.
use foremesh_demo::unix_ms;
use foremesh_summary::{CONTENT_TYPE, PUSH_PATH, encode, wire::WindowSummary};
use foremesh_tests::{
    hosts::{HOME, Mesh, Planner, SERVICE, outbound, post},
    until,
};
use std::{collections::BTreeSet, time::Duration};

const WITHIN: Duration = Duration::from_secs(30);
const PROBLEM: &str = "application/problem+json";

/// Every path that a planner serves, with a method and a request that it understands.
const SERVED: [(&str, &str, &str); 41] = [
    ("get", "/api/v1/services", "/api/v1/services"),
    ("get", "/api/v1/services/{id}", "/api/v1/services/shop"),
    ("get", "/api/v1/services/{id}/forecast", "/api/v1/services/shop/forecast"),
    ("get", "/api/v1/services/{id}/history", "/api/v1/services/shop/history"),
    ("get", "/api/v1/nodes", "/api/v1/nodes"),
    ("get", "/api/v1/proxies", "/api/v1/proxies"),
    ("get", "/api/v1/signals", "/api/v1/signals"),
    ("get", "/api/v1/plans", "/api/v1/plans"),
    ("get", "/api/v1/plans/{id}", "/api/v1/plans/none"),
    ("get", "/api/v1/plans/{id}/record", "/api/v1/plans/none/record"),
    ("post", "/api/v1/plans/{id}/approve", "/api/v1/plans/none/approve"),
    ("get", "/api/v1/graph", "/api/v1/graph"),
    ("get", "/api/v1/decisions", "/api/v1/decisions"),
    ("get", "/api/v1/decisions/last", "/api/v1/decisions/last"),
    ("get", "/api/v1/decisions/services/{id}", "/api/v1/decisions/services/shop"),
    ("post", "/api/v1/what-if", "/api/v1/what-if"),
    ("get", "/api/v1/relocations", "/api/v1/relocations"),
    ("get", "/api/v1/relocations/{id}", "/api/v1/relocations/none"),
    ("post", "/api/v1/relocations/{id}/abort", "/api/v1/relocations/none/abort?by=a&reason=b"),
    ("post", "/api/v1/relocations/{id}/undo", "/api/v1/relocations/none/undo"),
    ("get", "/api/v1/openapi.json", "/api/v1/openapi.json"),
    ("get", "/healthz", "/healthz"),
    ("get", "/readyz", "/readyz"),
    ("get", "/metrics", "/metrics"),
    ("post", PUSH_PATH, PUSH_PATH),
    ("get", "/api/v1/accuracy", "/api/v1/accuracy"),
    ("get", "/api/v1/nodes/{id}/forecast", "/api/v1/nodes/host-a/forecast"),
    ("get", "/api/v1/workloads/{id}/forecast", "/api/v1/workloads/shop/forecast"),
    ("get", "/api/v1/services/{id}/routes", "/api/v1/services/shop/routes"),
    (
        "get",
        "/api/v1/services/{id}/routes/forecast",
        "/api/v1/services/shop/routes/forecast?caller=edge&route=shop",
    ),
    ("get", "/api/v1/events", "/api/v1/events"),
    ("get", "/api/v1/events/{id}", "/api/v1/events/nothing"),
    ("post", "/api/v1/events", "/api/v1/events"),
    ("put", "/api/v1/events/{id}", "/api/v1/events/nothing"),
    ("delete", "/api/v1/events/{id}", "/api/v1/events/nothing"),
    ("post", "/api/v1/events/{id}/cancel", "/api/v1/events/nothing/cancel"),
    ("post", "/api/v1/events/{id}/restore", "/api/v1/events/nothing/restore"),
    ("get", "/api/v1/regressors", "/api/v1/regressors"),
    ("get", "/api/v1/regressors/{name}", "/api/v1/regressors/nothing"),
    ("post", "/api/v1/regressors/{name}", "/api/v1/regressors/nothing"),
    ("delete", "/api/v1/regressors/{name}", "/api/v1/regressors/nothing"),
];

/// One planner answers all of it: starting a mesh for each question would take longer than the questions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planner_that_has_learnt_answers() {
    let mut mesh = Mesh::prepare("observe").await;
    mesh.planner.start().await;
    mesh.start_load().await;
    let planner = &mesh.planner;
    until("the planner to be ready", WITHIN, async || {
        let answer = planner.get("/readyz").await?;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    })
    .await;
    health(planner).await;
    distances(planner).await;
    forecasts(planner).await;
    problems(planner).await;
    metrics(planner).await;
    description(planner).await;
    let report = mesh.end_load().await;
    mesh.assert_all_observed_but(&report, "batch").await;
    assert!(mesh.planner.stop().await.success());
}

/// The edge's proxy and that of the host saw the same calls: what they differ by is the way, and here that is short.
async fn distances(planner: &Planner) {
    until("the distance from the edge to the host to be known", WITHIN, async || {
        let graph = planner.json("/api/v1/graph").await?;
        let known = graph["nodes"].as_array().into_iter().flatten().find(|distance| {
            (distance["from"].as_str(), distance["to"].as_str()) == (Some("edge"), Some(HOME))
        });
        let known = known.ok_or_else(|| format!("{graph:#}"))?;
        let number = |name: &str| known[name].as_f64().unwrap_or(f64::NAN);
        let (mean_ms, error_ms) = (number("mean_ms"), number("error_ms"));
        assert!((0.0..20.0).contains(&mean_ms) && (0.0..20.0).contains(&error_ms), "{known}");
        println!("the edge is {mean_ms:.3} ms from {HOME}, give or take {error_ms:.3}");
        Ok(())
    })
    .await;
}

async fn health(planner: &Planner) {
    for (path, says) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = planner.get(path).await.expect("the planner answers");
        assert_eq!((answer.status, &*answer.body), (200, says), "{path}");
    }
}

async fn forecasts(planner: &Planner) {
    let cases = [
        ("", "latency_p99_ms", 61),
        ("?metric=latency&quantile=0.5&horizon=5s", "latency_p50_ms", 10),
        ("?metric=throughput&horizon=10s", "throughput_rps", 20),
        ("?metric=availability&horizon=500ms", "availability", 1),
    ];
    for (query, metric, steps) in cases {
        let path = format!("/api/v1/services/{SERVICE}/forecast{query}");
        let forecast = planner.json(&path).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(forecast["metric"], metric, "{path}");
        assert_eq!(forecast["step_ms"], 500, "{path}");
        let model = forecast["model"].as_str().unwrap_or_default();
        assert!(!model.is_empty(), "{path}: a forecast names its models");
        // Of the paths that are kept, a few for each season, the newer half.
        assert!(forecast["backtest"]["origins"].as_u64() >= Some(4), "{path}: {}", forecast["backtest"]);
        let weights = forecast["parts"].as_array().into_iter().flatten().filter(|part| part["first"] == 0);
        let sum: f64 = weights.filter_map(|part| part["weight"].as_f64()).sum();
        assert!((sum - 1.0).abs() < 1e-3, "{path}: the shares of the first part add up to {sum}");
        assert!((0..=15_000).contains(&forecast["data_age_ms"].as_i64().unwrap_or(-1)), "{path}: its age");
        let all = forecast["steps"].as_array().cloned().unwrap_or_default();
        assert_eq!(all.len(), steps, "{path}");
        for step in all {
            let band = step["quantiles"].as_object().cloned().unwrap_or_default();
            let values: Vec<f64> = band.values().filter_map(serde_json::Value::as_f64).collect();
            assert_eq!(values.len(), 7, "{path}: {step}");
            assert!(values.is_sorted(), "{path}: a band that crosses itself: {step}");
        }
    }
    // The past was slow once each season: the latency that it will have is told before it has it.
    let path = format!("/api/v1/services/{SERVICE}/forecast?quantile=0.95");
    let forecast = planner.json(&path).await.expect("there is a forecast");
    let points = forecast["steps"].as_array().cloned().unwrap_or_default();
    let highest = points.iter().filter_map(|step| step["point"].as_f64()).fold(0.0, f64::max);
    assert!(highest > 500.0, "the slow time of the season is forecast: {highest} ms at most");
}

/// A service with ten requests ever.
async fn fresh_service(planner: &Planner) {
    let few = WindowSummary {
        start_unix_ms: unix_ms() - 500,
        end_unix_ms: unix_ms(),
        ..outbound("batch", "batch-0", "fresh", (77, 1), 1_000..1_010)
    };
    let told = post(planner.server(), PUSH_PATH, Some((CONTENT_TYPE, encode(&few)))).await;
    assert_eq!(told.map(|answer| answer.status), Ok(200));
    until("the new service to be known", WITHIN, async || planner.json("/api/v1/services/fresh").await).await;
}

async fn problems(planner: &Planner) {
    fresh_service(planner).await;
    for (path, status, says) in [
        (
            "/api/v1/nothing",
            404,
            "there is nothing at `/api/v1/nothing`; /api/v1/openapi.json lists all paths",
        ),
        (
            "/api/v1/services/shpo",
            404,
            "no proxy has reported calls of service `shpo`; known services: fresh, shop",
        ),
        ("/api/v1/services/shpo/forecast", 404, "no proxy has reported calls of service `shpo`"),
        ("/api/v1/services/shpo/history", 404, "no proxy has reported calls of service `shpo`"),
        ("/api/v1/plans/none", 404, "there is no plan `none`; /api/v1/plans lists those that were made"),
        (
            "/api/v1/relocations/none",
            404,
            "there is no relocation `none`; /api/v1/relocations lists them all",
        ),
        (
            "/api/v1/services/shop/forecast?metric=speed",
            400,
            "`metric` is `speed`, but must be one of latency, throu",
        ),
        (
            "/api/v1/services/shop/forecast?quantile=0.42",
            400,
            "`quantile` is 0.42, but must be one of 0.5, 0.9, 0.95",
        ),
        (
            "/api/v1/services/shop/forecast?horizon=2h",
            400,
            "`horizon` is 2h, but must be from one step (500 ms) to",
        ),
        ("/api/v1/services/shop/forecast?horizon=soon", 400, "`soon` is not a duration"),
        (
            "/api/v1/services/shop/forecast?horizont=5s",
            400,
            "unknown field `horizont`, expected one of `metric`",
        ),
        ("/api/v1/services/shop/forecast?quantile=high", 400, "quantile"),
        (
            "/api/v1/services/shop/history?from=yesterday",
            400,
            "`from` is `yesterday`, but must be a time such as",
        ),
        ("/api/v1/services/shop/history?level=7", 400, "`level` is 7, but must be 0, 1 or 2"),
        ("/api/v1/decisions?limit=many", 400, "limit"),
        (
            "/api/v1/services/fresh/forecast",
            409,
            "latency_p99_ms of `fresh` cannot be forecast: the history has",
        ),
    ] {
        let answer = planner.get(path).await.expect("the planner answers");
        assert_problem(path, &answer, status, says);
    }
    for (path, status, says) in [
        ("/api/v1/relocations/none/abort?by=ops&reason=test", 404, "there is no relocation `none`"),
        ("/api/v1/relocations/none/abort?by=ops", 400, "missing field `reason`"),
        ("/api/v1/services", 405, "`POST` is not served at `/api/v1/services`"),
    ] {
        let answer = planner.post(path).await.expect("the planner answers");
        assert_problem(path, &answer, status, says);
    }
    for (kind, body, status, says) in [
        (CONTENT_TYPE, "no summary", 400, "summary"),
        ("text/plain", "no summary", 415, "content-type is `text/plain`; send"),
    ] {
        let answer = post(planner.server(), PUSH_PATH, Some((kind, body.into()))).await;
        assert_problem(kind, &answer.expect("the planner answers"), status, says);
    }
}

fn assert_problem(path: &str, answer: &foremesh_tests::hosts::Answer, status: u16, says: &str) {
    let problem = answer.json();
    assert_eq!((answer.status, &*answer.content_type), (status, PROBLEM), "{path}: {}", answer.body);
    assert_eq!(problem["status"], status, "{path}: {problem:#}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{path}: {problem:#}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(says), "{path}: `{says}` is missing in `{detail}`");
}

async fn metrics(planner: &Planner) {
    let answer = planner.get("/metrics").await.expect("the planner answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.content_type.starts_with("application/openmetrics-text"), "{}", answer.content_type);
    for name in [
        "foremesh_forecast_latency_seconds{service=\"shop\"",
        "foremesh_service_latency_seconds{service=\"shop\"",
        "foremesh_relocations{state=\"Failed\"} 0",
        "foremesh_passes_total{result=\"decided\"}",
        "foremesh_ingest_summaries_total{result=\"stored\"}",
        "foremesh_silent_proxies 0",
        "foremesh_store_",
        "# EOF",
    ] {
        assert!(answer.body.contains(name), "`{name}` is missing in\n{}", answer.body);
    }
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("foremesh_") && !line.starts_with("foremesh_foremesh_"), "{line}");
    }
}

/// The description lists exactly what is served.
async fn description(planner: &Planner) {
    let description = planner.json("/api/v1/openapi.json").await.expect("the description is served");
    let mut described = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().expect("it has paths") {
        described.extend(
            methods
                .as_object()
                .expect("a path has methods")
                .keys()
                .map(|method| (method.clone(), path.clone())),
        );
    }
    let served: BTreeSet<_> =
        SERVED.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(described, served);
    for (method, path, request) in SERVED {
        let asked = if method == "post" { planner.post(request).await } else { planner.get(request).await };
        let answer = asked.expect("the planner answers");
        let nothing = answer.body.contains("there is nothing at");
        assert!(answer.status != 405 && answer.status < 500 && !nothing, "{method} {path}: {}", answer.body);
    }
}
