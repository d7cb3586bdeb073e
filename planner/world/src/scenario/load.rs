//! The load: its curve, growth, and events.

use std::path::PathBuf;

use serde::Deserialize;

use crate::duration::Minutes;

/// The load.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    /// Mean utilisation of the cluster at reference load, background included.
    pub utilisation: f64,
    /// Series of which the seed chooses; flat without any.
    #[serde(default)]
    pub series: Vec<SeriesRef>,
    /// Each operation has a series of its own.
    #[serde(default)]
    pub per_operation: bool,
    /// Moving average over the series.
    #[serde(default = "half_hour")]
    pub smooth: Minutes,
    /// Largest value of the curve, whose mean is 1.
    #[serde(default)]
    pub peak: Option<f64>,
    /// Limits of the curve.
    #[serde(default = "load_clamp")]
    pub clamp: (f64, f64),
    /// Spread of the load around its curve, of minutes and of spells of minutes.
    #[serde(default = "load_noise")]
    pub noise: f64,
    /// Load that grows and shrinks.
    #[serde(default)]
    pub ramps: Vec<Ramp>,
    /// Events, all of them in the known calendar.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// A series in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesRef {
    /// File, relative to the scenario file; `.csv` or `.csv.gz`.
    pub file: PathBuf,
    /// Id in the file.
    pub id: String,
}

/// A service, an operation or a node by rank or name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Pick {
    /// By rank, 0 being the one with most work.
    Rank(usize),
    /// `hottest`, `coolest`, or a name.
    Word(String),
}

/// Growth of load.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ramp {
    /// The service whose load grows; all load without service and operation.
    #[serde(default)]
    pub service: Option<Pick>,
    /// The operation whose load grows.
    #[serde(default)]
    pub operation: Option<Pick>,
    /// Begin, from the begin of the measurement.
    pub at: Minutes,
    /// Repeats after so long.
    #[serde(default)]
    pub every: Option<Minutes>,
    /// Time to grow.
    pub over: Minutes,
    /// Time at the top.
    pub hold: Minutes,
    /// Time to shrink.
    #[serde(default)]
    pub fall: Minutes,
    /// Factor at the top.
    #[serde(default)]
    pub to: Option<f64>,
    /// Instead of `to`: the factor that brings the fullest node of the service to this utilisation.
    #[serde(default)]
    pub node_utilisation: Option<f64>,
}

/// An event of the calendar.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    /// Tag in the calendar.
    pub tag: String,
    /// Begins, from the begin of the measurement.
    pub at: Vec<Minutes>,
    /// Each begin repeats after so long, to the end of the run.
    #[serde(default)]
    pub every: Option<Minutes>,
    /// How long it lasts.
    pub lasts: Minutes,
    /// Factor on the load.
    pub uplift: f64,
    /// Minutes in which the load gets there and back.
    #[serde(default = "ten_minutes")]
    pub rise: Minutes,
    /// The service; all load without service and operation.
    #[serde(default)]
    pub service: Option<Pick>,
    /// The operation.
    #[serde(default)]
    pub operation: Option<Pick>,
}

const fn half_hour() -> Minutes {
    Minutes(30)
}

const fn ten_minutes() -> Minutes {
    Minutes(10)
}

const fn load_clamp() -> (f64, f64) {
    (0.2, 3.0)
}

const fn load_noise() -> f64 {
    0.03
}
