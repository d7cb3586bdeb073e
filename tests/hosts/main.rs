//! The `hosts` level: the real planner process on emulated plain hosts, with a real Envoy and the built filter beside
//! each, real endpoint files and a real load in front.
//!
//! ```text
//! load ──► edge Envoy ──► host Envoy ──► service
//!             ▲ endpoint file   │ summaries
//!             └── `foremesh serve` ◄┘   killed, stopped, aborted, misled
//! ```
//!
//! It needs `build/foremesh_filter.wasm`, an Envoy, and the planner's binary beside the test's own.
mod aborted;
mod api;
mod guide;
mod killed;
mod outage;
mod rebooted;
mod refused;
mod shifted;
mod tried;
mod unreachable;
