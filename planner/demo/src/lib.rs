//! A mesh of plain hosts on one machine, for the demo, the tests and the benchmarks.
//!
//! ```text
//! load ──► edge Envoy ──► host Envoy ──► service on an emulated host (virtual CPU, noisy neighbour)
//!             ▲ weights        │ summaries of the filter
//!             └── planner ◄────┘
//! ```
//!
//! Everything is a real process or socket on loopback; only the CPU of a host is emulated, in virtual time, so that
//! a small machine can hold several hosts and a run means the same everywhere. No part needs root.

mod child;
mod clock;
mod command;
mod demand;
pub mod envoy;
mod host;
mod http;
mod load;
mod ports;
mod profile;
mod queue;
mod scenario;
mod world;

pub use child::{Child, ChildError, ChildSpec, outlives_nothing};
pub use clock::unix_ms;
pub use command::{EmulateArgs, EmulateCommand, run};
pub use demand::Demand;
pub use host::{
    AgentClient, CtlArgs, CtlCommand, CtlError, Host, HostArgs, HostError, ServiceSettings, run_ctl, run_host,
};
pub use http::{Answer, HttpError, request};
pub use load::{Arrivals, Failure, LoadError, LoadHandle, LoadReport, LoadSpec, Totals, Window, start_load};
pub use ports::{PortError, free_ports};
pub use profile::{Profile, Shape};
pub use queue::{Completion, ProcessorSharing};
pub use scenario::{DayViolations, Scenario, WorldPlace};
pub use world::{
    CopyCommands, EdgeLayout, EndpointSource, FilterSpec, HostCommands, HostLayout, HostSpec, World,
    WorldError, WorldLayout, WorldSpec,
};
