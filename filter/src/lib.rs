//! Envoy filter (`wasm32-wasip1`) that records latency per route and pushes it to the planner.
//!
//! ```text
//! abi (wasm only) ─► worker: one per VM ─┬─► observe: attributes of a finished stream ─► Recorder
//!   calls of Envoy                       └─► push: stop-and-wait ─► Host::post ─► planner
//! ```
//!
//! - [`host`]: the few questions that the filter asks of the proxy; everything but `abi` is tested natively with a
//!   fake one.
//! - [`config`]: plugin configuration; a bad setting keeps its default and is reported, never refused.
//! - [`identity`]: who this proxy is, read once.
//! - [`observe`]: what one finished stream says: route, class, latency.
//! - [`push`]: when to freeze a window and when to send it; a pure state machine.
//! - [`worker`]: the state of one VM, which outlives configuration changes.
//! - `abi`: exports and host calls; the only file with `unsafe`.
#[cfg(all(target_arch = "wasm32", not(feature = "noop")))]
#[allow(unsafe_code, reason = "the proxy is reached through raw imports and exports")]
mod abi;
#[cfg(all(target_arch = "wasm32", feature = "noop"))]
#[allow(unsafe_code, reason = "the proxy is reached through raw exports")]
mod noop;

pub mod config;
pub mod host;
pub mod identity;
pub mod observe;
pub mod push;
pub mod worker;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by a panic")]
mod fake;
