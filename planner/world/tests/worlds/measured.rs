//! What a planner gets to see: reports are lost, noisy and missing for a while, and distances show on the edges.

use foremesh_world::Minute;

use crate::samples::{STILL, minutes, still};

/// The scenario with another telemetry.
fn telemetry(fields: &str) -> String {
    STILL.replace("telemetry: { noise: 0, loss: 0 }", &format!("telemetry: {{ {fields} }}"))
}

#[test]
fn reports_are_lost_as_often_as_stated() {
    let all = minutes(&mut still("sock-shop", &telemetry("noise: 0, loss: 0.2"), 1), 300);
    let reports = |minute: &Minute| minute.observed.services.len() + minute.observed.nodes.len();
    let sent: usize = all.iter().map(|minute| minute.truth.services.len() + minute.truth.nodes.len()).sum();
    let share = all.iter().map(reports).sum::<usize>() as f64 / sent as f64;
    assert!((share - 0.8).abs() < 0.02, "{share}");
}

#[test]
fn gaps_are_without_any_report() {
    let all = minutes(&mut still("bookinfo", &telemetry("gapsPerDay: 3, gap: 20m"), 1), 2 * 1440);
    let silent = all.iter().filter(|minute| minute.observed == foremesh_world::Observed::default()).count();
    // Two gaps may overlap, and one at midnight is cut.
    assert!((60..=120).contains(&silent), "{silent}");
    assert!(all.iter().all(|minute| minute.truth.services.iter().all(|service| service.load_rps > 0.0)));
}

#[test]
fn measured_cpu_is_the_true_one_but_for_noise() {
    for (noise, low, high) in [(0.0, 0.0, 1e-9), (0.05, 0.03, 0.05)] {
        let all = minutes(&mut still("bookinfo", &telemetry(&format!("noise: {noise}, loss: 0")), 1), 200);
        let mut errors = Vec::new();
        for minute in &all {
            for (truth, observed) in minute.truth.nodes.iter().zip(&minute.observed.nodes) {
                errors.push((observed.cpu_m / (truth.utilisation * 4000.0) - 1.0).abs());
            }
            // What replicas use, and what else runs, is what the node uses.
            let replicas: f64 = minute.observed.replicas.iter().map(|replica| replica.cpu_m).sum();
            let nodes: f64 = minute.observed.nodes.iter().map(|node| node.cpu_m).sum();
            assert!(replicas > 0.5 * nodes && replicas < nodes, "{replicas} of {nodes}");
        }
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        assert!((low..=high).contains(&mean), "{noise}: {mean}");
    }
}

#[test]
fn distances_show_on_the_edges() {
    let mut world = still("sock-shop", STILL, 1);
    let zone_of = |world: &foremesh_world::World, name: &str| {
        world.inventory().nodes.into_iter().find(|node| &*node.name == name).unwrap().zone
    };
    let (mut same, mut zone, mut cross) = (Vec::new(), Vec::new(), Vec::new());
    for minute in minutes(&mut world, 30) {
        for pair in minute.observed.edges.iter().flat_map(|edge| &edge.pairs).filter(|pair| pair.samples > 30)
        {
            let kind = if pair.from == pair.to {
                &mut same
            } else if zone_of(&world, &pair.from) == zone_of(&world, &pair.to) {
                &mut zone
            } else {
                &mut cross
            };
            kind.push(pair.delay_ms);
        }
    }
    let mean = |delays: &[f64]| delays.iter().sum::<f64>() / delays.len() as f64;
    for (delays, low, high) in
        [(&same, 0.04, 0.06), (&zone, 0.3 * 0.7, 0.3 * 1.3), (&cross, 0.9 * 0.7, 0.9 * 1.3)]
    {
        assert!((low..=high).contains(&mean(delays)), "{} not {low} to {high}", mean(delays));
    }
}

#[test]
fn a_second_try_turns_most_failures_into_time() {
    let failing = |retries: u32| {
        let scenario = format!("{STILL}requests: {{ retries: {retries}, errorShare: 0.05 }}\n");
        let all = minutes(&mut still("bookinfo", &scenario, 1), 60);
        let (errors, rps): (Vec<f64>, Vec<f64>) = all
            .iter()
            .map(|minute| (minute.truth.services[1].error_share, minute.truth.services[0].load_rps))
            .unzip();
        (errors.iter().sum::<f64>() / 60.0, rps.iter().sum::<f64>() / 60.0)
    };
    let ((without, load), (with, more_load)) = (failing(0), failing(1));
    // The front end fails by itself in 5 %, and with two calls of a depth of up to two in 15 %.
    assert!((0.11..0.19).contains(&without) && (0.04..0.075).contains(&with), "{without} {with}");
    assert!((more_load / load - 1.05).abs() < 0.01, "{load} {more_load}");
}
