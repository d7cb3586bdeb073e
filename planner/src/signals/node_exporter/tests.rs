use super::*;
use crate::clock::{Clock, ManualClock};
use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn exporter() -> NodeExporter {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().build().unwrap();
    NodeExporter::new(
        "n1".into(),
        "http://n1:9100/metrics".into(),
        Duration::from_secs(1),
        http,
        Step::MINUTE,
    )
}

fn answer(busy_seconds: f64) -> String {
    format!(
        "node_cpu_seconds_total{{cpu=\"0\",mode=\"idle\"}} 5\nnode_cpu_seconds_total{{cpu=\"1\",mode=\"idle\"}} 5\n\
         node_cpu_seconds_total{{cpu=\"0\",mode=\"user\"}} {busy_seconds}\n\
         node_cpu_seconds_total{{cpu=\"1\",mode=\"iowait\"}} {busy_seconds}\n\
         node_memory_MemTotal_bytes 100\nnode_memory_MemAvailable_bytes 30\n\
         node_disk_read_bytes_total{{device=\"sda\"}} {}\nnode_disk_read_bytes_total{{device=\"dm-0\"}} 9e9\n\
         node_network_receive_bytes_total{{device=\"lo\"}} 9e9\n",
        busy_seconds * 10.0
    )
}

#[test]
fn levels_come_at_once_and_rates_step_by_step() {
    let mut exporter = exporter();
    let mut got: BTreeMap<GaugeMetric, Vec<f64>> = BTreeMap::new();
    for s in (0..=75).step_by(15) {
        let gauges = exporter.gauges(&answer(s as f64 / 2.0), Timestamp::from_unix_ms(s * 1000)).unwrap();
        for gauge in gauges {
            got.entry(gauge.metric).or_default().push(gauge.value);
        }
    }
    assert_eq!(
        got[&GaugeMetric::CpuUsedMillicores],
        [500.0],
        "half a core, for the one step that is complete"
    );
    assert_eq!(got[&GaugeMetric::DiskIoBytesPerSecond], [5.0]);
    assert_eq!(got[&GaugeMetric::MemoryUsedBytes], [70.0; 6]);
    assert_eq!(got[&GaugeMetric::CpuCapacityMillicores], [2000.0; 6]);
    assert!(!got.contains_key(&GaugeMetric::NetworkBytesPerSecond), "loopback is not the network");
}

#[test]
fn an_answer_of_something_else_is_an_error() {
    let error = exporter().gauges("<html>\nup 1\n", Timestamp::default()).unwrap_err();
    assert!(error.to_string().contains("1 samples and 1 other lines, none of them of a node"), "{error}");
}

#[test]
fn a_broken_text_is_refused_whole_with_its_first_broken_line() {
    let whole = answer(1.0);
    for (case, text, want) in [
        (
            "in the middle of a line",
            whole.replace("MemAvailable_bytes 30", "MemAvail"),
            "line 6: `node_memory_MemAvail`",
        ),
        (
            "two lines in one",
            whole.replace("100\nnode_memory_Mem", "100 node_memory_Mem"),
            "line 5: `node_memory_MemT",
        ),
        (
            "an end in a label",
            format!("{whole}node_cpu_seconds_total{{cpu=\"0"),
            "line 10: `node_cpu_seconds_total{cpu=\"0`",
        ),
        ("bytes of something else", format!("{whole}\u{0}\u{1}{}\n", "x".repeat(500)), "in 1 lines"),
    ] {
        let error = exporter().gauges(&text, Timestamp::default()).unwrap_err();
        assert!(matches!(error, ScrapeError::Broken { .. }), "{case}: {error}");
        let said = error.to_string();
        assert!(said.contains(want) && said.contains("http://n1:9100/metrics"), "{case}: {said}");
        assert!(said.len() < 400, "{case}: {said}");
    }
}

#[test]
fn what_is_used_is_not_known_without_what_is_free() {
    let text = answer(1.0).replace("node_memory_MemAvailable_bytes 30\n", "")
        + "node_filesystem_size_bytes{mountpoint=\"/\"} 50\n";
    let gauges = exporter().gauges(&text, Timestamp::default()).unwrap();
    let metrics: Vec<GaugeMetric> = gauges.iter().map(|gauge| gauge.metric).collect();
    assert!(!metrics.contains(&GaugeMetric::MemoryUsedBytes), "{metrics:?}");
    assert!(!metrics.contains(&GaugeMetric::FilesystemUsedBytes), "{metrics:?}");
    assert!(metrics.contains(&GaugeMetric::MemoryCapacityBytes), "{metrics:?}");
}

/// Answers one request after the other with these bytes, which a client may not want all of; gives the address and how
/// many bytes went out at most for one.
async fn serve(head: String, piece: Vec<u8>, pieces: usize) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let most = Arc::<AtomicUsize>::default();
    let written = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let mut sent = 0;
            for _ in 0..pieces {
                if stream.write_all(&piece).await.is_err() {
                    break;
                }
                sent += piece.len();
                written.fetch_max(sent, Ordering::SeqCst);
            }
        }
    });
    (url, most)
}

async fn scraped(url: String, exporter: NodeExporter) -> (Result<Vec<Gauge>, ScrapeError>, NodeExporter) {
    let mut exporter = NodeExporter { url, timeout: Duration::from_secs(30), ..exporter };
    let result = exporter.scrape(&Clock::Manual(ManualClock::new(Timestamp::default()))).await;
    (result, exporter)
}

#[tokio::test]
async fn answers_that_are_cut_or_endless_have_their_reasons_and_bounded_memory() {
    let text = answer(1.0);
    let (url, _) = serve(
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len() + 1),
        text.clone().into_bytes(),
        1,
    )
    .await;
    let error = scraped(url.clone(), exporter()).await.0.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ScrapeError::Cut { bytes, .. } if bytes == text.len()), "{error:?}");
    assert!(said.contains(&url) && said.contains("check the exporter"), "{said}");

    // Four times what is read, in whole lines.
    let line = "node_disk_read_bytes_total{device=\"sda\"} 1\n".repeat(1 << 10).into_bytes();
    let pieces = 4 * MAX_ANSWER_BYTES / line.len();
    let (url, most) = serve("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(), line, pieces).await;
    let error = scraped(url, exporter()).await.0.unwrap_err().to_string();
    assert!(error.contains("more than 16777216 bytes"), "{error}");
    let sent = most.load(Ordering::SeqCst);
    assert!(sent < 2 * MAX_ANSWER_BYTES, "reading ends at the limit, not after {sent} bytes");
}

#[tokio::test]
async fn ten_thousand_series_are_read_and_only_what_is_needed_is_kept() {
    let mut text = answer(1.0);
    for n in 0..10_000 {
        let name = if n < 5000 { "node_systemd_unit_state" } else { "node_network_transmit_bytes_total" };
        writeln!(text, "{name}{{device=\"eth{n}\",name=\"unit-{n}.service\",state=\"active\"}} {n}").unwrap();
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    let (url, _) = serve(head, text.into_bytes(), 1).await;
    let mut exporter = exporter();
    for _ in 0..3 {
        let (result, again) = scraped(url.clone(), exporter).await;
        assert!(result.unwrap().iter().any(|gauge| gauge.metric == GaugeMetric::MemoryUsedBytes));
        exporter = again;
        // 5000 devices, one core in one mode, one disk; the same after each read.
        assert_eq!(exporter.rates.followed(), 5002);
    }
}
