//! A known event raises the forecast before it takes place, and one that was called off does not. A day of this world is
//! an hour long, and every other night a backup takes ten minutes of it, so the day's own shape does not tell it.
use crate::world::World;
use axum::http::StatusCode;
use serde_json::{Value, json};

const FORECAST: &str = "/api/v1/services/shop/forecast?metric=throughput";

/// The mean of the points of a forecast that start in the given minutes after 16:00.
fn mean(forecast: &Value, minutes: std::ops::Range<usize>) -> f64 {
    let points: Vec<f64> = forecast["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter(|step| {
            let start = step["start"].as_str().expect("a time");
            start.strip_prefix("2025-11-24T16:").is_some_and(|rest| {
                rest.get(..2).and_then(|minute| minute.parse().ok()).is_some_and(|m| minutes.contains(&m))
            })
        })
        .map(|step| step["point"].as_f64().expect("a number"))
        .collect();
    assert!(!points.is_empty(), "no step in {minutes:?}: {forecast}");
    points.iter().sum::<f64>() / points.len() as f64
}

#[tokio::test]
async fn a_backup_raises_the_forecast_before_its_third_night_and_a_cancelled_one_does_not() {
    let mut world = World::new("observe").await;
    let event = json!({
        "name": "backup", "when": {"cron": "10 */2 * * *"}, "duration": "10m",
        "zone": "UTC", "tags": ["backup"], "scope": {"services": ["shop"]},
    });
    assert_eq!(
        world.post("/api/v1/events", "application/json", &event.to_string()).await,
        StatusCode::CREATED
    );
    world.busy_in(10..20);
    world.busy_in(130..140);
    world.run(246).await;

    let before = world.get(FORECAST).await;
    let (quiet, backup) = (mean(&before, 6..10), mean(&before, 11..19));
    assert!((80.0..130.0).contains(&quiet), "{quiet} requests/s before the backup");
    assert!(backup > 1.8 * quiet, "{backup} requests/s while it runs, {quiet} before");
    let in_force = &before["events"][0];
    assert_eq!((&in_force["event"], &in_force["start"]), (&"backup".into(), &"2025-11-24T16:10:00Z".into()));
    assert_eq!(in_force["occurrences"], 2, "{in_force}");
    let weights: f64 = before["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .filter(|part| part["first"] == 0)
        .map(|part| part["weight"].as_f64().expect("a number"))
        .sum();
    assert!((weights - 1.0).abs() < 1e-3, "the shares of the first part add up to {weights}");
    let listed = world.get("/api/v1/events?service=shop&from=2025-11-24T16:00:00Z").await;
    assert!(listed.to_string().contains("learned_effects"), "{listed}");

    let cancel = json!({"start": "2025-11-24T16:10:00Z"}).to_string();
    assert_eq!(world.post("/api/v1/events/backup/cancel", "application/json", &cancel).await, StatusCode::OK);
    world.run(1).await;
    let after = world.get(FORECAST).await;
    let backup = mean(&after, 11..19);
    assert!(backup < 1.25 * quiet, "{backup} requests/s although it was called off, {quiet} before");
    assert_eq!(after["events"], json!([]), "{after}");

    let accuracy = world.get("/api/v1/accuracy?subject=shop").await;
    let series = accuracy["series"].as_array().expect("a list");
    assert!(series.len() >= 2, "{accuracy}");
    let relative: Vec<f64> = series.iter().filter_map(|one| one["relative_mae"].as_f64()).collect();
    assert!(
        relative.len() >= 2 && relative.windows(2).all(|pair| pair[0] >= pair[1]),
        "the worst first: {relative:?}"
    );
    assert!(series[0]["at"][0]["count"].as_u64() > Some(60), "{accuracy}");
}
