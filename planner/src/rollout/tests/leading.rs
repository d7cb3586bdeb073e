//! Another planner is the one that acts, for a while.
use super::*;
use crate::leader::Leader;
use foremesh_core::rollout::Stage;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Says so, or not.
#[derive(Clone, Debug)]
struct Election(Arc<AtomicBool>);

impl Leader for Election {
    fn refusal(&self) -> Option<String> {
        (!self.0.load(Ordering::SeqCst)).then(|| "this planner is not the leader, `other` is".to_owned())
    }
}

async fn bench() -> (Bench, Arc<AtomicBool>) {
    // Each state lasts, so that it can be met in each.
    let bench = Bench::new(RolloutSettings { dwell: 5_000, ..settings() }).await;
    let leads = Arc::new(AtomicBool::new(true));
    bench.rollouts.led_by(Arc::new(Election(Arc::clone(&leads))));
    (bench, leads)
}

#[tokio::test(start_paused = true)]
async fn a_planner_that_does_not_lead_begins_nothing_and_says_who_does() {
    let (bench, leads) = bench().await;
    leads.store(false, Ordering::SeqCst);
    let refused = bench.rollouts.start(&tested(1, &["cart"])).await.unwrap_err();
    assert_eq!(refused.to_string(), "this planner is not the leader, `other` is");
    assert_eq!(bench.rollouts.newest_generation().await.unwrap(), 0);
    leads.store(true, Ordering::SeqCst);
    bench.rollouts.start(&tested(1, &["cart"])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rollouts_stand_still_while_another_planner_leads() {
    let states = ["Surging", "Ramping(0)", "Draining", "Settling", "Settling(retiring)"];
    for state in states {
        let (mut bench, leads) = bench().await;
        let id = bench.rollouts.start(&tested(1, &["cart"])).await.unwrap().remove(0);
        bench.run_until(state).await;
        leads.store(false, Ordering::SeqCst);
        // As another planner would leave it for a while.
        bench.fake.world().broken = Some("weights");
        let (before, calls) = (bench.rollouts.get(&id).await.unwrap(), bench.fake.world().calls.len());
        for _ in 0..1_000 {
            bench.turn().await;
        }
        assert_eq!(bench.rollouts.get(&id).await.unwrap(), before, "{state}");
        assert_eq!(bench.fake.world().calls.len(), calls, "{state}: nothing was asked either");
        assert_eq!(
            bench.rollouts.waiting_for(&id).as_deref(),
            Some("this planner is not the leader, `other` is"),
            "{state}"
        );
        bench.fake.world().broken = None;
        leads.store(true, Ordering::SeqCst);
        bench.rollouts.resume().await.unwrap();
        let record = bench.run_to_end().await.remove(0);
        check_end(&record, &bench.fake, state);
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_that_is_cut_off_is_no_failure() {
    let (mut bench, leads) = bench().await;
    let id = bench.rollouts.start(&tested(1, &["cart"])).await.unwrap().remove(0);
    bench.fake.world().broken = Some("place target");
    bench.run_until("Surging").await;
    bench.turn().await;
    let before = bench.rollouts.get(&id).await.unwrap();
    assert!(before.attempt > 0, "it counts while this planner leads");
    // The platform refuses first, as it does when the lease has just ended.
    {
        let mut world = bench.fake.world();
        world.broken = None;
        world.fault = Some((("Surging".to_owned(), "place target"), Fault::Error, 1));
        world.on_fault = Some(Arc::clone(&leads));
    }
    for _ in 0..20 {
        bench.turn().await;
    }
    assert!(!leads.load(Ordering::SeqCst), "it was refused");
    assert_eq!(bench.rollouts.get(&id).await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn what_another_planner_took_back_is_over_here_without_a_deed() {
    let (mut bench, leads) = bench().await;
    let ids = bench.rollouts.start(&tested(1, &["cart", "mail"])).await.unwrap();
    bench.run_until("Ramping(0)").await;
    leads.store(false, Ordering::SeqCst);
    {
        // The other planner gives the traffic back and stops the target.
        let mut world = bench.fake.world();
        world.weights =
            BTreeMap::from([(replica(&NodeId::from("h1")), 100), (ReplicaId::from("cart@h9"), 100)]);
        world.running = BTreeSet::from([NodeId::from("h1")]);
        world.calls.clear();
    }
    bench.rollouts.end(&ids[0], "another planner took it back").await.unwrap();
    leads.store(true, Ordering::SeqCst);
    bench.rollouts.resume().await.unwrap();
    bench.run_to_end().await;
    let first = bench.rollouts.get(&ids[0]).await.unwrap();
    assert_eq!((first.state, first.why()), (State::Aborted, "another planner took it back"));
    let second = bench.rollouts.get(&ids[1]).await.unwrap();
    assert_eq!(second.state, State::Aborted, "{}", second.why());
    let asks =
        ["report", "validate", "weights", "ready source", "ready target", "sample source", "sample target"];
    let calls = bench.fake.world().calls.clone();
    let deeds: Vec<_> = calls.iter().filter(|(_, call)| !asks.contains(call)).collect();
    assert!(deeds.is_empty(), "something was done for one of them: {deeds:?}");
    assert!(bench.rollouts.active().await.unwrap().is_empty());
    bench.rollouts.end(&ids[0], "again").await.unwrap();
    assert_eq!(bench.rollouts.get(&ids[0]).await.unwrap().why(), "another planner took it back");
}

#[tokio::test(start_paused = true)]
async fn turning_back_has_its_whole_time_again() {
    let (mut bench, leads) = bench().await;
    let id = bench.rollouts.start(&tested(1, &["cart"])).await.unwrap().remove(0);
    bench.run_until("Ramping(0)").await;
    bench.fake.world().broken = Some("set weights");
    bench.rollouts.abort(&id, "sre", "looks wrong").await.unwrap();
    bench.turn().await;
    bench.turn().await;
    let is_back = |state| matches!(state, State::RollingBack { stage: Stage::Shift, .. });
    let before = bench.rollouts.get(&id).await.unwrap();
    assert!(is_back(before.state), "{}", before.state);
    leads.store(false, Ordering::SeqCst);
    while bench.fake.clock_now() < before.deadline.plus_ms(60_000) {
        bench.turn().await;
    }
    bench.fake.world().broken = None;
    leads.store(true, Ordering::SeqCst);
    bench.rollouts.resume().await.unwrap();
    let record = bench.run_to_end().await.remove(0);
    check_end(&record, &bench.fake, "after a pause longer than the way back may take");
    assert_eq!(record.state, State::Aborted);
}
