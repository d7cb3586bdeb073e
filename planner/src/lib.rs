//! Foremesh planner.
pub mod clock;
pub mod ingest;
pub mod observed;
pub mod store;
