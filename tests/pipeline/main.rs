//! Level `pipeline`: summaries in, audit records out, in one process and in simulated time. Everything between is the
//! product's own: ingest, store, histories, forecasts, decision, rollout, audit, API. Only the platform is played by
//! the test, because a simulated world has no hosts.
mod inputs;
mod readme;
mod world;

use serde_json::Value;
use world::World;

const HOUR_MINUTES: i64 = 60;

fn kinds_of<'a>(trail: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    trail.iter().filter(move |entry| entry["kind"] == kind)
}

fn text(value: &Value) -> String {
    value.to_string()
}

#[tokio::test]
async fn a_predicted_breach_is_moved_away_from_before_it_comes() {
    let mut world = World::new("auto").await;
    world.run(5 * HOUR_MINUTES).await;

    let relocations = world.get("/api/v1/relocations").await;
    let done = &relocations["relocations"][0];
    assert_eq!(done["state"], "Succeeded", "{relocations}");
    assert_eq!((&done["from"], &done["to"]), (&"host-a".into(), &"host-b".into()));
    assert_eq!(world.running(), ["host-b"], "the source is stopped, the target runs");
    assert_eq!(world.weights(), [("shop@host-b".to_owned(), 100)]);
    assert_eq!(relocations["relocations"].as_array().unwrap().len(), 1, "one move is enough: {relocations}");
    let all_traffic =
        done["history"].as_array().unwrap().iter().find(|change| change["to"] == "Draining").unwrap();
    assert!(text(&all_traffic["at"]) < text(&done["breach_at"]), "moved before the breach: {done}");
    assert!(world.slow_minutes_after(4 * HOUR_MINUTES) == 0, "no slow minute after the move");

    let trail = world.trail().await;
    let seen =
        |entry: &&Value| entry["record"]["services"].as_array().is_some_and(|services| !services.is_empty());
    let first = kinds_of(&trail, "decision").filter(seen).last().unwrap();
    assert!(text(first).contains("nothing to do, because the future is not known"), "{first}");
    let plans: Vec<&Value> = kinds_of(&trail, "plan").collect();
    assert_eq!(plans.len(), 1);
    let explanation = plans[0]["record"]["explanation"].as_str().unwrap();
    for part in ["shop: move shop@host-a from host-a to host-b", "breach in", "host-c", "seasonal_naive"] {
        assert!(explanation.contains(part), "`{part}` is missing in:\n{explanation}");
    }
    let mut states: Vec<&str> =
        kinds_of(&trail, "rollout").map(|entry| entry["record"]["to"].as_str().unwrap()).collect();
    states.reverse();
    assert_eq!(
        states,
        [
            "Trial",
            "Reserving",
            "Surging",
            "Ramping(0)",
            "Draining",
            "Settling",
            "Settling(retiring)",
            "Succeeded"
        ]
    );
    let trial = &kinds_of(&trail, "rollout").next().unwrap()["record"]["trial"];
    assert_eq!(
        (&trail_word(trial, "trial"), &trail_word(trial, "by")),
        (&"waived".into(), &"the test".into())
    );
    assert_eq!(world.stored().await, world.sent(), "every observation is stored once");
}

fn trail_word(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn modes_that_may_not_move_say_so_and_move_nothing() {
    for (mode, recommendations, because) in [
        ("recommend", true, "recommended, not done: move shop@host-a from host-a to host-b"),
        ("observe", false, "only says what it sees: its mode is observe"),
    ] {
        let mut world = World::new(mode).await;
        world.run(5 * HOUR_MINUTES).await;
        assert_eq!(world.running(), ["host-a"], "mode {mode}");
        let trail = world.trail().await;
        assert_eq!(kinds_of(&trail, "plan").count(), 0, "mode {mode}");
        assert_eq!(kinds_of(&trail, "rollout").count(), 0, "mode {mode}");
        assert_eq!(kinds_of(&trail, "recommendation").count() > 0, recommendations, "mode {mode}");
        assert!(
            kinds_of(&trail, "recommendation").count() <= 4,
            "a standing recommendation is recorded once a season"
        );
        assert!(
            trail.iter().any(|entry| text(entry).contains(because)),
            "mode {mode}: `{because}` is on record"
        );
    }
}

#[tokio::test]
async fn a_target_that_does_not_start_leaves_everything_as_it_was() {
    let mut world = World::new("auto").await;
    world.break_host("host-b");
    world.run(5 * HOUR_MINUTES).await;
    let relocations = world.get("/api/v1/relocations").await;
    let tried = &relocations["relocations"][0];
    assert_eq!(tried["state"], "RolledBack", "{relocations}");
    assert!(text(&tried["history"]).contains("host-b has no disk"), "the reason is on record: {tried}");
    assert_eq!(world.running(), ["host-a"]);
    assert_eq!(world.weights(), [("shop@host-a".to_owned(), 100)]);
}

#[tokio::test]
async fn a_blind_planner_moves_nothing_and_says_why() {
    let mut world = World::new("auto").await;
    world.run(2 * HOUR_MINUTES).await;
    assert_eq!(world.running(), ["host-a"], "it has not moved yet");
    world.mute();
    world.run(2 * HOUR_MINUTES).await;
    assert_eq!(world.running(), ["host-a"]);
    let trail = world.trail().await;
    assert_eq!(kinds_of(&trail, "rollout").count(), 0);
    let newest = world.get("/api/v1/decisions/last").await;
    assert!(text(&newest).contains("old, but at most"), "{newest}");
}
