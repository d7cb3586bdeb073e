//! Foremesh planner.
