//! Whole decisions on small meshes: what is seen, decided, refused and why.
#![allow(clippy::unwrap_used, reason = "clippy knows only functions marked as tests, not what they share")]
#![allow(clippy::too_many_lines, clippy::type_complexity, reason = "tables of cases")]

mod approved;
mod checker;
mod facts;
mod golden;
mod outdated;
mod policies;
mod properties;
mod replay;
mod table;
mod traffic;
mod trials;
mod undone;
mod world;
