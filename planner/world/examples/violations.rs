//! Violation minutes without any move, by mesh and scenario: how hard a scenario is.
//!
//! `cargo run --release -p foremesh-world --example violations -- SEEDS MESH... -- SCENARIO...`

use std::error::Error;

use foremesh_world::{Mesh, Scenario, World};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seeds: u64 = arguments.first().ok_or("give SEEDS MESH... -- SCENARIO...")?.parse()?;
    let between =
        arguments.iter().position(|argument| argument == "--").ok_or("put -- before the scenarios")?;
    println!(
        "scenario mesh nodes replicas | service minutes in breach by seed | in warm-up a day | fault-explained | fullest node P95 by seed | mean utilisation"
    );
    for scenario_path in &arguments[between + 1..] {
        let scenario = Scenario::read(scenario_path)?;
        for mesh_path in &arguments[1..between] {
            let mesh = Mesh::read(mesh_path)?;
            let (mut counts, mut before, mut faults, mut fullest, mut mean) = (vec![], 0.0, 0, vec![], 0.0);
            let mut size = (0, 0);
            for seed in 1..=seeds {
                let mut world = World::new(&mesh, &scenario, seed)?;
                let inventory = world.inventory();
                size = (inventory.nodes.len(), inventory.workloads.iter().map(|w| w.replicas.len()).sum());
                let warm = world.warm_up_minutes();
                let mut breaches = 0;
                let mut levels = vec![Vec::new(); inventory.nodes.len()];
                for minute in 0..warm + world.measured_minutes() {
                    let truth = world.tick().truth;
                    let here = truth.services.iter().filter(|service| service.breach).count();
                    if minute < warm {
                        before += here as f64 / f64::from(warm) * 1440.0 / seeds as f64;
                        continue;
                    }
                    breaches += here;
                    faults += truth.services.iter().filter(|service| service.breach && service.fault).count();
                    for (levels, node) in levels.iter_mut().zip(&truth.nodes) {
                        levels.push(node.utilisation);
                        mean += node.utilisation
                            / inventory.nodes.len() as f64
                            / f64::from(world.measured_minutes())
                            / seeds as f64;
                    }
                }
                counts.push(breaches);
                let p95 = levels.iter_mut().map(|levels| {
                    levels.sort_by(f64::total_cmp);
                    levels[levels.len() * 95 / 100]
                });
                fullest.push(format!("{:.2}", p95.fold(0.0, f64::max)));
            }
            println!(
                "{} {} {} {} | {counts:?} | {before:.0} | {faults} | {} | {mean:.2}",
                scenario.spec.name,
                mesh.name,
                size.0,
                size.1,
                fullest.join(" "),
            );
        }
    }
    Ok(())
}
