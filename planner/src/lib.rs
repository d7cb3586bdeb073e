//! Foremesh planner.
pub mod bench;
pub mod clock;
pub mod ingest;
pub mod observed;
pub mod store;
