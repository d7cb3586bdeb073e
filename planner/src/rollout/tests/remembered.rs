//! A platform that answers from memory while it has heard of no change: it is waited by, and never acted by.
use super::*;

async fn remembering() -> Bench {
    let mut bench = Bench::new(settings()).await;
    bench.fake.world().memory = Some(BTreeMap::new());
    bench.rollouts.start(&tested(7, &["cart"])).await.unwrap();
    bench.turn().await;
    bench
}

#[tokio::test(start_paused = true)]
async fn a_move_that_waits_asks_little_and_ends_as_usual() {
    let mut bench = remembering().await;
    let ended = bench.run_to_end().await;
    assert_eq!(ended[0].state, State::Succeeded, "{:?}", ended[0].history);
    let world = bench.fake.world();
    assert_eq!(world.violations, Vec::<String>::new());
    let (remembered, asked) = world.remembered;
    // It is looked every other second here; in a cluster five times a second.
    assert!(remembered > asked, "{remembered} answers from memory, {asked} asked for");
}

/// What is remembered is wrong from some state on, and nothing ever tells so.
#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_without_a_word_never_takes_the_place_of_its_source() {
    for state in ["Ramping(0)", "Draining", "Settling"] {
        let mut bench = remembering().await;
        bench.run_until(state).await;
        let target = NodeId::from("h2");
        {
            let mut world = bench.fake.world();
            world.memory = Some([(NodeId::from("h1"), true), (target.clone(), true)].into());
            world.running.remove(&target);
        }
        let ended = bench.run_to_end().await;
        assert_eq!(ended[0].state, State::RolledBack, "{state}: {:?}", ended[0].history);
        let world = bench.fake.world();
        assert_eq!(world.running, [NodeId::from("h1")].into(), "{state}");
        assert_eq!(world.violations, Vec::<String>::new(), "{state}");
    }
}
