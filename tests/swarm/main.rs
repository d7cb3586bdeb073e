//! The `swarm` level: a real Docker Swarm of several nodes, with CPU quotas, from `scripts/testbed swarm`.
//!
//! ```text
//! test ─► scripts/testbed swarm exec ─► docker ─► manager ─► dockerd of each node ─► task
//! ```
//!
//! It needs root, control groups of version 1, and what `scripts/setup swarm` installs.
mod closed_loop;
mod dead;
mod guide;
mod left;
mod nodes;
mod stack;
