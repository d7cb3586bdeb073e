//! Decisions on the wrong numbers, or too late.
use crate::{
    mesh::shopper,
    story::Story,
    world::{DAY, MINUTE, ServiceShape, World, noon, policy},
};
use foremesh_core::{policy::Verdict, topology::Tier};
use serde_json::json;

/// Decisions on instantaneous use are very unwise: a peak is over before anything has moved. A peak of two minutes just
/// now is no breach that lasts.
#[test]
fn descheduler_pr_1092_a_peak_is_no_reason() {
    let mut world = World::new();
    world.p99("cart", |step| if step >= 3 * DAY - 2 { 900.0 } else { 15.0 + (step % 7) as f64 });
    world.cpu("a", |step| if step >= 3 * DAY - 2 { 990.0 } else { 300.0 });
    let story = Story::of(&world);
    assert!(story.moves().is_empty(), "{:?}", story.moves());
    assert!(story.stays("cart").contains("no breach is predicted"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// The peak of the last period is repeated as the forecast of the next. A day that was unlike the others is no pattern.
#[test]
fn crane_787_one_odd_day_is_repeated() {
    let mut world = World::new();
    let odd_day = |step: usize| (DAY..2 * DAY).contains(&step) && noon(step % DAY);
    world.p99("cart", |step| if odd_day(step) { 600.0 } else { 15.0 + (step % 7) as f64 });
    world.cpu("a", |step| if odd_day(step) { 960.0 } else { 300.0 + (step % 5) as f64 });
    let story = Story::of(&world);
    assert!(story.moves().is_empty(), "{:?}", story.moves());
    insta::assert_snapshot!(story);
}

/// Some metrics were not predicted, without a word about why.
#[test]
fn crane_534_not_all_metrics_predicted_and_no_reason() {
    let mut world = World::new();
    world.short_history(&shopper("cart", "a", 100.0), 2);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    let why = story.stays("cart");
    assert!(why.contains("the history has 2 observed steps, but"), "{why}");
    insta::assert_snapshot!(story);
}

/// Less than a whole day was seen: it is said that the pattern is being learned.
#[test]
fn crane_534_one_day_is_not_enough_and_is_said() {
    let mut world = World::new();
    world.short_history(&shopper("cart", "a", 100.0), DAY);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("seasons were seen"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// Capacity arrives late, because the image has to be pulled first. A move that takes 18 minutes begins when the breach is
/// 20 minutes away.
#[test]
fn keda_197_capacity_arrives_late() {
    let mut world = World::new();
    world.durations.insert("cart".into(), 18 * MINUTE);
    let story = Story::of(&world);
    assert_eq!(story.moves().len(), 1);
    let planned = &story.decision.plan.as_ref().unwrap().moves[0];
    assert_eq!(planned.reason.lead_ms, 18 * MINUTE);
    let Some(Verdict::Breach(breach)) = story.decision.assessments[0].verdict() else {
        panic!("no breach: {story}")
    };
    assert!(world.now.plus_ms(planned.reason.lead_ms) <= breach.at, "it would come too late");
    insta::assert_snapshot!(story);
}

/// A model server takes longer to load than its traffic takes to rise. What cannot be there in time is not promised as if
/// it could: if it is moved all the same, the record says that it comes late.
#[test]
fn kthena_1361_loading_takes_longer_than_the_rise() {
    let mut world = World::new();
    world.durations.insert("cart".into(), 38 * MINUTE);
    let story = Story::of(&world);
    assert!(story.explained("cart").contains("38 min"), "{story}");
    insta::assert_snapshot!(story);
}

/// One eviction should cool the node, not one for each pod on it. Three services suffer from each other; when the largest
/// has gone, the other two are well.
#[test]
fn koordinator_1975_one_move_cools_the_node() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 5;
    world.without("cart");
    for (name, used) in [("large", 200.0), ("small", 50.0), ("tiny", 30.0)] {
        let busy = |minute: usize| if noon(minute) { 100.0 } else { 50.0 };
        world.service(&ServiceShape { rps: busy, tier: Tier::Standard, ..shopper(name, "a", used) });
    }
    // At noon they want 400, 100 and 60 of 1000 millicores, and something else 500.
    world.node("a", |minute| if noon(minute) { 1060.0 } else { 530.0 });
    let story = Story::of(&world);
    assert_eq!(story.moves().len(), 1, "{:?}", story.moves());
    assert!(story.moves()[0].starts_with("large-1: a to "), "{:?}", story.moves());
    insta::assert_snapshot!(story);
}

/// A canary without traffic was promoted blindly. Without traffic nothing is known, and nothing is moved.
#[test]
fn flagger_1035_no_traffic() {
    let mut world = World::new();
    world.rps("cart", |_| 0.0);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("not known"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// Latency rises although the node has CPU to spare: no other node would be better, so no move is tried.
#[test]
fn descheduler_1695_the_cause_is_not_the_node() {
    let mut world = World::new();
    world.node("a", |_| 300.0);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    insta::assert_snapshot!(story);
}

/// The numbers of the tool differed from those that people see. Each number comes with what it is and how old it is.
#[test]
fn descheduler_628_numbers_differ_from_what_people_see() {
    let world = World::new();
    let text = Story::of(&world).explained("cart");
    for part in
        ["now: 50.0 requests/s, P50 3.0 ms, P99 15.0 ms", "data 0 s old", "mean error", "objective 250.0 ms"]
    {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
    insta::assert_snapshot!(Story::of(&world));
}

/// A breach that is less likely than the operator wants to act on is shown and not acted on.
#[test]
fn descheduler_pr_1092_how_sure_is_sure_enough() {
    let mut world = World::new();
    world.policies = vec![policy(&json!({"rules": [
        {"name": "slow", "predictedLatency":
            {"quantile": 0.99, "above": "250ms", "within": "40m", "probability": 0.98}},
    ]}))];
    world.p99(
        "cart",
        |step| if noon(step % DAY) && step < 2 * DAY { 400.0 } else { 15.0 + (step % 7) as f64 },
    );
    let story = Story::of(&world);
    assert!(story.moves().is_empty(), "{:?}", story.moves());
    insta::assert_snapshot!(story);
}
