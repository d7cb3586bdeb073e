//! Emulated plain hosts: real Envoys with the built filter, real endpoint files, the real planner's process.
mod files;
mod http;
mod mesh;
mod past;
mod planner;
mod turn;

pub use files::Proof;
pub use http::{Answer, post};
pub use mesh::{HOME, Mesh, OBJECTIVE_MS, SERVICE, SPARE, Setup, TARGET, Way, give_endpoints};
pub use past::{outbound, write as write_past};
pub use planner::Planner;
pub use turn::Turn;
