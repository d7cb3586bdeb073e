//! Foremesh planner.
pub mod clock;
pub mod durations;
pub mod hosts;
pub mod platform;
pub mod rollout;
