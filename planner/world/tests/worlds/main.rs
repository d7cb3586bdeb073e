//! Worlds made of the sample meshes and scenarios of this repository, and of files made for one test.

mod files;
mod moves;
mod nodes;
mod repeats;
mod samples;
mod scenarios;
