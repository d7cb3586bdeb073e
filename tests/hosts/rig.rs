//! What the tests of this level stand on.
mod executor;
mod files;
mod http;
mod mesh;
mod past;
mod place;
mod planner;

pub(crate) use executor::{Goes, hand_over};
pub(crate) use foremesh_tests::until;
pub(crate) use http::{Answer, post};
pub(crate) use mesh::{HOME, Mesh, SERVICE, SPARE, TARGET};
pub(crate) use past::{outbound, write as write_past};
pub(crate) use place::{Turn, foremesh_binary};
pub(crate) use planner::Planner;
