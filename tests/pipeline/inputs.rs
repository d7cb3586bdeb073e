//! Events and regressors over HTTP and by the commands of the real binary, against the whole planner.
use crate::{readme::block, world::World};
use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
};
use foremesh::settings::Settings;
use foremesh_tests::place::foremesh_binary;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tower::ServiceExt as _;

/// How long a command may take.
const WITHIN: Duration = Duration::from_secs(60);
/// The world begins on this day.
const DAY: &str = "2025-11-24";

/// What was answered: status, media type, JSON.
async fn ask(
    world: &World,
    method: Method,
    path: &str,
    kind: &str,
    body: &str,
) -> (StatusCode, String, Value) {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let answer = world.router().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let kind = answer.headers()[header::CONTENT_TYPE].to_str().expect("a media type is text").to_owned();
    let body = to_bytes(answer.into_body(), 8 << 20).await.expect("a body");
    (status, kind, serde_json::from_slice(&body).expect("JSON"))
}

async fn json(world: &World, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let (status, _, answer) = ask(world, method, path, "application/json", &body.to_string()).await;
    (status, answer)
}

fn nightly() -> Value {
    json!({
        "name": "nightly backup", "when": {"cron": "30 2 * * *"}, "zone": "Europe/Berlin", "duration": "1h",
        "tags": ["backup"], "scope": {"services": ["shop"]}, "expectedEffect": "x1.8",
    })
}

fn starts(answer: &Value) -> Vec<(&str, bool)> {
    let occurrences = answer["occurrences"].as_array().expect("a list");
    occurrences.iter().map(|o| (o["start"].as_str().expect("a time"), o["cancelled"] == true)).collect()
}

#[tokio::test]
async fn an_event_is_made_listed_cancelled_and_removed() {
    let world = World::new("observe").await;
    let path = "/api/v1/events";
    let (status, made) = json(&world, Method::POST, &format!("{path}?by=ops"), &nightly()).await;
    assert_eq!((status, &made["id"]), (StatusCode::CREATED, &"nightly-backup".into()), "{made}");
    let (status, again) = json(&world, Method::POST, path, &nightly()).await;
    assert_eq!((status, &again), (StatusCode::OK, &made), "the same again changes nothing");
    let mut other = nightly();
    other["duration"] = "2h".into();
    let (status, refused) = json(&world, Method::POST, path, &other).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    let (status, replaced) = json(&world, Method::PUT, "/api/v1/events/nightly-backup", &other).await;
    assert_eq!((status, &replaced["event"]["duration"]), (StatusCode::OK, &"2h".into()));

    let range = format!("from={DAY}T12:00:00Z&to=2025-11-27T12:00:00Z");
    let listed = world.get(&format!("{path}?{range}&service=shop")).await;
    let want = ["2025-11-25T01:30:00Z", "2025-11-26T01:30:00Z", "2025-11-27T01:30:00Z"];
    assert_eq!(starts(&listed), want.map(|start| (start, false)), "{listed}");
    let first = &listed["occurrences"][0];
    assert_eq!((&first["tags"], &first["expected_effect"]), (&json!(["backup"]), &"x1.8".into()));
    assert_eq!((&first["source"], &first["end"]), (&"the API".into(), &"2025-11-25T03:30:00Z".into()));
    let elsewhere = world.get(&format!("{path}?{range}&service=cart")).await;
    assert!(starts(&elsewhere).is_empty(), "{elsewhere}");

    let cancel = "/api/v1/events/nightly-backup/cancel";
    let (status, _) = json(&world, Method::POST, cancel, &json!({"start": want[1]})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, missed) =
        json(&world, Method::POST, cancel, &json!({"start": "2025-11-26T02:30:00Z"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{missed}");
    let listed = world.get(&format!("{path}?{range}")).await;
    assert_eq!(starts(&listed), [(want[0], false), (want[1], true), (want[2], false)]);

    let (status, _) = json(&world, Method::DELETE, "/api/v1/events/nightly-backup", &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(world.status("/api/v1/events/nightly-backup").await, StatusCode::NOT_FOUND);
    assert!(starts(&world.get(&format!("{path}?{range}")).await).is_empty());
    let mut trail: Vec<String> = world
        .trail()
        .await
        .iter()
        .filter_map(|entry| entry["record"]["event"].as_str())
        .filter(|event| event.starts_with("calendar_"))
        .map(str::to_owned)
        .collect();
    trail.reverse();
    let each = ["event_made", "event_replaced", "occurrence_cancelled", "event_removed"];
    assert_eq!(trail, each.map(|what| format!("calendar_{what}")), "who changed what is on record");
}

#[tokio::test]
async fn regressors_are_pushed_with_their_future_as_json_and_csv() {
    let world = World::new("observe").await;
    let path = "/api/v1/regressors/campaign_spend";
    let plan = json!({
        "unit": "eur", "hold": "1h", "scope": {"services": ["shop"], "metrics": ["throughput_rps"]},
        "points": [{"at": "2025-11-24T11:00:00Z", "value": 1}, {"at": "2025-11-24T13:00:00Z", "value": 2.5}],
    });
    let (status, accepted) = json(&world, Method::POST, path, &plan).await;
    assert_eq!(status, StatusCode::OK, "{accepted}");
    assert_eq!(
        (&accepted["accepted"], &accepted["known_until"]),
        (&2.into(), &"2025-11-24T14:00:00Z".into())
    );
    let csv = "timestamp,value\n2025-11-24T13:00:00Z,9\n2025-11-24T14:00:00Z,10\n";
    let (status, _, accepted) = ask(&world, Method::POST, path, "text/csv; charset=utf-8", csv).await;
    assert_eq!((status, &accepted["replaced"]), (StatusCode::OK, &1.into()), "the newest write wins");

    let listed = world.get("/api/v1/regressors").await;
    let found = &listed["regressors"][0];
    for (field, want) in [
        ("name", json!("campaign_spend")),
        ("unit", json!("eur")),
        ("source", json!("pushed")),
        ("points", json!(3)),
        ("hold_ms", json!(3_600_000)),
        ("first", json!("2025-11-24T11:00:00Z")),
        ("known_until", json!("2025-11-24T15:00:00Z")),
        ("age_ms", json!(0)),
    ] {
        assert_eq!(found[field], want, "{field} of {found}");
    }
    let values = world.get(&format!("{path}?from=2025-11-24T12:00:00Z")).await["values"].clone();
    assert_eq!(
        values,
        json!([
            {"at": "2025-11-24T13:00:00Z", "value": 9.0}, {"at": "2025-11-24T14:00:00Z", "value": 10.0},
        ])
    );
    let (status, _) = json(&world, Method::DELETE, path, &Value::Null).await;
    assert_eq!((status, world.status(path).await), (StatusCode::OK, StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn what_is_wrong_is_a_problem_document_and_changes_nothing() {
    let world = World::new("observe").await;
    let large = format!("timestamp,value\n{}", "2025-11-24T13:00:00Z,9\n".repeat(200_000));
    let many = format!("timestamp,value\n{}", "2025-11-24T13:00:00Z,9\n".repeat(50_001));
    let (events, regressor) = ("/api/v1/events", "/api/v1/regressors/spend");
    let (post, get, json) = (Method::POST, Method::GET, "application/json");
    for (name, method, path, kind, body, status, want) in [
        ("not JSON", &post, events, json, "{", 400, "the body is not the JSON that is expected"),
        ("no name", &post, events, json, "{}", 400, "missing field `name`"),
        ("a list", &post, events, json, "[]", 400, "the body is not the event that is expected"),
        ("id is a number", &post, events, json, r#"{"id": 5}"#, 400, "`5` cannot be an event's id"),
        ("unknown field", &post, events, json, r#"{"name": "a", "at": 1}"#, 400, "unknown field `at`"),
        ("no time", &post, events, json, r#"{"name": "a", "when": {}}"#, 400, "the event cannot be accepted"),
        ("large event", &post, events, json, &large, 413, "more than 65536 bytes"),
        ("bad range", &get, "/api/v1/events?to=2020-01-01T00:00:00Z", "", "", 400, "must be after `from`"),
        (
            "bad time",
            &get,
            "/api/v1/events?from=now",
            "",
            "",
            400,
            "`from` is `now`, but must be an RFC 3339",
        ),
        ("unknown parameter", &get, "/api/v1/events?until=x", "", "", 400, "unknown field `until`"),
        ("bad start", &post, "/api/v1/events/a/cancel", json, r#"{"start": "x"}"#, 400, "`start` is `x`"),
        ("media type", &post, regressor, "text/plain", "", 415, "content-type `text/plain` is not accepted"),
        (
            "infinite",
            &post,
            regressor,
            "text/csv",
            "timestamp,value\n2025-11-24T13:00:00Z,inf\n",
            400,
            "line 2",
        ),
        ("large body", &post, regressor, "text/csv", &large, 413, "more than 4194304 bytes"),
        ("many points", &post, regressor, "text/csv", &many, 413, "more than 50000 points"),
        (
            "bad name",
            &post,
            "/api/v1/regressors/a%20b",
            "text/csv",
            "timestamp,value\n2025-11-24T13:00:00Z,1\n",
            400,
            "cannot be a regressor's name",
        ),
        ("bad hold", &post, "/api/v1/regressors/a?hold=5", "text/csv", "", 400, "`5` is not a duration"),
        ("not there", &get, regressor, "", "", 404, "there is no regressor `spend`"),
    ] {
        let (found, media, problem) = ask(&world, method.clone(), path, kind, body).await;
        assert_eq!((found.as_u16(), &problem["status"]), (status, &status.into()), "case {name}: {problem}");
        assert_eq!(media, "application/problem+json", "case {name}");
        assert!(problem["detail"].as_str().expect("a detail").contains(want), "case {name}: {problem}");
    }
    assert_eq!(world.get("/api/v1/regressors").await["regressors"], json!([]));
    assert_eq!(world.get(events).await["occurrences"], json!([]));
}

#[tokio::test]
async fn every_path_is_described() {
    let world = World::new("observe").await;
    let paths = world.get("/api/v1/openapi.json").await["paths"].clone();
    for (path, methods) in [
        ("/api/v1/events", &["get", "post"][..]),
        ("/api/v1/events/{id}", &["get", "put", "delete"]),
        ("/api/v1/events/{id}/cancel", &["post"]),
        ("/api/v1/events/{id}/restore", &["post"]),
        ("/api/v1/regressors", &["get"]),
        ("/api/v1/regressors/{name}", &["get", "post", "delete"]),
    ] {
        for method in methods {
            assert!(paths[path][method].is_object(), "{method} {path} is not described");
        }
    }
}

/// The YAML blocks of a page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn the_examples_of_the_page_are_accepted() {
    let blocks = blocks(include_str!("../../docs/calendar.md"));
    let [calendars, document, regressors] = blocks[..] else { panic!("three blocks, not {}", blocks.len()) };
    let base = "stateDirectory: state\nplatform: {hosts: hosts.yaml}\npolicies: [policies]\n";
    let text = format!("{base}{calendars}{regressors}");
    let settings = Settings::parse(Path::new("/etc/foremesh/foremesh.yaml"), &text);
    let settings = settings.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((settings.calendars.len(), settings.regressors.len()), (2, 3));
    let place = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(place.path().join("shop.yaml"), document).expect("a file");
    let from = ["--from", "2026-11-25T00:00:00Z", "--days", "3"];
    let (code, stdout, stderr) =
        run(place.path(), &[&["calendar", "check", "shop.yaml"][..], &from].concat()).await;
    assert_eq!(code, Some(0), "{stderr}");
    for part in ["shop:nightly-backup", "2026-11-26T01:30:00Z", "shop:sale", "+200 rps"] {
        assert!(stdout.contains(part), "`{part}` is missing in {stdout}");
    }
}

/// Runs a command of the real binary: exit code, stdout, stderr.
async fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut process = tokio::process::Command::new(foremesh_binary());
    process.args(arguments).current_dir(directory).env("USER", "tester").kill_on_drop(true);
    let ended = tokio::time::timeout(WITHIN, process.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("`foremesh {arguments:?}` does not end")).expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_do_the_same_against_a_running_planner() {
    let world = World::new("observe").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("an address"));
    let router = world.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let place = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(place.path().join("spend.csv"), "timestamp,value\n2025-11-24T13:00:00Z,9\n")
        .expect("a file");
    std::fs::write(place.path().join("bad.csv"), "timestamp,value\n2025-11-24T13:00:00Z,NaN\n")
        .expect("a file");
    std::fs::write(place.path().join("e.yaml"), "name: once\nwhen: {at: 2025-11-25T08:00}\nduration: 1h\n")
        .expect("a file");
    let list = "--from 2025-11-25T00:00:00Z --to 2025-11-26T00:00:00Z";
    for (line, code, out, error) in [
        (
            "calendar add backup --cron 30@2@*@*@* --duration 1h --service shop --tag nightly --effect x1.8",
            0,
            "event backup is in the calendar",
            "",
        ),
        ("calendar add backup --cron 30@3@*@*@* --duration 1h", 1, "", "answered 409 Conflict"),
        ("calendar add --file e.yaml --id at-once -o json", 0, r#""id":"at-once""#, ""),
        ("calendar add never", 1, "", "say when the event takes place"),
        ("calendar add", 2, "", "Usage: foremesh calendar add"),
        (&format!("calendar list {list}"), 0, "2025-11-25T02:30:00Z", ""),
        (&format!("calendar list {list} -o yaml"), 0, "event: once", ""),
        ("calendar cancel backup --start 2025-11-25T02:30:00Z", 0, "does not take place", ""),
        ("calendar cancel backup --start 2025-11-25T02:31:00Z", 1, "", "answered 404 Not Found"),
        ("calendar cancel backup --start 2025-11-25T02:30:00Z --undo", 0, "takes place again", ""),
        ("calendar remove backup", 0, "event backup is gone", ""),
        ("regressors push spend.csv --unit eur --hold 1h", 0, "1 points of spend are stored", ""),
        ("regressors push bad.csv", 1, "", "line 2: `value` is `NaN`, but must be a finite number"),
        ("regressors push none.csv", 1, "", "`none.csv` cannot be read"),
        ("regressors list", 0, "2025-11-24T14:00:00Z", ""),
        ("regressors list -o json", 0, r#""unit":"eur""#, ""),
        ("regressors delete spend", 0, "regressor spend is gone", ""),
    ] {
        let mut arguments: Vec<String> = line.split(' ').map(|word| word.replace('@', " ")).collect();
        arguments.extend(["--server".to_owned(), server.clone()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (found, stdout, stderr) = run(place.path(), &arguments).await;
        assert_eq!(found, Some(code), "{line}: {stdout}{stderr}");
        assert!(stdout.contains(out) && stderr.contains(error), "{line}: {stdout}{stderr}");
    }
    let trail = world.trail().await;
    assert!(trail.iter().any(|entry| entry["record"]["by"] == "tester"), "the commands say who");
}

#[tokio::test]
async fn a_calendar_file_is_checked_without_a_planner() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let good = "
apiVersion: foremesh.dev/v1alpha1
kind: EventCalendar
metadata: {name: shop}
spec:
  zone: Europe/Berlin
  events:
    - {name: backup, when: {cron: '30 2 * * *'}, duration: 1h}
    - {name: feed, when: {ical: {url: 'http://127.0.0.1:9/x.ics'}}}
";
    let ical = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:sale\r\nDTSTART:20251125T080000Z\r\nDURATION:PT1H\r\n\
                END:VEVENT\r\nEND:VCALENDAR\r\n";
    for (file, text) in
        [("good.yaml", good), ("bad.yaml", &good.replace("30 2", "30 25")), ("sale.ics", ical)]
    {
        std::fs::write(place.path().join(file), text).expect("a file");
    }
    let from = "--from 2025-11-24T00:00:00Z";
    for (line, code, out, error) in [
        (
            format!("calendar check good.yaml {from} --days 2"),
            0,
            "2025-11-24T01:30:00Z",
            "the calendar is good",
        ),
        (format!("calendar check good.yaml {from} --fetch"), 3, "it cannot be reached", "good in part"),
        (format!("calendar check sale.ics {from} -o json"), 0, r#""event":"ical/sale""#, ""),
        (
            "calendar check bad.yaml".to_owned(),
            1,
            "",
            "calendar `shop` in `bad.yaml`:\n  spec.events[0].when.cron",
        ),
        ("calendar check none.yaml".to_owned(), 1, "", "calendar file `none.yaml` cannot be read"),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let (found, stdout, stderr) = run(place.path(), &arguments).await;
        assert_eq!(found, Some(code), "{line}: {stdout}{stderr}");
        assert!(stdout.contains(out) && stderr.contains(error), "{line}: {stdout}{stderr}");
    }
}

#[tokio::test]
async fn a_planner_with_a_bad_calendar_does_not_start_and_check_says_why() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| place.path().join(name);
    std::fs::create_dir(path("policies")).expect("a directory");
    let settings = block("foremesh.yaml").replace("/var/lib/foremesh", "state");
    let url = "http://127.0.0.1:9/x.ics?key=secret";
    let calendars = format!("calendars: [{{file: shop.yaml}}, {{ical: {{name: feed, url: '{url}'}}}}]\n");
    for (file, text) in [
        ("foremesh.yaml", &format!("{settings}\n{calendars}")),
        ("hosts.yaml", &block("hosts.yaml")),
        ("policies/cart.yaml", &block("policies/cart.yaml")),
    ] {
        std::fs::write(path(file), text).expect("a file");
    }
    let document = |cron: &str| {
        format!(
            "apiVersion: foremesh.dev/v1alpha1\nkind: EventCalendar\nmetadata: {{name: shop}}\nspec: {{events: \
             [{{name: backup, when: {{cron: '{cron}'}}, duration: 1h}}]}}\n"
        )
    };
    std::fs::write(path("shop.yaml"), document("30 25 * * *")).expect("a file");
    let (code, stdout, stderr) =
        run(place.path(), &["check", "--offline", "--config", "foremesh.yaml"]).await;
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("error    calendar `shop` in `shop.yaml`"), "{stdout}");
    let (code, _, stderr) = run(place.path(), &["serve", "--config", "foremesh.yaml"]).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("calendar `shop` in "), "{stderr}");
    assert!(!path("state").exists(), "nothing was made");

    std::fs::write(path("shop.yaml"), document("30 2 * * *")).expect("a file");
    let (code, stdout, stderr) =
        run(place.path(), &["check", "--offline", "--config", "foremesh.yaml"]).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("ok       calendar `feed:feed`, not asked"), "{stdout}");
    // The hosts of the example answer nothing, which is another matter.
    let (_, stdout, _) = run(place.path(), &["check", "--config", "foremesh.yaml"]).await;
    assert!(
        stdout.contains("warning  calendar `feed:feed` from http://127.0.0.1:9/x.ics: it cannot be reached"),
        "{stdout}"
    );
    assert!(!stdout.contains("secret"), "{stdout}");
}
