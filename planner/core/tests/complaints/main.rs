//! Situations that users of other systems complained about, and what we decide in them. Each test is named after the
//! complaint; `docs/complaints.md` lists them all. The snapshot shows the whole decision, the assertions hold what the
//! complaint is about, whatever else changes.
#![allow(clippy::unwrap_used, reason = "clippy knows only functions marked as tests, not what they share")]

mod feasibility;
mod guards;
mod load;
mod loops;
mod mesh;
mod people;
mod story;
#[path = "../plans/world.rs"]
mod world;
