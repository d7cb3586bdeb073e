//! The recurrent net that all series share learns from what this planner has observed.
use crate::{load::Load, world::World};
use std::time::Duration;

/// A season of two hours, and three look-aheads of some 45 minutes.
const ENOUGH_MINUTES: i64 = 260;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_net_is_trained_on_the_planners_own_history_and_takes_part() {
    let lines = "forecast: {models: [lstm], cpuShare: 1.0, lstm: {windows: 320, trainEvery: 24h}}\n";
    let mut world = World::with_short_days(lines, &[], Load::Neighbour).await;
    world.run(ENOUGH_MINUTES / 4).await;
    let metrics = world.get_text("/metrics").await;
    assert!(metrics.contains("foremesh_lstm_trained_time_seconds 0.0"), "too early:\n{metrics}");
    assert_eq!(fits(&metrics), 0, "nothing is fitted before there is a net");
    world.run(ENOUGH_MINUTES * 3 / 4).await;
    let mut metrics = String::new();
    for _ in 0..60 {
        world.run(1).await;
        metrics = world.get_text("/metrics").await;
        if metrics.contains("foremesh_lstm_trainings_total{result=\"trained\"} 1") {
            break;
        }
        // The training has a thread of its own, and its own time.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(metrics.contains("foremesh_lstm_trainings_total{result=\"trained\"} 1"), "{metrics}");
    assert!(world.state_file("lstm.json").is_file(), "it is kept for the next start");
    world.run(2).await;
    let fitted = fits(&world.get_text("/metrics").await);
    assert!(fitted >= 2, "latency and CPU vary, so they get the net, but {fitted} fits were made");
}

/// Fits of the model that were made.
fn fits(metrics: &str) -> u64 {
    let line = "foremesh_model_fits_total{model=\"lstm\",result=\"fitted\"} ";
    let found = metrics.lines().find_map(|said| said.strip_prefix(line));
    found.and_then(|count| count.parse().ok()).unwrap_or(0)
}
