//! The read side of a Kubernetes cluster: what runs where, and what binds it there, as the planner's
//! [`Snapshot`](foremesh_core::topology::Snapshot).
//!
//! [`Cluster`] watches the cluster and keeps the few fields that matter. A snapshot is made of what the watches hold; one
//! that is not complete or not fresh is an error that says which watch and since when, because a planner must not move
//! anything by half a picture. What the planner's model cannot say of a workload pins it, with the reason.
//!
//! [`News`] tells whether anything was heard since something was read, and [`mesh`] which routes and rules name a host, so
//! that little is asked of the API server, and nothing when nothing happens.
//!
//! What is on its way from one node to another is in [`moving`]; [`relocate`] starts and stops its replicas, and
//! [`webhook`] sends the new one there. Which of several planners may do that is settled in [`lease`]. [`staging`] copies a
//! workload beside production, to try a move.
//!
//! [`resources`] are our own kinds of objects.
mod cluster;
mod error;
pub mod lease;
mod mapping;
pub mod mesh;
pub mod moving;
mod objects;
pub mod relocate;
pub mod request;
pub mod resources;
mod served;
mod settings;
pub mod staging;
mod usage;
mod watch;
pub mod webhook;

pub use cluster::{Cluster, client};
pub use error::ClusterError;
pub use mapping::ProxyPlace;
pub use served::served;
pub use settings::{ClusterSettings, Conventions};
pub use usage::{MetricsApi, Usage, UsageSource};
pub use watch::{
    answers::Answers,
    news::{Mark, News},
};

use foremesh_core::time::Timestamp;
use std::sync::Arc;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
