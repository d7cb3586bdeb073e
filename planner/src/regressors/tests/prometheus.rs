//! Regressors that are read from a real Prometheus. `vector(time())` needs no scraped data and says for each time what
//! its value must be.
use super::*;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

const WITHIN: Duration = Duration::from_secs(60);

async fn prometheus(rig: &Rig) -> (Child, String) {
    let port = foremesh_demo::free_ports(1).unwrap()[0];
    let config = rig.directory.path().join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", rig.directory.path().join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("`prometheus` is on the PATH; install it (apt-get install prometheus)");
    let ready = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WITHIN, ready).await.expect("Prometheus listens in time");
    (child, format!("http://127.0.0.1:{port}"))
}

#[tokio::test]
#[ignore = "needs a real Prometheus"]
async fn an_expression_is_read_backfilled_and_shifted_into_the_future() {
    let mut rig = Rig::new("[]");
    let (child, url) = prometheus(&rig).await;
    let two =
        r#"label_replace(vector(1),\"a\",\"x\",\"\",\"\") or label_replace(vector(2),\"a\",\"y\",\"\",\"\")"#;
    rig.declared = yaml_serde::from_str(&format!(
        "
- {{name: now, promql: vector(time()), url: '{url}', interval: 1m, scope: {{services: [shop]}}}}
- {{name: plan, promql: vector(time()), url: '{url}', interval: 1m, knownFuture: 2h}}
- {{name: two, promql: \"{two}\", url: '{url}'}}
- {{name: none, promql: no_such_metric, url: '{url}'}}
- {{name: wrong, promql: 'sum(', url: '{url}'}}
"
    ))
    .unwrap();
    // The server computes with its own clock's time only for what it stores, which is nothing here.
    let regressors = rig.open();
    regressors.refresh().await;
    let set = regressors.current();
    for (name, want) in [
        ("two", "the expression gives 2 series"),
        ("none", "the expression gives no series"),
        ("wrong", "sum("),
    ] {
        let found = set.get(name).unwrap();
        let error = found.error.as_deref().unwrap_or_else(|| panic!("{name} has an error"));
        assert!(error.contains(want), "{name}: {error}");
        assert!(found.points().is_empty() && found.received_at.is_none());
    }

    let now = Timestamp::from_unix_ms(NOW);
    let step = Step::MINUTE;
    let points = set.get("now").unwrap().points();
    assert_eq!(points.len(), 14 * 24 * 60 + 1, "two weeks are backfilled");
    assert!(points.iter().all(|(at, value)| (at.unix_ms() as f64 / 1e3 - value).abs() < 1e-6));
    let shop = Subject::service("shop", "throughput_rps");
    let later = now.plus_ms(3 * MINUTE);
    let grid = set.on_grid(&shop, now.plus_ms(-2 * MINUTE), later, step, 3);
    let find = |name: &str| grid.iter().find(|found| found.regressor.name == name).unwrap();
    let seconds = NOW as f64 / 1e3;
    let past: Vec<f64> = find("now").past.values().iter().map(|value| value - seconds).collect();
    assert_eq!(past[..3], [-120.0, -60.0, 0.0]);
    assert!(past[3..].iter().all(|value| value.is_nan()), "nothing is made up since the read");
    assert!(find("now").future.iter().all(|value| value.is_nan()), "nothing is known of the future");
    assert_eq!(find("now").age_ms, Some(3 * MINUTE));
    let planned: Vec<f64> = find("plan").future.iter().map(|value| value - seconds).collect();
    let ahead = 180.0 - 7200.0;
    assert_eq!(planned, [ahead, ahead + 60.0, ahead + 120.0], "the value two hours before");
    assert_eq!(find("plan").known_until, Some(now.plus_ms(120 * MINUTE + MINUTE)));

    // The next read brings what is new, and a server that is gone takes nothing away.
    rig.clock.set(now.plus_ms(10 * MINUTE));
    regressors.refresh().await;
    assert_eq!(regressors.current().get("now").unwrap().points().len(), 14 * 24 * 60 + 11);
    drop(child);
    rig.clock.set(now.plus_ms(20 * MINUTE));
    tokio::time::timeout(WITHIN, regressors.refresh()).await.expect("a dead server is noticed in time");
    let set = regressors.current();
    let found = set.get("now").unwrap();
    assert!(found.error.is_some());
    assert_eq!(
        (found.points().len(), found.received_at),
        (14 * 24 * 60 + 11, Some(now.plus_ms(10 * MINUTE)))
    );
}
