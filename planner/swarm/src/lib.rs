//! A Docker Swarm: what runs where, as the planner's [`Snapshot`](foremesh_core::topology::Snapshot), and its tasks moved
//! from node to node.
//!
//! All of it goes through the API of one manager's dockerd. [`Client`] asks it; [`mapping`] says what the answers mean;
//! [`Relocate`] moves a task by a service that stands in for it and a short change of the placement; [`Events`] tells when
//! something may have changed. The text of a service's spec is never made anew but changed at a few places ([`spec`]), so
//! that nothing is lost of it, whatever dockerd knows and the planner does not.
mod client;
mod connect;
mod described;
mod error;
mod events;
pub mod labels;
pub mod mapping;
pub mod objects;
mod relocate;
pub mod spec;
mod surge;

pub use client::{Client, ClientSettings, Written};
pub use connect::{Endpoint, Tls};
pub use described::Described;
pub use error::{SwarmError, Why};
pub use events::Events;
pub use relocate::{Relocate, RelocateSettings};
pub use surge::{HandOver, Surge};
