//! What the tests of more than one crate stand on: real Envoys with the built filter, the planner's ingest and store, a
//! service, loads that count exactly, and waits with deadlines.
//!
//! ```text
//! load ──► Envoy with the filter ──► Backend
//!                │ summaries
//!                └──► (LossyProxy) ──► PlannerUnderTest ──► Stored
//! ```
//!
//! Nothing is mocked. Every process and task ends when its owner is dropped, also when a test fails. What is missing on
//! a machine fails a test with the remedy; no test is skipped.
pub mod backend;
pub mod cluster;
pub mod demo;
pub mod every_second;
pub mod guide;
pub mod hand_over;
pub mod hosts;
pub mod load;
pub mod lossy;
pub mod place;
pub mod planner;
pub mod proxy;
pub mod rig;
pub mod served;
pub mod stored;
pub mod swarm;
pub mod testbed;
pub mod traces;
pub mod wait;

pub use backend::Backend;
pub use cluster::{Cluster, Namespace, WorkloadSpec};
pub use every_second::EverySecond;
pub use load::{Fleet, Sent};
pub use lossy::LossyProxy;
pub use place::Place;
pub use planner::PlannerUnderTest;
pub use proxy::{Delivery, Module, Proxy, ProxySpec, Route, Target};
pub use rig::Rig;
pub use served::Served;
pub use stored::Stored;
pub use swarm::Swarm;
pub use testbed::Testbed;
pub use traces::Traces;
pub use wait::until;
