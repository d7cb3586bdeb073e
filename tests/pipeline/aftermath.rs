//! After a move is over: whether it was worth it, and what happens when something else takes it back.
use super::{HOUR_MINUTES, kinds_of, world::World};
use serde_json::Value;

fn events<'a>(trail: &'a [Value], event: &'a str) -> Vec<&'a Value> {
    kinds_of(trail, "event").map(|entry| &entry["record"]).filter(|record| record["event"] == event).collect()
}

#[tokio::test]
async fn a_move_is_judged_when_what_was_predicted_has_passed() {
    let mut world = World::new("auto").await;
    world.run(5 * HOUR_MINUTES).await;
    let done = world.get("/api/v1/relocations").await["relocations"][0].clone();
    let benefit = &done["benefit"];
    assert_eq!(benefit["verdict"], "worth_it", "{done:#}");
    let number = |name: &str| benefit["compared"][name].as_f64().unwrap_or(f64::INFINITY);
    assert!(number("steps") >= 5.0, "{benefit:#}");
    assert!(number("measured_ms") < number("stay_ms") / 2.0, "{benefit:#}");
    assert!((number("measured_ms") / number("predicted_ms")).ln().abs() < 0.3, "{benefit:#}");
    assert_eq!(benefit["compared"]["measured_over"], 0.0, "{benefit:#}");
    assert!(number("stay_over") > 0.0, "{benefit:#}");
    println!("{}", benefit["why"]);

    let trail = world.trail().await;
    let judged = events(&trail, "move_judged");
    assert_eq!(judged.len(), 1, "{judged:#?}");
    assert_eq!(judged[0]["benefit"]["verdict"], "worth_it");
    let plan = world.get(&format!("/api/v1/plans/{}", done["plan"].as_str().unwrap())).await;
    let explanation = plan["explanation"].as_str().unwrap();
    assert!(explanation.contains(": worth it: it is faster than staying"), "{explanation}");
    let metrics = world.get_text("/metrics").await;
    assert!(metrics.contains("foremesh_moves_judged_total{verdict=\"worth_it\"} 1"), "{metrics}");

    // Known over a restart, and not judged again.
    let mut world = world.restart("auto").await;
    world.run(5).await;
    assert_eq!(world.get("/api/v1/relocations").await["relocations"][0]["benefit"], *benefit);
    assert_eq!(events(&world.trail().await, "move_judged").len(), 1);
}

#[tokio::test]
async fn what_something_else_takes_back_is_reported_once_and_not_moved_again_at_once() {
    let mut world = World::new("auto").await;
    world.run(5 * HOUR_MINUTES).await;
    assert_eq!(world.running(), ["host-b"]);
    assert_eq!(events(&world.trail().await, "moved_back").len(), 0);
    world.take_back();
    world.run(28).await;
    let relocations = world.get("/api/v1/relocations").await["relocations"].clone();
    assert_eq!(relocations.as_array().unwrap().len(), 1, "it is not fought: {relocations:#}");
    assert_eq!(relocations[0]["moved_back"]["to"], "host-a", "{relocations:#}");
    let trail = world.trail().await;
    let told = events(&trail, "moved_back");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(world.running(), ["host-a"]);
}
