//! A simulated mesh in which strategies are compared: the world that `foremesh replay` runs.
//!
//! It shares no code with the planner, so that the planner cannot be right by construction: latencies come
//! from a simulated processor-sharing node and sampled call trees, not from the planner's twin. Loads, and
//! what else runs on the nodes, are driven by measured series.
//!
//! A [`Mesh`] says who calls whom, a [`Scenario`] what happens, a seed what is left to chance. A [`World`]
//! made of them ticks by minutes. Random numbers are drawn by key, so that two worlds that differ in one
//! move are equal in everything that the move does not touch, and a clone of a world tells its future.

mod duration;
mod mesh;
mod output;
mod random;
mod scenario;
mod series;
mod sharing;
mod world;

use std::sync::Arc;

pub use duration::Minutes;
pub use mesh::{Edge, Mesh, MeshError, Operation, Role, Service};
pub use output::*;
pub use scenario::*;
pub use series::{Series, SeriesError};
pub use world::{World, WorldError};

/// A name of a service, a node, a zone or an operation.
pub type Id = Arc<str>;
