//! What a pushed body says: points in time with a value each, as JSON or CSV, checked before anything is stored.
use crate::{api::parse_time, settings::Span};
use foremesh_core::{calendar::Scope, time::Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Times outside 1970 to 2100 are mistakes of units, not plans.
const TIMES_MS: std::ops::Range<i64> = 0..4_102_444_800_000;
/// Longest text of a refused value that an error repeats.
const QUOTED: usize = 40;

/// One body that was accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Push {
    /// Unit of the values, for people.
    pub unit: Option<String>,
    /// How long a value holds when no newer one follows.
    pub hold: Option<Span>,
    /// What it may influence.
    pub scope: Option<Scope>,
    /// Value at each point in time; of two for one time the later one in the body.
    pub points: BTreeMap<Timestamp, f64>,
}

/// Why a body was refused. Nothing of it is stored then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It is not JSON, or not of the right shape.
    #[error(
        "the body is not the JSON that is expected: {0}; send {{\"unit\": \"eur\", \"points\": [{{\"at\": \
         \"2026-11-24T09:00:00Z\", \"value\": 120.5}}]}}"
    )]
    Json(String),
    /// It is not CSV, or has other columns.
    #[error(
        "the body is not the CSV that is expected: {0}; send a header `timestamp,value` and one line a point"
    )]
    Csv(String),
    /// One point is wrong.
    #[error("{place}: `{field}` is `{value}`, but must be {limit}")]
    Point {
        /// `points[7]` or `line 8`.
        place: String,
        /// Which part of it.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        limit: &'static str,
    },
    /// There are none.
    #[error("the body has no points; send one at least, or DELETE the regressor to end it")]
    Empty,
    /// There are too many.
    #[error("the body has more than {limit} points; send it in parts, the newest value of each time wins")]
    TooMany {
        /// How many a body may have.
        limit: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonBody {
    unit: Option<String>,
    hold: Option<Span>,
    scope: Option<Scope>,
    points: Vec<JsonPoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonPoint {
    #[serde(default)]
    at: Value,
    #[serde(default)]
    value: Value,
}

/// Reads a JSON body.
///
/// # Errors
/// When it is not such a body, or a point is wrong: all or nothing is accepted.
pub fn from_json(body: &[u8], limit: usize) -> Result<Push, PushError> {
    let body: JsonBody = serde_json::from_slice(body).map_err(|error| PushError::Json(error.to_string()))?;
    if body.points.len() > limit {
        return Err(PushError::TooMany { limit });
    }
    let mut points = BTreeMap::new();
    for (index, JsonPoint { at, value }) in body.points.iter().enumerate() {
        let place = || format!("points[{index}]");
        let time = at.as_str().map_or_else(|| at.to_string(), str::to_owned);
        let number = match value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        insert(&mut points, place, &time, number, || {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        })?;
    }
    if points.is_empty() {
        return Err(PushError::Empty);
    }
    Ok(Push { unit: body.unit, hold: body.hold, scope: body.scope, points })
}

/// Reads a CSV body with the columns `timestamp` and `value`, in any order.
///
/// # Errors
/// As [`from_json`].
pub fn from_csv(body: &[u8], limit: usize) -> Result<Push, PushError> {
    // Spreadsheets put a byte-order mark before the first column's name.
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(body);
    let refuse = |error: csv::Error| PushError::Csv(error.to_string());
    let header = reader.headers().map_err(refuse)?.clone();
    let column = |name: &str| {
        header.iter().position(|found| found.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let found = header.iter().map(short).collect::<Vec<_>>().join(",");
            PushError::Csv(format!("the header is `{}` and has no column `{name}`", short(&found)))
        })
    };
    let (time, value) = (column("timestamp")?, column("value")?);
    if let Some(other) = (0..header.len()).find(|at| *at != time && *at != value) {
        let other = short(header.get(other).unwrap_or_default());
        return Err(PushError::Csv(format!("column `{other}` is not known")));
    }
    let mut points = BTreeMap::new();
    let (mut rows, mut row) = (0, csv::StringRecord::new());
    while reader.read_record(&mut row).map_err(refuse)? {
        rows += 1;
        if rows > limit {
            return Err(PushError::TooMany { limit });
        }
        let line = row.position().map_or(0, csv::Position::line);
        let text = row.get(value).unwrap_or_default();
        let place = || format!("line {line}");
        insert(&mut points, place, row.get(time).unwrap_or_default(), text.parse().ok(), || text.to_owned())?;
    }
    if points.is_empty() {
        return Err(PushError::Empty);
    }
    Ok(Push { points, ..Push::default() })
}

fn insert(
    points: &mut BTreeMap<Timestamp, f64>,
    place: impl Fn() -> String,
    time: &str,
    value: Option<f64>,
    given: impl Fn() -> String,
) -> Result<(), PushError> {
    let at =
        parse_time(time).filter(|at| TIMES_MS.contains(&at.unix_ms())).ok_or_else(|| PushError::Point {
            place: place(),
            field: "timestamp",
            value: short(time),
            limit: "an RFC 3339 time from 1970 to 2100 with its offset, such as 2026-11-24T09:00:00Z",
        })?;
    let value = value.filter(|value| value.is_finite()).ok_or_else(|| PushError::Point {
        place: place(),
        field: "value",
        value: short(&given()),
        limit: "a finite number; leave out what is not known",
    })?;
    points.insert(at, value);
    Ok(())
}

/// The beginning of what somebody sent, as an error may repeat it.
fn short(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 4;

    #[test]
    fn json_and_csv_say_the_same() {
        let json = br#"{"unit": "eur", "hold": "1h", "points": [
            {"at": "2026-11-24T10:00:00+01:00", "value": -2}, {"at": "2026-11-24T09:30:00.5Z", "value": 1.5}]}"#;
        let csv =
            "\u{feff}Value, Timestamp\n# a plan\n-2, 2026-11-24T10:00:00+01:00\n1.5,2026-11-24T09:30:00.5Z\n";
        let (json, csv) = (from_json(json, LIMIT).unwrap(), from_csv(csv.as_bytes(), LIMIT).unwrap());
        assert_eq!(json.points, csv.points);
        let times: Vec<i64> = json.points.keys().map(|at| at.unix_ms()).collect();
        assert_eq!(times, [1_795_510_800_000, 1_795_512_600_500]);
        assert_eq!((json.unit.as_deref(), json.hold), (Some("eur"), Some(Span::from_secs(3600))));
    }

    #[test]
    fn of_two_values_for_one_time_the_later_wins() {
        let csv = b"timestamp,value\n2026-11-24T09:00:00Z,1\n2026-11-24T09:00:00Z,2\n";
        let points = from_csv(csv, LIMIT).unwrap().points;
        assert_eq!(points.into_values().collect::<Vec<_>>(), [2.0]);
    }

    #[test]
    fn each_bad_json_gets_one_clear_error() {
        let point = |at: &str, value: &str| format!(r#"{{"points": [{{"at": {at}, "value": {value}}}]}}"#);
        let good = r#""2026-11-24T09:00:00Z""#;
        for (name, body, want) in [
            ("not json", "points".to_owned(), "the body is not the JSON that is expected: "),
            ("unknown field", r#"{"point": []}"#.to_owned(), "unknown field `point`"),
            ("no points", r#"{"points": []}"#.to_owned(), "the body has no points"),
            (
                "NaN as text",
                point(good, r#""NaN""#),
                "points[0]: `value` is `NaN`, but must be a finite number",
            ),
            ("null", point(good, "null"), "points[0]: `value` is `null`, but must be"),
            ("too big for a float", point(good, "1e999"), "number out of range"),
            ("text", point(good, r#""12""#), "points[0]: `value` is `12`, but must be a finite number"),
            (
                "a number as time",
                point("1795510800", "1"),
                "points[0]: `timestamp` is `1795510800`, but must be an RFC",
            ),
            ("no offset", point(r#""2026-11-24T09:00:00""#, "1"), "`timestamp` is `2026-11-24T09:00:00`"),
            ("far future", point(r#""3026-11-24T09:00:00Z""#, "1"), "from 1970 to 2100"),
            ("unitless hold", r#"{"hold": "5", "points": []}"#.to_owned(), "`5` is not a duration"),
            (
                "too many",
                format!(r#"{{"points": [{}]}}"#, [r#"{"at": "", "value": 1}"#; 5].join(",")),
                "more than 4 points",
            ),
        ] {
            let text = from_json(body.as_bytes(), LIMIT).unwrap_err().to_string();
            assert!(text.contains(want), "case {name}: {text}");
        }
    }

    #[test]
    fn each_bad_csv_gets_one_clear_error() {
        let at = "2026-11-24T09:00:00Z";
        for (name, body, want) in [
            ("nothing", String::new(), "has no column `timestamp`"),
            ("header only", "timestamp,value\n".to_owned(), "the body has no points"),
            (
                "no header",
                format!("{at},1\n"),
                "the header is `2026-11-24T09:00:00Z,1` and has no column `timestamp`",
            ),
            ("other column", "timestamp,value,note\n".to_owned(), "column `note` is not known"),
            ("NaN", format!("timestamp,value\n{at},1\n{at},NaN\n"), "line 3: `value` is `NaN`, but must be"),
            ("infinite", format!("timestamp,value\n{at},-inf\n"), "line 2: `value` is `-inf`, but must be"),
            ("too big", format!("timestamp,value\n{at},1e999\n"), "line 2: `value` is `1e999`, but must be"),
            ("missing value", format!("timestamp,value\n{at}\n"), "found record with 1 fields"),
            ("empty value", format!("timestamp,value\n{at},\n"), "line 2: `value` is ``, but must be"),
            ("comma as point", format!("timestamp,value\n{at},1,5\n"), "found record with 3 fields"),
            ("too many", format!("timestamp,value\n{}", format!("{at},1\n").repeat(5)), "more than 4 points"),
        ] {
            let text = from_csv(body.as_bytes(), LIMIT).unwrap_err().to_string();
            assert!(text.contains(want), "case {name}: {text}");
        }
        let text = from_csv(b"timestamp,value\n\xff\xfe,1\n", LIMIT).unwrap_err().to_string();
        assert!(text.contains("invalid UTF-8"), "{text}");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_all_that_is_accepted_is_finite(
            raw in proptest::collection::vec(any::<u8>(), 0..200),
            rows in proptest::collection::vec(("\\PC{0,12}|2026-11-24T09:00:00Z", "\\PC{0,6}|[0-9.eE+-]{1,6}"), 0..6),
        ) {
            let csv = rows.iter().fold("timestamp,value\n".to_owned(), |text, (at, value)| format!("{text}{at},{value}\n"));
            let points: Vec<Value> = rows.iter().map(|(at, value)| {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
                serde_json::json!({"at": at, "value": value})
            }).collect();
            let json = serde_json::json!({"points": points}).to_string();
            for (csv, json) in [(csv.as_bytes(), json.as_bytes()), (&raw, &raw)] {
                for read in [from_csv(csv, 4), from_json(json, 4)] {
                    match read {
                        Ok(push) => {
                            prop_assert!(!push.points.is_empty() && push.points.len() <= 4);
                            prop_assert!(push.points.values().all(|value| value.is_finite()));
                        }
                        Err(error) => prop_assert!(!error.to_string().is_empty()),
                    }
                }
            }
        }
    }
}
