//! The scenarios. None knows a platform.
use crate::{
    row::Seen,
    world::{Place, RATE, Requests, World},
};
use Place::{Home, Spare, Target};
use foremesh_core::plan::{PairWeights, Traffic};
use foremesh_tests::until;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// A whole replica with all of its traffic.
const WHOLE: Traffic = Traffic::of_replica(100, 100);
/// Half of the traffic of one replica to another.
const HALF: Traffic = Traffic::shifted(PairWeights { source: 100, target: 100 }, 50);

/// Load after the end of what is looked at: a late failure shows.
const AFTER: Duration = Duration::from_secs(3);
/// Something dies: for that long requests may fail, and no longer.
const OUTAGE_SECONDS: usize = 20;
const SOON: Duration = Duration::from_secs(90);

/// The only replica goes, and is the only one again.
pub(crate) async fn one_of_one<W: World>() -> Seen {
    let mut world = W::begin(&[Home]).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    let ended = world.ends(&id).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    conclude(world, &ended, &[Target]).await
}

/// One of two goes; the other is not touched.
pub(crate) async fn one_of_many<W: World>() -> Seen {
    let mut world = W::begin(&[Home, Spare]).await;
    let other = world.replica_on(Spare).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    let ended = world.ends(&id).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    let seen = conclude_in(&mut world, &ended, &[Target, Spare]).await;
    assert_eq!(world.replica_on(Spare).await, other, "the other replica is the same");
    seen
}

/// Half of the traffic of one replica goes to another that runs already, where the platform keeps weights; elsewhere that
/// is refused, and nothing is changed.
pub(crate) async fn shift_only<W: World>() -> Seen {
    let mut world = W::begin(&[Home, Target]).await;
    let id = world.taken_up(Home, Target, HALF, true).await;
    let ended = world.ends(&id).await;
    if !W::KEEPS_WEIGHTS {
        let why = ended["history"].to_string();
        assert!(ended["state"] == "RolledBack" && why.contains("does not keep weights"), "{ended:#}");
        let seen = conclude_in(&mut world, &ended, &[Home, Target]).await;
        return Seen {
            ended: "refused: the platform does not keep weights beyond a move".to_owned(),
            ..seen
        };
    }
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    assert_eq!(ended["weights_after"], json!({"source": 50, "target": 150}));
    conclude(world, &ended, &[Home, Target]).await
}

/// The new replica is slow: the gate turns the move back.
pub(crate) async fn bad_target<W: World>() -> Seen {
    let mut world = W::begin(&[Home]).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    world.reaches(&id, "Ramping(0)").await;
    world.spoil(Target).await;
    let ended = world.ends(&id).await;
    assert_eq!(ended["state"], "RolledBack", "{ended:#}");
    assert!(ended["history"].to_string().contains("the gate failed"), "{ended:#}");
    conclude(world, &ended, &[Home]).await
}

/// The old replica dies in the middle. Requests that are in it are lost; the service is not.
pub(crate) async fn source_dies<W: World>() -> Seen {
    dies::<W>(Home).await
}

/// The new replica dies in the middle.
pub(crate) async fn target_dies<W: World>() -> Seen {
    dies::<W>(Target).await
}

async fn dies<W: World>(place: Place) -> Seen {
    let mut world = W::begin(&[Home]).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    world.reaches(&id, "Ramping(1)").await;
    world.crash(place).await;
    let ended = world.ends(&id).await;
    let state = ended["state"].as_str().unwrap_or_default();
    let fits = match place {
        Target => state == "RolledBack",
        _ => state == "Succeeded" || state == "RolledBack",
    };
    assert!(fits, "{ended:#}");
    until("one replica to serve, and nothing to be left", SOON, async || {
        let (serving, left) = (world.serving().await, world.left_behind().await?);
        if serving.len() == 1 && left.is_empty() {
            Ok(())
        } else {
            Err(format!("{serving:?}, left: {left:?}"))
        }
    })
    .await;
    tokio::time::sleep(AFTER).await;
    let requests = world.end_load().await;
    let outage: Vec<usize> = requests
        .failed_by_second
        .iter()
        .enumerate()
        .filter(|(_, failed)| **failed > 0)
        .map(|(at, _)| at)
        .collect();
    let lasted = outage.first().zip(outage.last()).map_or(0, |(first, last)| last - first + 1);
    assert!(
        lasted <= OUTAGE_SECONDS && requests.failed <= u64::from(RATE) * OUTAGE_SECONDS as u64 / 4,
        "{} of {} requests failed in {lasted} s: {:?}; {ended:#}",
        requests.failed,
        requests.sent,
        requests.failures
    );
    Seen {
        ended: format!("{state}; requests failed within {lasted} s"),
        requests: requests.sent,
        failed: requests.failed,
    }
}

/// The planner is killed in every state of the way on, all in one move.
pub(crate) async fn planner_dies_on_the_way_on<W: World>() -> Seen {
    // Handed over in Trial: that is where its first planner was killed.
    const STATES: [&str; 7] =
        ["Reserving", "Surging", "Ramping(0)", "Ramping(1)", "Draining", "Settling", "Settling(retiring)"];
    let mut world = W::begin(&[Home]).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    for state in STATES {
        world.kill_in(&id, state).await;
    }
    let ended = world.ends(&id).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    conclude(world, &ended, &[Target]).await
}

/// The planner is killed in every state of the way back.
pub(crate) async fn planner_dies_on_the_way_back<W: World>() -> Seen {
    const STATES: [&str; 3] = [
        "RollingBack(shift, from Ramping)",
        "RollingBack(drain, from Ramping)",
        "RollingBack(stop, from Ramping)",
    ];
    let mut world = W::begin(&[Home]).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    world.reaches(&id, "Ramping(0)").await;
    world.spoil(Target).await;
    for state in STATES {
        world.kill_in(&id, state).await;
    }
    let ended = world.ends(&id).await;
    assert_eq!(ended["state"], "RolledBack", "{ended:#}");
    conclude(world, &ended, &[Home]).await
}

/// Somebody else changes what moves, in the middle. It ends, one replica serves, and what they wanted is there.
pub(crate) async fn outside_change<W: World>() -> Seen {
    let mut world = W::begin(&[Home]).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    world.reaches(&id, "Ramping(0)").await;
    let what = world.interfere().await;
    let ended = world.ends(&id).await;
    assert_ne!(ended["state"], "Failed", "{ended:#}");
    until("one replica to serve, and nothing to be left", SOON, async || {
        let (serving, left) = (world.serving().await, world.left_behind().await?);
        if serving.len() == 1 && left.is_empty() {
            Ok(())
        } else {
            Err(format!("{serving:?}, left: {left:?}"))
        }
    })
    .await;
    let serving = world.serving().await;
    let seen = conclude_in(&mut world, &ended, &serving).await;
    Seen { ended: format!("{} ({what})", seen.ended), ..seen }
}

/// What cannot be moved is not, and the planner says why.
pub(crate) async fn refuses_and_says_why<W: World>() -> Seen {
    let mut world = W::begin(&[Home]).await;
    world.start_planner().await;
    let (workload, reason) = world.stuck();
    let question = json!({"moves": [{"workload": workload, "to": world.node(Target)}]});
    let why = until("the planner to know the workload", SOON, async || {
        let answer = world.post("/api/v1/what-if", &question).await?;
        let refused = answer["refused"].as_array().and_then(|all| all.first()).cloned().unwrap_or_default();
        refused["why"].as_str().map(str::to_owned).ok_or_else(|| format!("nothing is refused: {answer:#}"))
    })
    .await;
    assert!(why.contains(reason), "it says `{why}`, and not `{reason}`");
    Seen { ended: format!("refused: {why}"), requests: 0, failed: 0 }
}

/// A human wants a move undone.
pub(crate) async fn undo<W: World>() -> Seen {
    let mut world = W::begin(&[Home]).await;
    let id = world.taken_up(Home, Target, WHOLE, false).await;
    let ended = world.ends(&id).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    world.rests_on(&[Target]).await;
    let back = world.taken_back(&id).await;
    let ended = world.ends(&back).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    conclude(world, &ended, &[Home]).await
}

/// The only replica goes to and fro, `moves` times, each as soon as the one before is over.
pub(crate) async fn to_and_fro<W: World>(moves: usize, rate: u32) -> Seen {
    let mut world = W::begin(&[Home]).await;
    let mut under_way = world.taken_up_under(rate, Home, Target, WHOLE, false).await;
    let (mut succeeded, mut turned_back, mut seconds) = (0, 0, Vec::new());
    let mut last: Option<String> = None;
    loop {
        let begun = Instant::now();
        let ended = world.ends(&under_way).await;
        seconds.push(begun.elapsed().as_secs());
        let state = ended["state"].as_str().unwrap_or_default();
        println!(
            "{} move {}: {state} in {} s",
            W::PLATFORM,
            succeeded + turned_back + 1,
            seconds.last().unwrap_or(&0)
        );
        match state {
            "Succeeded" => {
                succeeded += 1;
                last = Some(under_way);
            }
            // A gate that was in doubt, on a machine that others use too: no harm, and no move.
            "RolledBack" => turned_back += 1,
            // Nothing was done: what was seen lately is too little for a decision, as after a restart.
            "Aborted" => {
                turned_back += 1;
                tokio::time::sleep(AFTER).await;
            }
            _ => panic!("{ended:#}"),
        }
        if succeeded == moves {
            break;
        }
        assert!(
            turned_back <= 3 + moves / 10,
            "{turned_back} moves were turned back, the last one so: {ended:#}"
        );
        if succeeded == 1 {
            // Not before: who hands the first plan over needs to see its state.
            world.kill_planner().await;
            world.make_brisk();
            world.start_planner().await;
        }
        under_way = world.taken_back(last.as_deref().expect("the first move succeeds")).await;
    }
    let at = if moves.is_multiple_of(2) { Home } else { Target };
    world.rests_on(&[at]).await;
    tokio::time::sleep(AFTER).await;
    let Requests { sent, failed, failures, .. } = world.end_load().await;
    seconds.sort_unstable();
    let ended = format!(
        "{succeeded} moves, {turned_back} more called off or turned back, at {rate} requests a second, {} s each ({} to {})",
        seconds[seconds.len() / 2],
        seconds[0],
        seconds[seconds.len() - 1]
    );
    assert_eq!(failed, 0, "{ended}: of {sent} requests; the first: {failures:#?}");
    Seen { ended, requests: sent, failed }
}

async fn conclude<W: World>(mut world: W, ended: &Value, places: &[Place]) -> Seen {
    conclude_in(&mut world, ended, places).await
}

/// The service rests on these nodes, nothing of the move is left, and no request failed.
async fn conclude_in<W: World>(world: &mut W, ended: &Value, places: &[Place]) -> Seen {
    world.rests_on(places).await;
    tokio::time::sleep(AFTER).await;
    let Requests { sent, failed, failures, .. } = world.end_load().await;
    assert_eq!(failed, 0, "of {sent} requests; the first: {failures:#?}; {ended:#}");
    assert!(sent > u64::from(RATE) * 10, "there was a load: {sent} requests");
    Seen { ended: ended["state"].as_str().unwrap_or_default().to_owned(), requests: sent, failed }
}
