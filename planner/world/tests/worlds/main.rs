//! Worlds made of the sample meshes and scenarios of this repository, and of files made for one test.
#![allow(clippy::unwrap_used, reason = "clippy knows only functions marked as tests, not what they share")]
#![allow(clippy::too_many_lines, clippy::type_complexity, reason = "tables of cases")]

mod files;
mod measured;
mod moves;
mod nodes;
mod repeats;
mod samples;
mod scenarios;
