//! The window summary that a proxy pushes to the planner, and the recorder that fills it.
//!
//! Both sides of the wire use this crate: the filter (built for `wasm32-wasip1`) and the planner. It does no IO
//! and reads no clock.
pub mod wire;
