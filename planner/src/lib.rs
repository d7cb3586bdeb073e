//! Foremesh planner.
pub mod clock;
pub mod ingest;
pub mod store;
