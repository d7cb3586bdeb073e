//! The digital twin: what it says of layouts.
#![allow(clippy::unwrap_used, reason = "clippy knows only functions marked as tests, not what they share")]

mod cases;
mod layouts;
#[path = "../plans/world.rs"]
#[allow(dead_code, reason = "the world of the plans; not all of it is needed here")]
mod world;
mod yardstick;
