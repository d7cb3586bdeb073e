//! Events that are made over HTTP, and occurrences that are cancelled.
use super::*;

fn spec(name: &str, hour: i64) -> EventSpec {
    let spec = serde_json::json!({
        "name": name, "when": {"cron": format!("0 {hour} * * *")}, "duration": "1h", "scope": {"services": ["sh*"]}
    });
    serde_json::from_value(spec).unwrap()
}

#[tokio::test]
async fn an_event_is_made_once_and_outlives_a_restart() {
    let rig = Rig::new("[]");
    let calendars = rig.open();
    assert_eq!(calendars.put("backup", spec("backup", 2), false).await.unwrap(), Put::Made);
    assert_eq!(calendars.put("backup", spec("backup", 2), false).await.unwrap(), Put::Unchanged);
    let refused = calendars.put("backup", spec("backup", 3), false).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("there is an event `backup` already, and it says something else"),
        "{refused}"
    );
    assert_eq!(week(&calendars)[0], "backup@2");
    assert_eq!(calendars.put("backup", spec("backup", 4), true).await.unwrap(), Put::Replaced);
    calendars.put("other", spec("other", 5), true).await.unwrap();
    calendars.remove("other").await.unwrap();
    for calendars in [calendars, rig.open()] {
        assert_eq!(
            week(&calendars),
            (0..7).map(|day| format!("backup@{}", 24 * day + 4)).collect::<Vec<_>>()
        );
        assert_eq!(calendars.made().keys().collect::<Vec<_>>(), ["backup"]);
        let unknown = calendars.remove("other").await.unwrap_err().to_string();
        assert!(unknown.starts_with("there is no event `other` that was made over HTTP"), "{unknown}");
    }
}

#[tokio::test]
async fn events_that_cannot_be_are_refused() {
    let rig = Rig::new("[]");
    let calendars = rig.open();
    let feed = |source: serde_json::Value| -> EventSpec {
        serde_json::from_value(serde_json::json!({"name": "feed", "when": {"ical": source}})).unwrap()
    };
    for (name, id, spec, want) in [
        ("bad id", "a/b", spec("a", 1), "`a/b` cannot be an event's id"),
        ("bad time", "a", spec("a", 77), "the event cannot be accepted:\n  spec.events[0].when.cron"),
        ("reads a file", "a", feed(serde_json::json!({"file": "/etc/passwd"})), "cannot be an iCal feed"),
        (
            "asks a server",
            "a",
            feed(serde_json::json!({"url": "http://10.0.0.1/"})),
            "cannot be an iCal feed",
        ),
    ] {
        let text = calendars.put(id, spec, true).await.unwrap_err().to_string();
        assert!(text.contains(want), "case {name}: {text}");
    }
    assert!(calendars.current().is_empty());
}

#[tokio::test]
async fn one_occurrence_is_cancelled_wherever_its_event_is_from() {
    let rig = Rig::new("[{file: a.yaml}]");
    rig.write("a.yaml", &daily("a", "backup", 2));
    let calendars = rig.open();
    calendars.put("sync", spec("sync", 3), false).await.unwrap();
    let at = |hours: i64| Timestamp::from_unix_ms(NOW + hours * HOUR);
    for (id, hours) in [("a:backup", 26), ("sync", 27)] {
        for _ in 0..2 {
            let found = calendars.cancel(id, at(hours), true).await.unwrap();
            assert!(found.cancelled && found.id == id, "twice is the same as once");
        }
    }
    let text = calendars.cancel("a:backup", at(25), true).await.unwrap_err().to_string();
    assert!(
        text.starts_with("event `a:backup` has no occurrence that starts at 2026-11-25T01:00:00Z"),
        "{text}"
    );
    assert!(calendars.cancel("nobody", at(26), true).await.is_err());
    for calendars in [&calendars, &rig.open()] {
        assert_eq!(&week(calendars)[..4], ["backup@2", "sync@3", "backup@50", "sync@51"]);
        let all = calendars.current().of_service("shop", at(24), at(48));
        assert_eq!(
            all.iter().map(|found| found.cancelled).collect::<Vec<_>>(),
            [true, true],
            "people see them"
        );
    }
    calendars.cancel("a:backup", at(26), false).await.unwrap();
    calendars.remove("sync").await.unwrap();
    calendars.put("sync", spec("sync", 3), false).await.unwrap();
    for calendars in [&calendars, &rig.open()] {
        assert_eq!(&week(calendars)[2..4], ["backup@26", "sync@27"], "nothing is left of the cancellations");
    }
}
