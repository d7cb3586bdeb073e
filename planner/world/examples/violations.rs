//! How hard a scenario is: violation minutes without a move, and after a few moves made with foresight.
//!
//! `cargo run --release -p foremesh-world --example violations -- SEEDS MOVES MESH... -- SCENARIO...`
//!
//! No plan by foresight has more than MOVES moves.

use std::error::Error;

use foremesh_world::{Mesh, Scenario, World};

/// Nodes above it at their P95 are relieved.
const FULL: f64 = 0.78;

/// The measured minutes of a run.
struct Run {
    breaches: usize,
    explained: usize,
    warm_up_per_day: f64,
    /// P95 of the utilisation, by node.
    levels: Vec<f64>,
    mean: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seeds: u64 = arguments.first().ok_or("give SEEDS MOVES MESH... -- SCENARIO...")?.parse()?;
    let most_moves: usize = arguments.get(1).ok_or("give MOVES after SEEDS")?.parse()?;
    let between =
        arguments.iter().position(|argument| argument == "--").ok_or("put -- before the scenarios")?;
    println!(
        "scenario|mesh|services|nodes|replicas|violation minutes|by seed|in warm-up, a day|explained by a fault|fullest node|mean|after moves|moves"
    );
    for scenario_path in &arguments[between + 1..] {
        let scenario = Scenario::read(scenario_path)?;
        for mesh_path in &arguments[2..between] {
            print_row(&scenario, &Mesh::read(mesh_path)?, seeds, most_moves)?;
        }
    }
    Ok(())
}

fn print_row(scenario: &Scenario, mesh: &Mesh, seeds: u64, most_moves: usize) -> Result<(), Box<dyn Error>> {
    let (mut none, mut cured, mut moved) = (Vec::new(), Vec::new(), 0);
    let mut size = (0, 0);
    for seed in 1..=seeds {
        let world = World::new(mesh, scenario, seed)?;
        let inventory = world.inventory();
        size =
            (inventory.nodes.len(), inventory.workloads.iter().map(|workload| workload.replicas.len()).sum());
        let run = run(world.clone(), &[]);
        let moves = by_foresight(&world, &run.levels, most_moves);
        moved += moves.len();
        cured.push(if moves.is_empty() { run.breaches } else { self::run(world, &moves).breaches });
        none.push(run);
    }
    let mean = |value: fn(&Run) -> f64| none.iter().map(value).sum::<f64>() / seeds as f64;
    let by_seed: Vec<String> = none.iter().map(|run| run.breaches.to_string()).collect();
    println!(
        "{}|{}|{}|{}|{}|{:.0}|{}|{:.0}|{:.0}|{:.2}|{:.2}|{:.0}|{:.1}",
        scenario.spec.name,
        mesh.name,
        mesh.services.len(),
        size.0,
        size.1,
        mean(|run| run.breaches as f64),
        by_seed.join(" "),
        mean(|run| run.warm_up_per_day),
        mean(|run| run.explained as f64),
        mean(|run| run.levels.iter().copied().fold(0.0, f64::max)),
        mean(|run| run.mean),
        cured.iter().sum::<usize>() as f64 / seeds as f64,
        moved as f64 / seeds as f64,
    );
    Ok(())
}

fn run(mut world: World, moves: &[(String, u32, String)]) -> Run {
    let warm = world.warm_up_minutes();
    let measured = world.measured_minutes();
    let mut levels = vec![Vec::new(); world.inventory().nodes.len()];
    let (mut breaches, mut explained, mut before) = (0, 0, 0);
    for minute in 0..warm + measured {
        if minute + 60 == warm {
            for (workload, replica, node) in moves {
                // A move that is refused stays undone: the figures show it.
                let _ = world.begin_move(workload, *replica, node, &[25, 50, 100]);
            }
        }
        let truth = world.tick().truth;
        let here = truth.services.iter().filter(|service| service.breach).count();
        if minute < warm {
            before += here;
            continue;
        }
        breaches += here;
        explained += truth.services.iter().filter(|service| service.breach && service.fault).count();
        for (levels, node) in levels.iter_mut().zip(&truth.nodes) {
            levels.push(node.utilisation);
        }
    }
    let all: usize = levels.iter().map(Vec::len).sum();
    let mean = levels.iter().flatten().sum::<f64>() / all.max(1) as f64;
    let p95 = |mut levels: Vec<f64>| {
        levels.sort_by(f64::total_cmp);
        levels[levels.len() * 95 / 100]
    };
    let warm_up_per_day = before as f64 / f64::from(warm.max(1)) * 1440.0;
    Run { breaches, explained, warm_up_per_day, levels: levels.into_iter().map(p95).collect(), mean }
}

/// Moves replicas from nodes that will be full to those with most room, the largest that helps first.
fn by_foresight(world: &World, levels: &[f64], most_moves: usize) -> Vec<(String, u32, String)> {
    let inventory = world.inventory();
    let (mut levels, mut moves) = (levels.to_vec(), Vec::new());
    let mut replicas: Vec<(String, u32, usize, f64)> = Vec::new();
    for workload in inventory.workloads.iter().filter(|workload| !workload.stateful) {
        for replica in &workload.replicas {
            let node = inventory.nodes.iter().position(|node| node.name == replica.node).unwrap_or(0);
            replicas.push((workload.name.to_string(), replica.replica, node, workload.request_m));
        }
    }
    replicas.sort_by(|a, b| b.3.total_cmp(&a.3));
    while moves.len() < most_moves {
        let by_level = |a: &usize, b: &usize| levels[*a].total_cmp(&levels[*b]);
        let Some(full) = (0..levels.len()).max_by(by_level).filter(|node| levels[*node] > FULL) else {
            break;
        };
        let Some(empty) = (0..levels.len()).min_by(by_level) else { break };
        let Some(at) = replicas.iter().position(|replica| replica.2 == full) else { break };
        let (workload, replica, _, request_m) = replicas.remove(at);
        // At the P95 of a day more is used than the request, which is the mean.
        let used = request_m * 1.4;
        levels[full] -= used / inventory.nodes[full].capacity_m;
        levels[empty] += used / inventory.nodes[empty].capacity_m;
        moves.push((workload, replica, inventory.nodes[empty].name.to_string()));
    }
    moves
}
