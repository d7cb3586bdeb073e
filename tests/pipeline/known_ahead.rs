//! What is known around a series is in its forecast before it takes place: a backup of a calendar, and a plan that is
//! pushed.
//!
//! The day of these worlds has two hours of one-minute steps, and the backup takes place every third hour. So it is never
//! at the same time of two days, and whoever does not know the calendar cannot know it.
use crate::{
    load::{BACKUP_MINUTES, Load, campaign},
    world::World,
};
use serde_json::{Value, json};

const CALENDAR: &str = "
apiVersion: foremesh.dev/v1alpha1
kind: EventCalendar
metadata: {name: shop}
spec:
  zone: UTC
  events:
    - {name: backup, when: {cron: '50 */3 * * *'}, duration: 20m, tags: [backup], scope: {services: [shop]}}
";
const EVENT: &str = "shop:backup";
/// The third backup, as the calendar lists it.
const THIRD: &str = "2025-11-24T18:50:00Z";
const THROUGHPUT: &str = "/api/v1/services/shop/forecast?metric=throughput";
const LATENCY: &str = "/api/v1/services/shop/forecast?metric=latency&quantile=0.99";

/// Points of the steps from one minute since the start of the world to another: their mean.
fn mean(forecast: &Value, first: &str, end: &str) -> f64 {
    let steps = forecast["steps"].as_array().expect("steps");
    let inside = |step: &&Value| (first..end).contains(&&step["start"].as_str().expect("a time")[11..16]);
    let points: Vec<f64> =
        steps.iter().filter(inside).map(|step| step["point"].as_f64().expect("a point")).collect();
    assert!(points.len() > 5, "steps from {first} to {end} in {forecast}");
    points.iter().sum::<f64>() / points.len() as f64
}

/// How many times as high it is during the third backup as before it.
fn rise(forecast: &Value) -> f64 {
    mean(forecast, "18:52", "19:09") / mean(forecast, "18:36", "18:49")
}

async fn evening(calendars: &str, files: &[(&str, &str)]) -> World {
    let mut world = World::with_short_days(calendars, files, Load::Backups(2)).await;
    let (every, first, _) = BACKUP_MINUTES;
    world.run(2 * every + first - 15).await;
    world
}

#[tokio::test]
async fn a_backup_is_forecast_before_its_third_time_and_not_when_it_is_cancelled() {
    let mut world = evening("calendars: [{file: calendar.yaml}]\n", &[("calendar.yaml", CALENDAR)]).await;
    let (latency, throughput) = (world.get(LATENCY).await, world.get(THROUGHPUT).await);
    let (slower, fewer) = (rise(&latency), rise(&throughput));
    assert!((1.7..=3.0).contains(&slower), "latency during the backup is {slower} times as high: {latency}");
    assert!(
        (0.5..=0.7).contains(&fewer),
        "throughput during the backup is {fewer} times as high: {throughput}"
    );
    for answer in [&latency, &throughput] {
        let event = &answer["events"][0];
        assert_eq!((&event["event"], &event["start"]), (&"backup".into(), &THIRD.into()), "{answer}");
        assert_eq!((&event["tag"], &event["occurrences"]), (&"backup".into(), &2.into()), "{answer}");
        assert!(!answer["model"].as_str().expect("a model").is_empty());
        let parts = answer["parts"].as_array().expect("parts");
        let whole: f64 = parts
            .iter()
            .filter(|part| part["first"] == 0)
            .map(|part| part["weight"].as_f64().expect("a weight"))
            .sum();
        assert!((whole - 1.0).abs() < 1e-3, "the weights of the next step sum to {whole}: {answer}");
        for step in answer["steps"].as_array().expect("steps") {
            let at = |level: &str| step["quantiles"][level].as_f64().expect("a level");
            assert!(at("0.1") <= at("0.5") && at("0.5") <= at("0.9"), "{step}");
        }
    }

    let body = json!({"start": THIRD}).to_string();
    let path = format!("/api/v1/events/{EVENT}/cancel");
    assert_eq!(world.post(&path, "application/json", &body).await, 200);
    world.run(1).await;
    for path in [LATENCY, THROUGHPUT] {
        let calm = world.get(path).await;
        let by = rise(&calm);
        assert!((0.9..=1.15).contains(&by), "{by} times as high during a backup that is cancelled: {calm}");
        assert_eq!(calm["events"], json!([]), "{calm}");
    }

    let accuracy = world.get("/api/v1/accuracy").await;
    let series = accuracy["series"].as_array().expect("series");
    assert!(series.len() >= 3 && accuracy["total"] == series.len(), "{accuracy}");
    let relative: Vec<f64> = series.iter().map_while(|one| one["relative_mae"].as_f64()).collect();
    assert!(!relative.is_empty() && relative.is_sorted_by(|a, b| a >= b), "the worst first: {relative:?}");
    let latency = series.iter().find(|one| one["metric"] == "latency_p99_ms").expect("the latency is judged");
    for at in latency["at"].as_array().expect("distances") {
        assert!(at["count"].as_u64().expect("a count") > 200, "{at}");
        let coverage = at["coverage_80"].as_f64().expect("a coverage");
        assert!((0.4..=1.0).contains(&coverage), "{at}");
    }
}

#[tokio::test]
async fn without_the_calendar_the_third_backup_is_a_surprise() {
    let world = evening("", &[]).await;
    for path in [LATENCY, THROUGHPUT] {
        let unaware = world.get(path).await;
        let by = rise(&unaware);
        assert!((0.85..=1.3).contains(&by), "{by} times as high: {unaware}");
        assert_eq!(unaware["events"], json!([]));
    }
}

#[tokio::test]
async fn a_plan_that_is_pushed_is_in_the_forecast() {
    let mut world = World::with_short_days("", &[], Load::Campaign).await;
    let minutes = 5 * 60;
    // The world begins at noon.
    let plan: Vec<Value> = (0..=(minutes + 60) / 15)
        .map(|quarter| {
            let minute = 15 * quarter;
            let at = format!("2025-11-24T{:02}:{:02}:00Z", 12 + minute / 60, minute % 60);
            json!({"at": at, "value": campaign(minute)})
        })
        .collect();
    let body = json!({
        "unit": "eur", "hold": "1h", "points": plan,
        "scope": {"services": ["shop"], "metrics": ["throughput_rps"]},
    });
    let path = "/api/v1/regressors/campaign_spend";
    assert_eq!(world.post(path, "application/json", &body.to_string()).await, 200);
    world.run(minutes).await;
    let forecast = world.get(THROUGHPUT).await;
    assert_eq!(forecast["regressors"], json!(["campaign_spend"]), "{forecast}");
    assert_eq!(world.get(LATENCY).await["regressors"], json!([]), "it is not in the scope");
    let want = |minute: i64| 40.0 + 10.0 * campaign(minute);
    for (first, end, minute) in [("17:01", "17:14", minutes), ("17:16", "17:29", minutes + 15)] {
        let (said, want) = (mean(&forecast, first, end), want(minute));
        assert!((said / want - 1.0).abs() < 0.15, "from {first} {said}, but {want} will come: {forecast}");
    }
}
