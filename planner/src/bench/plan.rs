//! What a decision costs, and how far it is from the best: times of whole decisions about large meshes with services at
//! risk and about a calm one, memory, and the gap between the search and an exact solver on small ones.
mod exact;
mod large;
mod mesh;
mod patterns;
mod problem;
mod report;
mod small;

pub use problem::BenchError;
pub use report::{IdleReport, MeshReport, PlanReport, SmallReport, render};

use super::ingest::own_number;
use crate::backtest::report::significant;

/// What to run.
#[derive(Clone, Debug)]
pub struct PlanBench {
    /// Services and nodes of each mesh.
    pub meshes: Vec<(usize, usize)>,
    /// Seed of all meshes.
    pub seed: u64,
    /// Share of the services that are at risk, at least.
    pub at_risk: f64,
    /// Decisions about each mesh; the median counts.
    pub runs: usize,
    /// Small cases, 0 for none.
    pub small_cases: usize,
}

/// Runs it. Meshes are measured from the smallest to the largest, so that the peak of memory is that of each.
///
/// # Errors
/// [`BenchError`] when a mesh cannot be made or a decision fails.
pub fn run(bench: &PlanBench) -> Result<PlanReport, BenchError> {
    let mut sizes = bench.meshes.clone();
    sizes.sort_unstable();
    let idle = match sizes.first() {
        Some((services, nodes)) => Some(large::idle(*services, *nodes, bench)?),
        None => None,
    };
    let mut meshes = Vec::with_capacity(sizes.len());
    for (services, nodes) in sizes {
        meshes.push(large::measure(services, nodes, bench)?);
    }
    let small = if bench.small_cases > 0 { Some(small::run(bench.small_cases, bench.seed)?) } else { None };
    Ok(PlanReport { seed: bench.seed, meshes, idle, small, peak_rss_mib: mib("VmHWM:") })
}

/// Memory of this process by the name that Linux has for it, in MiB.
fn mib(name: &str) -> f64 {
    significant(own_number("status", name) as f64 / 1024.0, 4)
}
