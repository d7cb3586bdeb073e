//! Freeze windows, in time zones and over changes of the clock.
use foremesh_calendar::{check_freezes, freezes};
use foremesh_core::{
    policy::{PolicyDocument, RelocationPolicy, validate},
    time::Timestamp,
};
use jiff::Timestamp as Moment;

/// A policy with one freeze window, as it is written in YAML.
fn policy(window: &str) -> RelocationPolicy {
    let text = format!(
        "apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {{name: shop}}
spec:
  selector: {{services: [\"*\"]}}
  rules: [{{name: slow, predictedLatency: {{quantile: 0.99, above: 250ms}}}}]
  freeze: [{{name: window, {window}}}]
"
    );
    let document: PolicyDocument = yaml_serde::from_str(&text).unwrap();
    validate(&document).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_unix_ms(text.parse::<Moment>().unwrap().as_millisecond())
}

fn written(moment: Timestamp) -> String {
    Moment::from_millisecond(moment.unix_ms()).unwrap().strftime("%d %H:%MZ").to_string()
}

/// Window, time that is asked about, begins and ends.
type Case =
    (&'static str, &'static str, (&'static str, &'static str), &'static [(&'static str, &'static str)]);

#[test]
#[expect(clippy::too_many_lines, reason = "a table of windows")]
fn windows_are_where_the_clock_on_the_wall_says() {
    let cases: &[Case] = &[
        (
            "a night in Berlin, one hour before UTC in winter",
            "between: \"22:00-06:00\", timeZone: Europe/Berlin",
            ("2026-01-05T12:00:00Z", "2026-01-06T12:00:00Z"),
            &[("05 21:00Z", "06 05:00Z")],
        ),
        (
            "one that has begun counts",
            "between: \"22:00-06:00\", timeZone: Europe/Berlin",
            ("2026-01-06T04:59:00Z", "2026-01-06T05:30:00Z"),
            &[("05 21:00Z", "06 05:00Z")],
        ),
        (
            "one that is over does not, to the millisecond",
            "between: \"22:00-06:00\", timeZone: Europe/Berlin",
            ("2026-01-06T05:00:00Z", "2026-01-06T20:59:59.999Z"),
            &[],
        ),
        (
            "on Fridays only: 2026-01-09 is one",
            "between: \"18:00-24:00\", days: [fri]",
            ("2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"),
            &[("09 18:00Z", "10 00:00Z")],
        ),
        (
            "the night in which the clock is put forward has an hour less",
            "between: \"22:00-06:00\", timeZone: Europe/Berlin",
            ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"),
            &[("28 21:00Z", "29 04:00Z")],
        ),
        (
            "and the one in which it is put back has one more",
            "between: \"22:00-06:00\", timeZone: Europe/Berlin",
            ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"),
            &[("24 20:00Z", "25 05:00Z")],
        ),
        (
            "a begin that the clock skips is at the end of the gap",
            "between: \"02:30-04:00\", timeZone: Europe/Berlin",
            ("2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z"),
            &[("29 01:00Z", "29 02:00Z")],
        ),
        (
            "a window in the hour that the clock skips is nothing",
            "between: \"02:10-02:50\", timeZone: Europe/Berlin",
            ("2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z"),
            &[],
        ),
        (
            "a begin that the clock shows twice is the first, an end the second",
            "between: \"02:10-02:50\", timeZone: Europe/Berlin",
            ("2026-10-25T00:00:00Z", "2026-10-25T12:00:00Z"),
            &[("25 00:10Z", "25 01:50Z")],
        ),
        (
            "once, with an end that the clock shows twice",
            "from: 2026-10-24T18:00, to: 2026-10-25T02:30, timeZone: Europe/Berlin",
            ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            &[("24 16:00Z", "25 01:30Z")],
        ),
        (
            "days, the second excluded",
            "from: 2026-12-24, to: 2026-12-27, timeZone: Europe/Berlin",
            ("2026-12-01T00:00:00Z", "2026-12-31T00:00:00Z"),
            &[("23 23:00Z", "26 23:00Z")],
        ),
        (
            "by cron, in a gap",
            "cron: \"30 2 * * sun\", duration: 2h, timeZone: Europe/Berlin",
            ("2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"),
            &[("29 01:00Z", "29 03:00Z")],
        ),
    ];
    for (name, window, (from, to), want) in cases {
        let policy = policy(window);
        assert_eq!(check_freezes(&policy), [], "case: {name}");
        let found = freezes(&[policy], at(from), at(to));
        let found: Vec<(String, String)> =
            found.iter().map(|freeze| (written(freeze.from), written(freeze.to))).collect();
        let want: Vec<(String, String)> =
            want.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        assert_eq!(found, want, "case: {name}");
    }
}

#[test]
fn what_cannot_be_read_is_named_and_freezes_everything() {
    for (window, want) in [
        (
            "between: \"22:00-06:00\", timeZone: Europe/Berln",
            "spec.freeze[0].timeZone is `Europe/Berln`, but no time zone has that name; use a name of the IANA database, such as Europe/Berlin",
        ),
        (
            "from: soon, to: 2026-12-27",
            "spec.freeze[0].from is `soon`, but it must be a day, or a day and a time; write for example 2026-12-20T18:00",
        ),
        (
            "from: 2026-12-27, to: 2026-12-27",
            "spec.freeze[0].to is `2026-12-27`, but it must be after `from`, which is 2026-12-27; correct one of them",
        ),
        (
            "cron: \"61 2 * * *\", duration: 2h",
            "spec.freeze[0].cron is `61 2 * * *`, but it must be a cron pattern",
        ),
    ] {
        let policy = policy(window);
        let problems: Vec<String> = check_freezes(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{window}: {problems:?}");
        assert!(problems[0].starts_with(want), "{window}: {problems:?}");
        let (from, to) = (at("2026-01-05T00:00:00Z"), at("2026-01-05T01:00:00Z"));
        let found = freezes(&[policy], from, to);
        assert_eq!((found.len(), found[0].from, found[0].to), (1, from, to), "{window}");
    }
}
