//! Time of a simulated minute.
//!
//! `cargo run --release -p foremesh-world --example speed -- MESH SCENARIO`

use std::error::Error;

use foremesh_world::{Mesh, Scenario, World};

#[allow(clippy::disallowed_methods, reason = "an example that measures time")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mesh, scenario] = arguments.as_slice() else { return Err("give MESH SCENARIO".into()) };
    let (mesh, scenario) = (Mesh::read(mesh)?, Scenario::read(scenario)?);
    let begin = std::time::Instant::now();
    let mut world = World::new(&mesh, &scenario, 1)?;
    let made = begin.elapsed();
    let again = std::time::Instant::now();
    let other = World::new(&mesh, &scenario, 2)?;
    let made_again = again.elapsed();
    let inventory = other.inventory();
    let replicas: usize = inventory.workloads.iter().map(|workload| workload.replicas.len()).sum();
    let ticked = std::time::Instant::now();
    let minutes = 5 * 1440;
    for _ in 0..minutes {
        std::hint::black_box(world.tick());
    }
    let each = ticked.elapsed().as_secs_f64() * 1000.0 / f64::from(minutes);
    println!(
        "{}: {} services, {replicas} replicas, {} nodes, {} samples: {each:.3} ms a minute; first world {made:.0?}, next {made_again:.0?}",
        mesh.name,
        mesh.services.len(),
        inventory.nodes.len(),
        scenario.spec.samples_per_minute,
    );
    Ok(())
}
