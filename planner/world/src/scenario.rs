//! What happens to a mesh: nodes, placement, load, background, neighbours, faults, telemetry, moves.
//!
//! `docs/scenarios.md` lists every field. A scenario names no service of a mesh, but ranks (`hottest`, 0, 1),
//! so that one file fits any mesh; names are possible where a scenario is meant for one mesh only.

mod check;
mod cluster;
mod fields;
mod load;
mod rules;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;

pub use cluster::*;
pub use fields::*;
pub use load::*;
pub use rules::*;
pub use trouble::*;

use crate::series::{Series, SeriesError};

/// A checked scenario with the series that it uses.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the file says.
    pub spec: Arc<ScenarioSpec>,
    /// Milliseconds since 1970 of the first minute of the warm-up.
    pub start_ms: i64,
    /// Series of the load, in the order of the file.
    pub(crate) load: Arc<[Series]>,
    /// Series of the background, in the order of the file.
    pub(crate) background: Arc<[Series]>,
}

/// Why a scenario file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("scenario {path}: cannot be read; name a readable YAML file")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML of this shape.
    #[error("scenario {path}: is not as docs/scenarios.md says: {why}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        why: String,
        /// The parser's error.
        #[source]
        source: Box<yaml_serde::Error>,
    },
    /// A value is outside its limits.
    #[error("scenario {path}: {field} is {value}; {remedy}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which field.
        field: String,
        /// The value.
        value: String,
        /// What it must be.
        remedy: String,
    },
    /// A series cannot be used.
    #[error("scenario {path}: a series of `{field}` cannot be used")]
    Series {
        /// The scenario file.
        path: PathBuf,
        /// The list that names it.
        field: &'static str,
        /// Why.
        #[source]
        source: Box<SeriesError>,
    },
}
