//! The built filter in real Envoys against the real ingest and store: what is sent is what is stored, exactly.
//!
//! Run one at a time (`scripts/test envoy` does): the tests start processes and load them.
#![allow(clippy::print_stdout, reason = "with --nocapture, each test prints the numbers that it compared")]
mod classes;
mod delivery;
mod ending;
mod module;
mod reconfigure;
mod trap;
mod workers;
