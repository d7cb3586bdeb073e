//! Nodes and replicas that are given more than they can do.

use foremesh_world::Minute;

use crate::samples::{STILL, minutes, still};

#[test]
fn an_overloaded_node_keeps_work_waiting_and_drops_what_waits_too_long() {
    let scenario = format!("{STILL}neighbours: [{{ node: hottest, at: 5m, hold: 30m, share: 1 }}]\n");
    let mut world = still("bookinfo", &scenario, 1);
    let all = minutes(&mut world, 90);
    let most =
        |minute: &Minute| minute.truth.nodes.iter().map(|node| node.backlog_core_s).fold(0.0, f64::max);
    let worst = |minute: &Minute| minute.truth.services.iter().map(|it| it.error_share).fold(0.0, f64::max);
    let busy = &all[40];
    assert!(most(busy) > 1.0 && worst(busy) > 0.1, "backlog {} errors {}", most(busy), worst(busy));
    let after = &all[80];
    assert!(most(after) < 1e-9 && worst(after) < 0.05, "backlog {} errors {}", most(after), worst(after));
}

#[test]
fn a_cpu_limit_slows_what_a_node_would_bear() {
    let free = minutes(&mut still("bookinfo", STILL, 1), 30);
    let limited = format!("{STILL}limits: {{ cpuFactor: 1.05 }}\n");
    let held = minutes(&mut still("bookinfo", &limited, 1), 30);
    let p50 = |minutes: &[Minute]| -> f64 {
        minutes.iter().filter_map(|minute| minute.truth.services[1].p50_ms).sum::<f64>()
            / minutes.len() as f64
    };
    assert!(p50(&held) > 1.5 * p50(&free), "{} {}", p50(&held), p50(&free));
}
