//! The file: versions, locks, limits, and what people see with sqlite3.
use super::*;
use crate::store::sqlite::SCHEMA_VERSION;
use rusqlite::Connection;

fn error_of(result: Result<SqliteStore, StoreError>, folder: &Path) -> String {
    let error = result.expect_err("the store must not open");
    error.to_string().replace(folder.to_str().unwrap(), "DIR")
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let connection = Connection::open(folder.path().join("store.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert_eq!(
        error_of(open_with(folder.path(), |_| ()), folder.path()),
        format!(
            "the store `DIR/store.db` has schema version 99, but this planner knows versions up to {SCHEMA_VERSION}; run the planner that wrote it or a newer one, or start with another file"
        )
    );
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE streams (mine TEXT); INSERT INTO streams VALUES ('kept')").unwrap();
    drop(foreign);
    assert_eq!(
        error_of(open_with(folder.path(), |_| ()), folder.path()),
        format!(
            "cannot bring the store `DIR/store.db` from schema version 0 to {SCHEMA_VERSION}; the file was not changed"
        )
    );
    let foreign = Connection::open(&path).unwrap();
    let tables: i64 = foreign.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    let mine: String = foreign.query_row("SELECT mine FROM streams", [], |row| row.get(0)).unwrap();
    assert_eq!((tables, mine.as_str()), (1, "kept"));
}

#[tokio::test]
async fn gauges_of_the_first_schema_are_the_platforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../sqlite/schema/1.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute(
        "INSERT INTO gauges (level, start_ms, kind, name, metric, sum, count)
         VALUES (0, ?1, 'node', 'n1', 'cpu_used_millicores', 900.0, 3)",
        [NOON],
    )
    .unwrap();
    drop(old);
    let store = open(folder.path());
    let want = GaugeStep {
        subject: GaugeSubject::Node("n1".into()),
        metric: GaugeMetric::CpuUsedMillicores,
        source: GaugeSource::Platform,
        start: at(NOON),
        mean: 300.0,
        readings: 3,
        newest: at(NOON),
    };
    assert_eq!(store.gauge_range(0, at(0), at(i64::MAX), None, None).await.unwrap(), [want]);
    // Another source of the same step keeps its own number.
    let other = Gauge {
        subject: GaugeSubject::Node("n1".into()),
        metric: GaugeMetric::CpuUsedMillicores,
        source: GaugeSource::Otlp,
        at: at(NOON + 7),
        value: 5.0,
    };
    store.append_gauges(vec![other]).await.unwrap();
    let all = store.gauge_range(0, at(0), at(i64::MAX), None, None).await.unwrap();
    assert_eq!(
        all.iter().map(|step| (step.source, step.mean)).collect::<Vec<_>>(),
        [(GaugeSource::Otlp, 5.0), (GaugeSource::Platform, 300.0)]
    );
}

#[tokio::test]
async fn one_process_has_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert_eq!(
        error_of(open_with(folder.path(), |_| ()), folder.path()),
        "the store `DIR/store.db` is in use by another process; stop that one, or give this one its own file"
    );
    drop(store);
    open(folder.path());
}

#[tokio::test]
async fn steps_of_another_length_are_refused_once_there_are_any() {
    let folder = tempfile::tempdir().unwrap();
    let halved =
        |settings: &mut StoreSettings| settings.levels = Levels::from_base(Step::from_ms(500).unwrap());
    drop(open_with(folder.path(), halved).unwrap());
    let store = open(folder.path());
    store
        .append(summary(
            proxy("edge", "n1"),
            7,
            1,
            NOON,
            1,
            vec![route(Direction::Outbound, "cart", &[5], 0)],
        ))
        .await
        .unwrap();
    store.flush(at(NOON)).await.unwrap();
    drop(store);
    assert_eq!(
        error_of(open_with(folder.path(), halved), folder.path()),
        "level 0 of the store `DIR/store.db` has steps of 60000 ms, but the settings ask for 500 ms; set the step back, or start with another file"
    );
}

#[test]
fn levels_must_fit_into_each_other() {
    let level = |ms| Level { step: Step::from_ms(ms).unwrap(), retention_ms: 1 };
    assert!(Levels::new([level(500), level(5000), level(30_000)]).is_ok());
    assert_eq!(
        Levels::new([level(500), level(5100), level(30_000)]).unwrap_err().to_string(),
        "step 5100 ms of level 1 must be a whole multiple of the 500 ms of the level below"
    );
}

#[tokio::test]
async fn a_full_disk_is_not_acknowledged_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), |settings| settings.max_file_bytes = Some(400_000)).unwrap();
    let big = |sequence: u64| {
        let routes = (0..40)
            .map(|n| route(Direction::Outbound, &format!("service-{n}"), &[sequence * 100, n * 3000], 0))
            .collect();
        summary(proxy("edge", "n1"), 7, sequence, NOON + ms(sequence), 80 * sequence, routes)
    };
    assert_eq!(store.health(), Health::Ready);
    let mut acknowledged = 0;
    let error = loop {
        match store.append(big(acknowledged + 1)).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "the limit is never reached");
    };
    assert_eq!(
        error.to_string(),
        "cannot make the summary durable: database or disk is full; send it again later"
    );
    assert_eq!(store.health(), Health::Failing("database or disk is full".to_owned()));
    let again = store.append(big(acknowledged + 1)).await;
    assert!(matches!(again, Err(StoreError::NotDurable { .. })), "{again:?}");

    // Merging takes less room than what it replaces.
    store.flush(at(NOON + MINUTE)).await.unwrap();
    assert_eq!(store.health(), Health::Ready);
    assert_eq!(store.append(big(acknowledged + 1)).await.unwrap(), Appended::Stored);
    store.flush(at(NOON + MINUTE)).await.unwrap();
    let observations: u64 = all(&store, 0).await.iter().map(|s| s.counts.all()).sum();
    assert_eq!(observations, 80 * (acknowledged + 1), "what was refused was not stored");
}

#[tokio::test]
async fn people_can_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let latencies: Vec<u64> = (1..=100).map(|n| n * 1000).collect();
    let routes = vec![route(Direction::Outbound, "cart", &latencies, 4)];
    store.append(summary(proxy("edge", "n1"), 7, 1, NOON, 100, routes)).await.unwrap();
    store.flush(at(NOON)).await.unwrap();
    let connection = Connection::open(folder.path().join("store.db")).unwrap();
    let row: (String, String, i64, i64, f64, f64) = connection
        .query_row(
            "SELECT start, callee, requests, server_errors, p50_ms, p99_ms FROM latency WHERE step_ms = 60000",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )
        .unwrap();
    assert_eq!((row.0.as_str(), row.1.as_str(), row.2, row.3), ("2025-11-24T11:59:00.000Z", "cart", 100, 4));
    assert!((50.0..50.5).contains(&row.4) && (99.0..99.9).contains(&row.5), "p50 {} p99 {}", row.4, row.5);
    let lost: i64 = connection.query_row("SELECT lost FROM proxies", [], |row| row.get(0)).unwrap();
    assert_eq!(lost, 0);
}

#[tokio::test]
async fn names_without_steps_make_room_for_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let few = |settings: &mut StoreSettings| settings.max_series = 4;
    let day = 24 * 60 * MINUTE;
    let call = |epoch: u64, service: &str, end: i64| {
        summary(proxy("edge", "n1"), epoch, 1, end, 1, vec![route(Direction::Outbound, service, &[5], 0)])
    };
    let store = open_with(folder.path(), few).unwrap();
    for (epoch, service) in [(1, "old-1"), (2, "old-2"), (3, "kept")] {
        let end = if service == "kept" { NOON + 399 * day } else { NOON };
        store.append(call(epoch, service, end)).await.unwrap();
    }
    store.flush(at(NOON + 399 * day)).await.unwrap();
    store.flush(at(NOON + 401 * day)).await.unwrap();
    drop(store);
    let store = open_with(folder.path(), few).unwrap();
    assert_eq!(store.services().await.unwrap(), [ServiceId::from("kept")]);
    for (epoch, service) in [(4, "new-1"), (5, "new-2"), (6, "new-3"), (7, "kept")] {
        store.append(call(epoch, service, NOON + 401 * day)).await.unwrap();
    }
    store.flush(at(NOON + 401 * day)).await.unwrap();
    let names: Vec<String> = store.services().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["kept", "new-1", "new-2", "new-3"]);
    let kept =
        RangeQuery { level: 2, to: at(i64::MAX), callee: Some("kept".into()), ..RangeQuery::default() };
    assert_eq!(store.range(kept).await.unwrap().len(), 2, "its old and its new step");
}
