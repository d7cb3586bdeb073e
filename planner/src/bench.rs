//! Benchmarks of the planner's parts, run by `foremesh bench`.
pub mod ingest;
