//! The topology of an application: services, who calls whom how often, and external request types.
//!
//! # Format
//!
//! One JSON object. Unknown fields are ignored; optional fields may be absent or null.
//!
//! | field | meaning |
//! |--|--|
//! | `name` | optional; else the name of the file |
//! | `services[]` | required, at least one |
//! | `services[].name` | required, unique |
//! | `services[].role` | `frontend`, `service`, `database`, `cache`, `queue`; anything else counts as `service` |
//! | `services[].stateful` | default: true for `database`, `cache` and `queue` |
//! | `services[].replicas` | replicas in the manifest, at least 1; default 1 |
//! | `services[].cpu_core_ms_per_request` | CPU of one request in core milliseconds; else drawn by role |
//! | `services[].self_time_ms_p50` | time without callees in ms; what exceeds the CPU is waiting |
//! | `services[].memory_mib_mean`, `memory_request_mib`, `memory_limit_mib` | MiB, the first that is set |
//! | `services[].requests_per_s` | measured rate; weighs entries where nothing else does |
//! | `edges[]` | `from`, `to` (names of services), `calls_per_caller_request` (null: 1), `mode` (`sync`, `async`; null: `sync`) |
//! | `operations[]` | external request types: `name`, `entry`, `weight` (null: 1), `calls[]` with `from`, `to`, `mean` calls for one request of this type |
//! | `entry_points[]` | used when there are no operations: `service` and `share`, or plain names |
//!
//! Without operations each entry point becomes one, its calls propagated along the edges. Without entry
//! points the services that nobody calls are entries. A graph has to be free of cycles to be sampled from
//! callees to callers, so an edge that closes a cycle is left out and listed in [`Mesh::left_out`].

mod file;
pub(crate) mod graph;
mod read;

use std::path::PathBuf;

use crate::Id;

/// What a service is for; decides its demands where the file gives none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes requests from outside.
    Frontend,
    /// Anything without a more special role.
    Service,
    /// Keeps data on disk.
    Database,
    /// Keeps data in memory.
    Cache,
    /// Passes messages on.
    Queue,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: Id,
    /// Its role.
    pub role: Role,
    /// Whether it keeps data.
    pub stateful: bool,
    /// Replicas in the manifest.
    pub replicas: u32,
    /// CPU of one request in core milliseconds, where measured.
    pub cpu_core_ms: Option<f64>,
    /// Time without callees in milliseconds, where measured.
    pub self_time_ms: Option<f64>,
    /// Memory in MiB, where known.
    pub memory_mib: Option<f64>,
}

/// Calls of one service to another.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Index of the caller.
    pub from: usize,
    /// Index of the callee.
    pub to: usize,
    /// Mean calls for one request that the caller handles.
    pub calls: f64,
    /// Whether the caller waits for the answer.
    pub sync: bool,
}

/// One type of external requests.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its name.
    pub name: Id,
    /// Index of the service that takes it.
    pub entry: usize,
    /// Its share of the external requests, all shares together 1.
    pub share: f64,
    /// Mean calls on each edge for one request of this type.
    pub calls: Vec<f64>,
    /// Mean visits of each service for one request of this type.
    pub visits: Vec<f64>,
}

/// A checked topology without cycles.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Name of the application.
    pub name: String,
    /// The services in the order of the file.
    pub services: Vec<Service>,
    /// The edges; none closes a cycle.
    pub edges: Vec<Edge>,
    /// External request types, at least one.
    pub operations: Vec<Operation>,
    /// Indices of the services, each caller before its callees.
    pub order: Vec<usize>,
    /// Edges of the file that would close a cycle, as caller and callee.
    pub left_out: Vec<(Id, Id)>,
}

/// Why a mesh file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// The file cannot be read.
    #[error("mesh {path}: cannot be read; name a readable JSON file")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not JSON of this shape.
    #[error("mesh {path}: line {line}, column {column} is not as the format says; correct it there")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line of the fault.
        line: usize,
        /// Column of the fault.
        column: usize,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The file is something else.
    #[error(
        "mesh {path}: has no `services`{found}; name a file that describes an application's services and edges"
    )]
    NotAMesh {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        found: String,
    },
    /// A service appears twice.
    #[error("mesh {path}: service `{name}` appears twice; names must be unique")]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Something refers to a service that the file does not have.
    #[error(
        "mesh {path}: {object} names service `{name}`, which is not in `services`; add it or correct the name"
    )]
    UnknownService {
        /// The file.
        path: PathBuf,
        /// What refers to it.
        object: String,
        /// The name.
        name: String,
    },
    /// A value is outside its limits.
    #[error("mesh {path}: {object} has {field} {value}; {remedy}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Whose value.
        object: String,
        /// Which field.
        field: &'static str,
        /// The value.
        value: String,
        /// What it must be.
        remedy: &'static str,
    },
}
