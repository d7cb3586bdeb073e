//! A human says yes to a plan of mode `approve`, or says it too late, twice, or to something else.
use crate::{HOUR_MINUTES, kinds_of, text, world::World};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use foremesh_tests::place::foremesh_binary;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;

/// How long a command may take.
const WITHIN: Duration = Duration::from_secs(60);

async fn post(router: Router, plan: &str, body: &Value) -> (StatusCode, Value) {
    post_to(router, &format!("/api/v1/plans/{plan}/approve"), body).await
}

async fn post_to(router: Router, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()));
    let answer = router.oneshot(request.expect("a request")).await.expect("an answer");
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

async fn approve(world: &World, plan: &str) -> (StatusCode, Value) {
    post(world.router(), plan, &json!({"by": "ana", "reason": "I saw it too"})).await
}

async fn waiting(world: &World) -> Vec<Value> {
    world.get("/api/v1/plans?state=waits").await["plans"].as_array().expect("a list").clone()
}

fn id(plan: &Value) -> String {
    plan["id"].as_str().expect("an id").to_owned()
}

/// A world in mode `approve` at the first moment at which a plan waits.
async fn until_it_waits() -> (World, Value) {
    let mut world = World::new("approve").await;
    for _ in 0..5 * HOUR_MINUTES {
        world.run(1).await;
        if let [plan] = &waiting(&world).await[..] {
            return (world, plan.clone());
        }
    }
    panic!("no plan waits");
}

async fn events(world: &World, plan: &str) -> Vec<Value> {
    let detail = world.get(&format!("/api/v1/plans/{plan}")).await;
    let record = detail["record"].as_array().expect("a list");
    record.iter().filter(|entry| entry["kind"] == "event").map(|entry| entry["record"].clone()).collect()
}

async fn nothing_moved(world: &World) {
    assert_eq!(world.running(), ["host-a"]);
    assert_eq!(kinds_of(&world.trail().await, "rollout").count(), 0);
}

#[tokio::test]
async fn an_approved_plan_is_carried_out_as_it_is_and_once() {
    let (mut world, plan) = until_it_waits().await;
    let waits = id(&plan);
    for (field, want) in [
        ("mode", json!("approve")),
        ("services", json!(["shop"])),
        ("summary", json!(["shop: host-a to host-b"])),
    ] {
        assert_eq!(plan[field], want, "{field} of {plan}");
    }
    let because = text(&plan["because"]);
    assert!(because.contains("rule shop/slow-soon: breach at 2025-11-24T"), "{because}");
    let explained = world.get("/api/v1/decisions/services/shop").await;
    assert!(text(&explained).contains(&format!("`foremesh approve {waits}` carries it out")), "{explained}");

    // As long as the same is decided, the same plan waits, and nothing is done.
    world.run(2).await;
    let [still] = &waiting(&world).await[..] else { panic!("it waits no more") };
    assert_eq!((id(still), still["age_ms"].as_i64() > plan["age_ms"].as_i64()), (waits.clone(), true));
    nothing_moved(&world).await;

    // Two people at the same moment.
    let (one, other) = tokio::join!(approve(&world, &waits), approve(&world, &waits));
    let mut answers = [one, other];
    answers.sort_by_key(|(status, _)| *status);
    let [(accepted, begun), (refused, problem)] = &answers;
    assert_eq!((*accepted, *refused), (StatusCode::ACCEPTED, StatusCode::CONFLICT), "{answers:?}");
    assert_eq!(begun["relocations"], json!([format!("{waits}.0")]), "{begun}");
    assert_eq!((&begun["approved_by"], &begun["moves"]), (&json!("ana"), &json!(["shop: host-a to host-b"])));
    let detail = text(&problem["detail"]);
    assert!(detail.contains("was approved by ana at 2025-11-24T"), "{detail}");
    assert!(waiting(&world).await.is_empty(), "it waits no more, also before the next pass");

    world.run(HOUR_MINUTES).await;
    assert_eq!(world.running(), ["host-b"]);
    let moved = world.get("/api/v1/relocations").await["relocations"].clone();
    assert_eq!(moved.as_array().map(Vec::len), Some(1), "{moved}");
    for (field, want) in
        [("plan", json!(waits)), ("state", json!("Succeeded")), ("approved_by", json!("ana"))]
    {
        assert_eq!(moved[0][field], want, "{field} of {moved}");
    }
    let trail = world.trail().await;
    let order: Vec<&str> = trail
        .iter()
        .rev()
        .filter_map(|entry| {
            let of_plan = entry["plan"] == json!(waits);
            of_plan.then(|| entry["record"]["event"].as_str().or(entry["kind"].as_str()))?
        })
        .take(3)
        .collect();
    assert_eq!(order, ["recommendation", "plan_approved", "rollout"]);
    let mut said = events(&world, &waits).await;
    // Once what was predicted has passed, the move is judged.
    said.retain(|record| record["event"] != "move_judged");
    assert_eq!(said.len(), 1, "one approval is on record: {said:?}");
    assert_eq!((&said[0]["by"], &said[0]["reason"]), (&json!("ana"), &json!("I saw it too")));
    assert!(kinds_of(&trail, "rollout").all(|entry| entry["record"]["approval"]["by"] == "ana"));
    let listed = world.get("/api/v1/plans?state=begun").await;
    assert_eq!((listed["plans"].as_array().map(Vec::len), id(&listed["plans"][0])), (Some(1), waits.clone()));

    let (status, again) = approve(&world, &waits).await;
    assert_eq!(status, StatusCode::CONFLICT, "{again}");
    let world = world.restart("approve").await;
    let (status, again) = approve(&world, &waits).await;
    assert_eq!(status, StatusCode::CONFLICT, "after a restart: {again}");
    assert!(text(&again).contains("was approved by ana"), "{again}");
}

#[tokio::test]
async fn a_plan_waits_over_a_restart() {
    let (world, plan) = until_it_waits().await;
    let waits = id(&plan);
    let mut world = world.restart("approve").await;
    let (status, problem) = approve(&world, &waits).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(text(&problem).contains("no pass was made yet"), "{problem}");
    assert_eq!(events(&world, &waits).await, [] as [Value; 0], "nothing was approved");

    world.run(1).await;
    let [still] = &waiting(&world).await[..] else { panic!("it waits no more") };
    assert_eq!(id(still), waits, "the same plan, not a new one");
    let (status, begun) = approve(&world, &waits).await;
    assert_eq!((status, &begun["relocations"]), (StatusCode::ACCEPTED, &json!([format!("{waits}.0")])));
    // Killed right after: the move is taken up where its journal says, with the name of who approved it.
    let mut world = world.restart("approve").await;
    world.run(HOUR_MINUTES).await;
    assert_eq!(world.running(), ["host-b"]);
    assert!(
        kinds_of(&world.trail().await, "rollout").all(|entry| entry["record"]["approval"]["by"] == "ana")
    );
}

#[tokio::test]
async fn what_does_not_hold_any_more_is_refused_by_name_and_nothing_moves() {
    let (mut world, plan) = until_it_waits().await;
    let waits = id(&plan);
    let (status, problem) = approve(&world, "plan-000000000000").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    for (body, want) in [
        (json!({"reason": "x"}), "missing field `by`"),
        (json!({"by": " "}), "`by` has 0 characters, but must have 1 to 200"),
        (json!({"by": "a".repeat(201)}), "`by` has 201 characters"),
        (json!({"by": "a", "reason": "a".repeat(2001)}), "`reason` has 2001 characters"),
        (json!({"by": "a", "force": true}), "unknown field `force`"),
    ] {
        let (status, problem) = post(world.router(), &waits, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
        assert!(text(&problem["detail"]).contains(want), "`{want}` is missing in {problem}");
    }
    assert_eq!(events(&world, &waits).await, [] as [Value; 0], "nobody has approved anything");

    // The neighbour leaves for half an hour, and the breach that it was made for has come and gone.
    for _ in 0..HOUR_MINUTES {
        world.run(1).await;
        if waiting(&world).await.is_empty() {
            break;
        }
    }
    world.run(10).await;
    let (status, problem) = approve(&world, &waits).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let detail = text(&problem["detail"]);
    assert!(detail.contains("nothing was moved: no breach of `shop` is predicted any more"), "{detail}");
    let said = events(&world, &waits).await;
    let told: Vec<&str> = said.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(told, ["plan_approved", "plan_refused"]);
    assert_eq!(said[1]["by"]["who"], "outdated", "{said:?}");
    let listed = world.get("/api/v1/plans").await;
    let states: Vec<&Value> =
        listed["plans"].as_array().into_iter().flatten().map(|plan| &plan["state"]).collect();
    assert!(!states.is_empty() && states.iter().all(|state| **state == "lapsed"), "{listed}");

    world.run(2 * HOUR_MINUTES).await;
    let (status, problem) = approve(&world, &waits).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(text(&problem["detail"]).contains("can be approved for 1 h"), "{problem}");
    let before = events(&world, &waits).await.len();
    world.stand_still(6).await;
    let (status, problem) = approve(&world, &waits).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(text(&problem["detail"]).contains("the newest pass was made 6 min ago"), "{problem}");
    assert_eq!(events(&world, &waits).await.len(), before, "what cannot be judged is not approved");
    nothing_moved(&world).await;
}

#[tokio::test]
async fn only_plans_of_mode_approve_wait_for_a_human() {
    for (mode, want) in [("recommend", "it is only shown"), ("auto", "it was begun without being asked for")]
    {
        let mut world = World::new(mode).await;
        world.run(3 * HOUR_MINUTES).await;
        let plans = world.get("/api/v1/plans").await;
        let (status, problem) = approve(&world, &id(&plans["plans"][0])).await;
        assert_eq!(status, StatusCode::CONFLICT, "mode {mode}: {problem}");
        assert!(text(&problem["detail"]).contains(want), "mode {mode}: {problem}");
        assert!(waiting(&world).await.is_empty(), "mode {mode}");
    }
}

/// A pass decides on what it saw run, so nobody may begin a plan before that of the pass has begun.
#[tokio::test]
async fn an_approval_waits_for_the_pass_that_runs() {
    let (mut world, plan) = until_it_waits().await;
    let (waits, router) = (id(&plan), world.router());
    let yes = json!({"by": "ana"});
    let (status, begun) = world.pass_beside(post(router, &waits, &yes)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let trail = world.trail().await;
    let newest: Vec<&str> = trail
        .iter()
        .filter_map(|entry| entry["record"]["event"].as_str().or(entry["kind"].as_str()))
        .take(2)
        .collect();
    assert_eq!(newest, ["plan_approved", "decision"], "newest first");
    // The pass after it knows of the move.
    world.run(1).await;
    let said = world.get("/api/v1/decisions/services/shop").await;
    assert!(!text(&said).contains("waits for approval"), "{said}");
}

/// An operator who takes the right to move from a policy takes it from what waits too.
#[tokio::test]
async fn a_policy_that_may_not_move_any_more_takes_its_plans_with_it() {
    let (world, plan) = until_it_waits().await;
    let mut world = world.restart("recommend").await;
    world.run(1).await;
    let (status, problem) = approve(&world, &id(&plan)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(text(&problem["detail"]).contains("policy `shop` is in mode recommend now"), "{problem}");
    nothing_moved(&world).await;
}

/// Runs `foremesh approve`: exit code, stdout, stderr.
async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut process = tokio::process::Command::new(foremesh_binary());
    process.arg("approve").args(arguments).env("USER", "tester").kill_on_drop(true);
    let ended = tokio::time::timeout(WITHIN, process.output()).await;
    let output = ended.expect("the command ends").expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_lists_what_waits_and_approves_it() {
    let (world, plan) = until_it_waits().await;
    let waits = id(&plan);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("an address"));
    let router = world.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let why = ["--reason", "the sale starts"];
    for (arguments, code, out, error) in [
        (vec!["--help"], 0, "Exit codes: 0 it was begun", ""),
        (vec!["--reason", "x"], 2, "", "required"),
        (vec![], 0, "shop: host-a to host-b", ""),
        (vec!["-o", "json"], 0, r#""state":"waits""#, ""),
        (vec!["plan-000000000000"], 1, "", "answered 404 Not Found"),
        (vec![waits.as_str(), why[0], why[1]], 0, "is begun: shop: host-a to host-b", ""),
        (vec![waits.as_str()], 3, "", "was approved by tester"),
        (vec![], 0, "no plan waits for approval", ""),
    ] {
        let line = [&arguments[..], &["--server", &server]].concat();
        let (found, stdout, stderr) = run(&line).await;
        assert_eq!(found, Some(code), "{arguments:?}: {stdout}{stderr}");
        assert!(stdout.contains(out) && stderr.contains(error), "{arguments:?}: {stdout}{stderr}");
    }
    let said = events(&world, &waits).await;
    assert_eq!((&said[0]["by"], &said[0]["reason"]), (&json!("tester"), &json!("the sale starts")));
    let nobody = run(&["--server", "http://127.0.0.1:1"]).await;
    assert_eq!(nobody.0, Some(1), "{nobody:?}");
}

#[tokio::test]
async fn a_move_that_is_over_is_undone_when_a_human_says_so_and_once() {
    let (mut world, plan) = until_it_waits().await;
    let (_, begun) = approve(&world, &id(&plan)).await;
    let moved = begun["relocations"][0].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/relocations/{moved}/undo");
    let yes = json!({"by": "ben", "reason": "the sale is off"});
    let (status, problem) = post_to(world.router(), &path, &yes).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(text(&problem["detail"]).contains("it is not over (Pending)"), "{problem}");

    // While the neighbour is there, there is no room to go back to.
    let mut tries = Vec::new();
    for _ in 0..5 * HOUR_MINUTES {
        world.run(1).await;
        let (status, answer) = post_to(world.router(), &path, &yes).await;
        tries.push((status, answer));
        if status == StatusCode::ACCEPTED {
            break;
        }
    }
    let no_room = |(_, said): &(_, Value)| text(said).contains("does not take workload `shop`");
    assert!(tries.iter().any(no_room), "it was never refused for the room: {tries:#?}");
    let (status, begun) = tries.pop().expect("a try");
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    assert_eq!(world.running(), ["host-b"]);
    assert_eq!((&begun["approved_by"], &begun["moves"]), (&json!("ben"), &json!(["shop: host-b to host-a"])));
    world.run(30).await;
    assert_eq!(world.running(), ["host-a"]);
    let relocations = world.get("/api/v1/relocations").await["relocations"].clone();
    assert_eq!(
        (&relocations[0]["state"], &relocations[0]["approved_by"]),
        (&json!("Succeeded"), &json!("ben")),
        "{relocations}"
    );
    let back = begun["plan"].as_str().expect("an id").to_owned();
    let explained = world.get(&format!("/api/v1/plans/{back}")).await;
    assert!(text(&explained["explanation"]).contains(&format!("ben undoes {moved}: the sale is off")));
    let said = events(&world, &id(&plan)).await;
    let told = |event| said.iter().filter(|entry| entry["event"] == event).count();
    assert_eq!((told("undo_asked"), told("undo_refused")), (tries.len() + 2, tries.len() + 1), "{said:#?}");

    let (status, problem) = post_to(world.router(), &path, &yes).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(text(&problem["detail"]).contains("does not run any more on `host-b`"), "{problem}");
}
