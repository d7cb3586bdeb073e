//! Answers that are partial, or none at all, while the server itself is well.
use super::rig::{Running, SOON, node_exporter, now, port, prometheus, prometheus_with};
use foremesh_tests::until;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A second store that is away makes every answer of the server partial.
#[tokio::test]
async fn what_a_partial_answer_has_is_taken_and_the_warning_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter_port, server_port, nobody) = (port(), port(), port());
    let _exporter = node_exporter(folder.path(), exporter_port).await;
    let scrapes = format!(
        "[{{job_name: node, static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]}}]\n\
         remote_read: [{{url: 'http://127.0.0.1:{nobody}/read', read_recent: true, remote_timeout: 1s}}]"
    );
    let _server = prometheus_with(folder.path(), server_port, &scrapes, &[]).await;
    let settings = format!(
        "prometheus: {{url: 'http://127.0.0.1:{server_port}', interval: 500ms, lag: 1s, rateWindow: 4s, timeout: 5s,
           backfill: 1m}}"
    );
    let running = Running::start(folder.path(), 2000, &settings).await;
    let status = until("a reading and a warning", SOON, async || {
        let status = running.status("prometheus");
        if status.gauges > 0 && !status.warnings.is_empty() { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!((status.failures, &status.error), (0, &None), "{status:?}");
    assert!(status.warnings.iter().all(|warning| warning.contains("remote_read")), "{status:?}");
    assert!(status.warnings.len() < 5, "each is told once: {status:?}");
}

/// A node whose exporter ends: the server answers as before, but nothing new, and that is not to look like health.
#[tokio::test]
async fn a_node_that_falls_silent_behind_a_server_that_is_well_grows_old() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter_port, server_port) = (port(), port());
    let mut exporter = node_exporter(folder.path(), exporter_port).await;
    let _server = prometheus(folder.path(), server_port, Some(exporter_port), &[]).await;
    let settings = format!(
        "prometheus: {{url: 'http://127.0.0.1:{server_port}', interval: 500ms, lag: 1s, rateWindow: 4s, timeout: 5s,
           backfill: 1m}}"
    );
    let running = Running::start(folder.path(), 2000, &settings).await;
    until("some readings", SOON, async || {
        let status = running.status("prometheus");
        if status.newest.is_some() { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    exporter.kill().await.unwrap();
    let ended = now();
    let status = until("the newest number to be ten seconds old", SOON, async || {
        let status = running.status("prometheus");
        let old = status.age_ms(now()).is_some_and(|age| age > 10_000);
        if old { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!((status.failures, &status.error), (0, &None), "the server is well: {status:?}");
    assert!(status.last_read.is_some_and(|read| now().ms_since(read) < 5000), "and still read: {status:?}");
    // The window of four seconds looks back on the last scrape; the five minutes that the server itself looks back must not.
    let newest = running.steps(0).await.iter().map(|step| step.start).max().unwrap();
    assert!(newest.ms_since(ended) < 6000, "a number of {} ms after the end", newest.ms_since(ended));
}

async fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    let request = format!("GET {path} HTTP/1.0\r\nhost: p\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the server answers");
    answer
}

/// The planner knows by these words that a shorter range is answered, so they must be those of a real server.
#[tokio::test]
async fn a_server_refuses_long_ranges_in_the_words_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let port = port();
    let _server = prometheus(folder.path(), port, None, &["--query.max-samples=4"]).await;
    let asked = async |query: &str, points: i64| {
        let range = format!("start=1700000000&end={}&step=1", 1_700_000_000 + points - 1);
        until("the server to be ready", SOON, async || {
            let answer = get(port, &format!("/api/v1/query_range?query={query}&{range}")).await;
            if answer.contains(" 503 ") { Err(answer) } else { Ok(answer) }
        })
        .await
    };
    let resolution = asked("up", 11_002).await;
    assert!(
        resolution.contains(" 400 ") && resolution.contains("exceeded maximum resolution of 11,000 points"),
        "{resolution}"
    );
    let samples = asked("vector(1)", 100).await;
    assert!(samples.contains(" 422 ") && samples.contains("too many samples"), "{samples}");
}
