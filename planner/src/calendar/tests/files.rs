//! Calendar files: refused at a start, kept at a later read.
use super::*;

#[tokio::test]
async fn files_of_a_directory_are_in_force_and_read_again() {
    let rig = Rig::new("[{file: calendars}, {file: one.yaml}]");
    rig.write("calendars/a.yaml", &daily("a", "backup", 2));
    rig.write("calendars/b.yml", &daily("b", "report", 9));
    rig.write("calendars/notes.txt", "not a calendar");
    rig.write("one.yaml", &format!("{}---{}", daily("c", "batch", 20), daily("d", "sync", 21)));
    let calendars = rig.open();
    assert_eq!(&week(&calendars)[..5], ["backup@2", "report@9", "batch@20", "sync@21", "backup@26"]);

    rig.write("calendars/a.yaml", &daily("a", "backup", 4));
    std::fs::remove_file(rig.path("calendars/b.yml")).unwrap();
    rig.later(&calendars, 59_999).await;
    assert_eq!(week(&calendars)[0], "backup@2", "it is not due yet");
    rig.later(&calendars, 1).await;
    assert_eq!(&week(&calendars)[..3], ["backup@4", "batch@20", "sync@21"]);
}

#[tokio::test]
async fn a_file_that_becomes_bad_changes_nothing() {
    let rig = Rig::new("[{file: calendars}]");
    rig.write("calendars/a.yaml", &daily("a", "backup", 2));
    let calendars = rig.open();
    let before = week(&calendars);
    let twice = format!("{}---{}", daily("a", "other", 3), daily("a", "other", 4));
    for (failed, (name, text, want)) in [
        ("not yaml", "a: [".to_owned(), "calendar file `"),
        ("unknown field", daily("a", "b", 2).replace("duration", "lasts"), "unknown field `lasts`"),
        ("bad cron", daily("a", "b", 99), "calendar `a` in `"),
        ("one name twice", twice, "calendar `a` is in `"),
    ]
    .into_iter()
    .enumerate()
    {
        rig.write("calendars/a.yaml", &text);
        rig.later(&calendars, 60_000).await;
        let source = calendars.current().sources()[0].clone();
        assert!(source.error.as_deref().unwrap_or_default().contains(want), "case {name}: {source:?}");
        assert_eq!(source.good_at, Some(Timestamp::from_unix_ms(NOW)), "case {name}");
        assert_eq!(week(&calendars), before, "case {name}");
        assert_eq!(rig.metrics.failed(&source.name), failed as u64 + 1, "case {name}");
        // At a start the same is refused.
        let refused = rig.try_open().unwrap_err();
        assert!(chain(&refused).contains(want), "case {name}: {refused}");
    }
    std::fs::remove_dir_all(rig.path("calendars")).unwrap();
    rig.later(&calendars, 60_000).await;
    assert_eq!(week(&calendars), before, "a directory that is gone is not an empty one");

    rig.write("calendars/a.yaml", &daily("a", "backup", 5));
    rig.later(&calendars, 60_000).await;
    assert_eq!(calendars.current().sources()[0].error, None);
    assert_eq!(week(&calendars)[0], "backup@5");
}

#[tokio::test]
async fn a_feed_in_a_file_starts_at_the_directory_of_the_file_that_names_it() {
    let rig = Rig::new("[{file: calendars}]");
    let document =
        daily("a", "holidays", 2).replace("{cron: '0 2 * * *'}", "{ical: {file: in/h.ics, refresh: 1h}}");
    rig.write("calendars/a.yaml", &document);
    rig.write("calendars/in/h.ics", &ical("day", 5));
    let calendars = rig.open();
    assert_eq!(week(&calendars), ["holidays/day@5"]);

    rig.write("calendars/in/h.ics", &ical("other-day", 6));
    rig.later(&calendars, HOUR).await;
    assert_eq!(week(&calendars), ["holidays/other-day@6"]);

    // The file that names it changes, and what the feed gave stays.
    rig.write("calendars/a.yaml", &document.replace("[backup]", "[holiday]"));
    rig.write("calendars/in/h.ics", "broken");
    rig.later(&calendars, HOUR).await;
    assert_eq!(week(&calendars), ["holidays/other-day@6"]);
    let set = calendars.current();
    let found = set.all(Timestamp::from_unix_ms(NOW), Timestamp::from_unix_ms(NOW + DAY));
    assert_eq!((found[0].occurrence.tag(), found[0].id.as_str()), ("holiday", "a:holidays/other-day"));
    assert!(chain(&rig.try_open().unwrap_err()).contains("is no calendar that can be read"));
}
