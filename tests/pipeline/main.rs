//! Level `pipeline`: summaries in, audit records out, in one process and in simulated time. Everything between is the
//! product's own: ingest, store, histories, forecasts, decision, rollout, audit, API. Only the platform is played by
//! the test, because a simulated world has no hosts.
mod aftermath;
mod approve;
mod commands;
mod described;
mod events;
mod inputs;
mod known_ahead;
mod load;
mod net;
mod readme;
mod replays;
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

/// Three steps of ten thousand series are more than one read of the store gives.
#[tokio::test]
async fn ten_thousand_series_do_not_keep_a_pass_from_being_shown() {
    let mut world = World::new("auto").await;
    for minute in 1..=4 {
        world.report_routes(10_000).await;
        world.run(1).await;
        assert_eq!(world.status("/readyz").await, 200, "minute {minute}");
        let services = world.get("/api/v1/services").await;
        assert_eq!(services["age_ms"], 0, "minute {minute}");
    }
    assert_eq!(world.get("/api/v1/services").await["services"].as_array().unwrap().len(), 21);

    let page = world.get("/api/v1/services/service-3/routes?limit=200&offset=400").await;
    assert_eq!((&page["total"], &page["next_offset"]), (&500.into(), &Value::Null));
    let routes = page["routes"].as_array().unwrap();
    assert_eq!((routes.len(), &routes[0]["caller"]), (100, &"shop".into()));
    assert!(routes.iter().all(|route| route["throughput_rps"] == 1.0 / 60.0 && route["availability"] == 1.0));
    let first = world.get("/api/v1/services/service-3/routes").await;
    assert_eq!((first["routes"].as_array().unwrap().len(), &first["next_offset"]), (100, &100.into()));
    assert_eq!(world.status("/api/v1/services/nobody/routes").await, 404);
    assert_eq!(world.status("/api/v1/services/service-3/routes?limit=0").await, 400);
    let asked = world.get("/api/v1/relocations?service=shop&limit=1").await;
    assert_eq!((&asked["relocations"], &asked["next_before"]), (&Value::Array(Vec::new()), &Value::Null));
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
    let plan = plans[0]["plan"].as_str().unwrap();
    replays::assert_replays(&world, plan).await;
    replays::assert_simulates(&world, plan).await;
    replays::assert_explained(&world).await;
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
        let recorded = kinds_of(&trail, "recommendation").count();
        assert!(recorded <= 4, "a standing recommendation is recorded once a season, not {recorded} times");
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
    // In its first slow time, which is too late to move; with open eyes it would move when that is over.
    world.run(45).await;
    assert_eq!(world.running(), ["host-a"], "it has not moved yet");
    world.mute();
    world.run(2 * HOUR_MINUTES).await;
    assert_eq!(world.running(), ["host-a"]);
    let trail = world.trail().await;
    assert_eq!(kinds_of(&trail, "rollout").count(), 0);
    let newest = world.get("/api/v1/decisions/last").await;
    assert!(text(&newest).contains("old, but at most"), "{newest}");
}
