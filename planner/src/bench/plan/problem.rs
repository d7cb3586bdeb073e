//! What can go wrong in the bench.

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A mesh could not be made up.
    #[error("the mesh could not be made up: {0}")]
    MadeUp(String),
    /// The decision failed.
    #[error("the decision failed")]
    Decide(#[from] foremesh_core::plan::DigestError),
    /// The solver found nothing.
    #[error("the exact solver failed: {0}")]
    Solver(String),
    /// The two exact answers differ.
    #[error("case {case}: the solver says {solver}, every layout tried says {tried}")]
    Disagree {
        /// Number of the case.
        case: u64,
        /// Answer of the solver.
        solver: f64,
        /// Best of all layouts.
        tried: f64,
    },
}
