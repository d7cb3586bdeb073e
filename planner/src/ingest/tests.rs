use super::*;
use crate::{
    clock::ManualClock,
    store::{
        self, RangeQuery, SqliteStore,
        tests::{MINUTE, NOON, at, open, open_with, proxy, route, summary},
    },
};
use axum::{
    http::{Request, StatusCode, header},
    response::Response,
};
use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use foremesh_summary::{Direction, to_json};
use futures::stream;
use http_body_util::BodyExt;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

fn state(store: &Arc<SqliteStore>, settings: IngestSettings) -> IngestState {
    let store: Arc<dyn SeriesStore> = store.clone();
    IngestState::new(store, Clock::Manual(ManualClock::new(at(NOON))), IngestMetrics::default(), settings)
}

fn sample(sequence: u64) -> Summary {
    let routes = vec![route(Direction::Outbound, "cart", &[1000, 2000, 3000], 1)];
    summary(proxy("edge", "n1"), 7, sequence, NOON, 3 * sequence, routes)
}

fn request(headers: &[(header::HeaderName, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(PUSH_PATH);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn post(
    state: &IngestState,
    headers: &[(header::HeaderName, &str)],
    body: impl Into<Body>,
) -> Response {
    router(state.clone()).oneshot(request(headers, body)).await.unwrap()
}

async fn json(response: Response) -> (StatusCode, serde_json::Value) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn observations(store: &SqliteStore) -> u64 {
    store.flush(at(NOON + MINUTE)).await.unwrap();
    let all = RangeQuery { from: at(0), to: at(i64::MAX), ..RangeQuery::default() };
    store.range(all).await.unwrap().iter().map(|step| step.counts.all()).sum()
}

fn count(state: &IngestState, result: &'static str) -> u64 {
    state.metrics.summaries.get_or_create(&metrics::OutcomeLabel { result }).get()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn every_way_of_writing_a_summary_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let state = state(&store, IngestSettings::default());
    let protobuf = |sequence| sample(sequence).body.to_vec();
    let as_json = to_json(&sample(4).message).unwrap().into_bytes();
    let cases = [
        ("no content type", vec![], protobuf(1)),
        ("protobuf", vec![(header::CONTENT_TYPE, "application/x-protobuf")], protobuf(2)),
        ("with a parameter", vec![(header::CONTENT_TYPE, "Application/Protobuf; v=1")], protobuf(3)),
        ("json", vec![(header::CONTENT_TYPE, "application/json; charset=utf-8")], as_json.clone()),
        ("deflate", vec![(header::CONTENT_ENCODING, "deflate")], zlib(&protobuf(5))),
        ("gzip", vec![(header::CONTENT_ENCODING, "gzip")], gzip(&protobuf(6))),
        (
            "json, deflate",
            vec![(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "deflate")],
            zlib(&to_json(&sample(7).message).unwrap().into_bytes()),
        ),
    ];
    let number = cases.len() as u64;
    for (name, headers, body) in cases {
        for want in ["stored", "duplicate"] {
            let (status, answer) = json(post(&state, &headers, body.clone()).await).await;
            assert_eq!((status, &answer), (StatusCode::OK, &serde_json::json!({ "result": want })), "{name}");
        }
    }
    assert_eq!(observations(&store).await, 3 * number);
    assert_eq!((count(&state, "stored"), count(&state, "duplicate")), (number, number));
    assert_eq!((state.metrics.observations.get(), state.metrics.duplicates.get()), (3 * number, number));
}

#[tokio::test]
async fn a_bad_summary_is_refused_with_the_reason_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let state = state(&store, IngestSettings::default());
    post(&state, &[], sample(1).body).await;
    let broken = |change: fn(&mut WindowSummary)| {
        let mut message = sample(2).message;
        change(&mut message);
        encode(&message)
    };
    let cases: [(&str, Vec<u8>, &str, Option<&str>); 5] = [
        (
            "epoch",
            broken(|m| m.epoch = 0),
            "epoch is 0, must be not 0: choose a new random epoch at each start of a recorder",
            Some("epoch"),
        ),
        (
            "direction",
            broken(|m| m.routes[0].direction = 9),
            "routes[0].direction is 9, must be 1 (inbound) or 2 (outbound): say which end measured",
            Some("routes[0].direction"),
        ),
        (
            "histogram against counts",
            broken(|m| m.routes[0].ok += 1),
            "routes[0].latency_hdr_v2 is a histogram of 3 values, must be 4, the sum of ok, client_error and server_error: record each answered request once, and no aborted one",
            Some("routes[0].latency_hdr_v2"),
        ),
        (
            "histogram",
            broken(|m| m.routes[0].latency_hdr_v2.truncate(9)),
            "routes[0].latency_hdr_v2 is not usable: HDR V2 histogram: 9 bytes end inside the header: send the whole encoding",
            Some("routes[0].latency_hdr_v2"),
        ),
        ("not protobuf", b"hello".to_vec(), "", None),
    ];
    let number = cases.len() as u64;
    for (name, body, detail, field) in cases {
        let response = post(&state, &[], body).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{name}");
        let (status, problem) = json(response).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(problem["title"], "summary is not valid", "{name}");
        assert_eq!((&problem["type"], &problem["status"]), (&"about:blank".into(), &400.into()), "{name}");
        if detail.is_empty() {
            assert!(
                problem["detail"].as_str().unwrap().contains("send the message of summary.proto"),
                "{problem}"
            );
        } else {
            assert_eq!(problem["detail"], detail, "{name}");
        }
        assert_eq!(problem["field"].as_str(), field, "{name}");
    }
    post(&state, &[], sample(2).body).await;
    assert_eq!(observations(&store).await, 6);
    assert_eq!(count(&state, "refused"), number);
}

#[tokio::test]
async fn a_field_error_names_value_limit_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&Arc::new(open(folder.path())), IngestSettings::default());
    let mut message = sample(1).message;
    message.sequence = 0;
    let (_, problem) = json(post(&state, &[], encode(&message)).await).await;
    assert_eq!(
        problem,
        serde_json::json!({
            "type": "about:blank",
            "title": "summary is not valid",
            "status": 400,
            "detail": "sequence is 0, must be 1 or more: number the summaries of an epoch from 1",
            "field": "sequence",
            "value": "0",
            "limit": "1 or more",
            "remedy": "number the summaries of an epoch from 1",
        })
    );
}

#[tokio::test]
async fn too_large_is_413_however_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let limits = Limits { body_bytes: 2000, ..Limits::default() };
    let state = state(&store, IngestSettings { limits, ..IngestSettings::default() });
    let remedy = "lower max_keys or interval_ms of the sender, or raise the planner's limit";
    let chunks = stream::iter((0..30).map(|_| Ok::<_, io::Error>(Bytes::from_static(&[0; 100]))));
    let bomb = zlib(&vec![0; 1 << 20]);
    assert!(bomb.len() < 2000);
    let cases = [
        (
            request(&[(header::CONTENT_LENGTH, "2001")], vec![0; 2001]),
            format!("a body of 2001 bytes is over the limit of 2000 bytes; {remedy}"),
        ),
        (
            request(&[], Body::from_stream(chunks)),
            format!("the body is over the limit of 2000 bytes; {remedy}"),
        ),
        (
            request(&[(header::CONTENT_ENCODING, "deflate")], bomb),
            format!("the decompressed body is over the limit of 2000 bytes; {remedy}"),
        ),
    ];
    for (request, detail) in cases {
        let (status, problem) = json(router(state.clone()).oneshot(request).await.unwrap()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!((&problem["detail"], &problem["title"]), (&detail.into(), &"summary is too large".into()));
    }
    assert_eq!(count(&state, "too_large"), 3);
    assert_eq!(observations(&store).await, 0);
}

#[tokio::test]
async fn unknown_kinds_of_body_are_415() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&Arc::new(open(folder.path())), IngestSettings::default());
    let cases = [
        (
            (header::CONTENT_TYPE, "text/plain"),
            "content-type is `text/plain`; send application/x-protobuf or application/json",
        ),
        (
            (header::CONTENT_ENCODING, "br"),
            "content-encoding is `br`; send deflate (zlib), gzip, or no encoding",
        ),
    ];
    for (header, detail) in cases {
        let (status, problem) = json(post(&state, &[header], sample(1).body).await).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(problem["detail"], detail);
    }
}

#[tokio::test]
async fn corrupt_compression_is_400() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&Arc::new(open(folder.path())), IngestSettings::default());
    let body = sample(1).body;
    let (status, problem) = json(post(&state, &[(header::CONTENT_ENCODING, "gzip")], body).await).await;
    assert_eq!((status, &problem["title"]), (StatusCode::BAD_REQUEST, &"body cannot be decompressed".into()));
}

#[tokio::test]
async fn over_the_memory_limit_is_503_with_retry_after() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let limits = Limits { body_bytes: 64 << 10, ..Limits::default() };
    let state =
        state(&store, IngestSettings { limits, in_flight_bytes: 64 << 10, ..IngestSettings::default() });
    // A sender that never ends its body holds all the memory there is.
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, io::Error>>();
    let slow = tokio::spawn(router(state.clone()).oneshot(request(&[], Body::from_stream(receiver))));
    while state.in_flight.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let response = post(&state, &[], sample(1).body).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    let (status, problem) = json(response).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&problem["title"], &problem["detail"]),
        (
            &"planner is overloaded".into(),
            &"summaries in flight are over the limit of 65536 bytes; send the same summary again later"
                .into()
        )
    );
    sender.unbounded_send(Ok(sample(2).body)).unwrap();
    drop(sender);
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::OK, "the slow one was not harmed");
    assert_eq!(post(&state, &[], sample(1).body).await.status(), StatusCode::OK, "and there is room again");
    assert_eq!(count(&state, "overloaded"), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let settings = IngestSettings { body_timeout: Duration::from_millis(20), ..IngestSettings::default() };
    let state = state(&store, settings);
    let never = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
    let (status, problem) = json(router(state.clone()).oneshot(request(&[], never)).await.unwrap()).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(problem["detail"], "the body did not arrive within 0.02 s; send it again, faster");
}

#[tokio::test]
async fn what_is_not_durable_is_503_and_stored_when_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let full = open_with(folder.path(), |settings| settings.max_file_bytes = Some(300_000)).unwrap();
    let store = Arc::new(full);
    let state = state(&store, IngestSettings::default());
    let mut stored = 0;
    let problem = loop {
        let response = post(&state, &[], sample(stored + 1).body).await;
        if response.status() == StatusCode::OK {
            stored += 1;
            assert!(stored < 5000, "the limit is never reached");
            continue;
        }
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        break json(response).await;
    };
    assert_eq!(problem.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        problem.1["detail"],
        "cannot make the summary durable: database or disk is full; send it again later"
    );
    assert_eq!(count(&state, "not_durable"), 1);
    assert_eq!(observations(&store).await, 3 * stored);
    assert_eq!(post(&state, &[], sample(stored + 1).body).await.status(), StatusCode::OK);
    assert_eq!(observations(&store).await, 3 * (stored + 1));
}

#[tokio::test]
async fn a_sequence_that_is_too_old_to_judge_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let state = state(&store, IngestSettings::default());
    for sequence in (2..=600).step_by(2) {
        store.append(sample(sequence)).await.unwrap();
    }
    let (status, problem) = json(post(&state, &[], sample(1).body).await).await;
    assert_eq!((status, &problem["title"]), (StatusCode::BAD_REQUEST, &"sequence is too old".into()));
    assert!(problem["detail"].as_str().unwrap().starts_with("sequence 1 is below "), "{problem}");
}

#[tokio::test]
async fn shutdown_finishes_what_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let state = state(&store, IngestSettings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, router(state.clone()), async move { drop(stopped.await) }));

    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = sample(1).body;
    let head = format!("POST {PUSH_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body[..10]).await.unwrap();
    let all = state.in_flight.available_permits();
    while state.in_flight.available_permits() == all {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    connection.write_all(&body[10..]).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("serve ends").unwrap().unwrap();
    assert_eq!(observations(&store).await, 3);
}

/// A proxy that ends sends what it has and closes at once, so nobody waits for the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_summary_whose_sender_leaves_at_once_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let state = state(&store, IngestSettings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(serve(listener, router(state.clone()), std::future::pending()));
    let sent = 30;
    for sequence in 1..=sent {
        let body = sample(sequence).body;
        let mut bytes =
            format!("POST {PUSH_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len())
                .into_bytes();
        bytes.extend_from_slice(&body);
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        connection.write_all(&bytes).await.unwrap();
    }
    let stored = async {
        while count(&state, "stored") < sent {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), stored).await.is_ok();
    assert!(in_time, "{} of {sent} summaries are stored", count(&state, "stored"));
    assert_eq!(observations(&store).await, 3 * sent);
    served.abort();
}

#[test]
fn metrics_have_their_names() {
    let mut registry = prometheus_client::registry::Registry::default();
    let ingest = IngestMetrics::default();
    ingest.register(&mut registry);
    ingest.count(Outcome::Stored, Duration::from_millis(3));
    store::metrics::StoreMetrics::default().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for name in [
        "foremesh_ingest_summaries_total{result=\"stored\"} 1",
        "foremesh_ingest_observations_total 0",
        "foremesh_ingest_duplicate_summaries_total 0",
        "foremesh_ingest_lost_observations 0",
        "foremesh_store_commit_seconds_count 0",
        "foremesh_store_queue_bytes 0",
    ] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
}

#[tokio::test]
async fn another_method_is_a_problem_document_too() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&Arc::new(open(folder.path())), IngestSettings::default());
    for method in ["GET", "PUT", "DELETE"] {
        let request = Request::builder().method(method).uri(PUSH_PATH).body(Body::empty()).unwrap();
        let response = router(state.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{method}");
        assert_eq!(response.headers()[header::ALLOW], "POST", "{method}");
        let (status, problem) = json(response).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("`{method}` is not served at `/v1/summaries`")), "{problem}");
    }
}
