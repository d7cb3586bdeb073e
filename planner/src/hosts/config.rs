//! `hosts.yaml`: read, checked, and turned into types that need no more checks.
use crate::{durations, endpoints::ads::AdsSettings};
use foremesh_core::{
    ids::{NodeId, ServiceId, WorkloadId, Zone},
    topology::Tier,
    units::Millicores,
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

mod check;
mod scalar;
#[cfg(test)]
mod tests;

use scalar::{Cpu, Ports};

/// Why a hosts file is not used.
#[derive(Debug, thiserror::Error)]
pub enum HostsFileError {
    /// It cannot be read.
    #[error("failed to read hosts file {path}; check that it exists and may be read", path = .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is not YAML of this form; the parser's own text names the field, the line and what was expected.
    #[error("{path}: {problem}", path = .path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What the parser says, with the place.
        problem: String,
    },
    /// A value is outside its limits, or two values do not fit.
    #[error(transparent)]
    Value(Box<ValueError>),
}

/// A value of a hosts file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}{place}: {object}, field `{field}`: {problem}; {remedy}", path = .path.display(), place = at_line(*.line))]
pub struct ValueError {
    path: PathBuf,
    line: Option<usize>,
    object: String,
    field: &'static str,
    problem: String,
    remedy: String,
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

/// The checked content of a hosts file.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the file's own word")]
pub struct Hosts {
    pub(crate) hosts: BTreeMap<NodeId, Host>,
    pub(crate) workloads: BTreeMap<WorkloadId, HostedWorkload>,
    pub(crate) eds_directory: PathBuf,
    pub(crate) ads: Option<AdsSettings>,
    pub(crate) deadlines: Deadlines,
    pub(crate) max_commands: usize,
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) zone: Option<Zone>,
    pub(crate) address: IpAddr,
    pub(crate) capacity: Millicores,
    pub(crate) cost_per_hour: f64,
    pub(crate) cordoned: bool,
    pub(crate) commands: HostCommands,
}

/// One workload and where it may be.
#[derive(Clone, Debug)]
pub(crate) struct HostedWorkload {
    pub(crate) service: ServiceId,
    pub(crate) tier: Tier,
    pub(crate) ports: BTreeMap<NodeId, u16>,
    pub(crate) cluster_port: u16,
    pub(crate) runs_on: BTreeSet<NodeId>,
    pub(crate) allowed: BTreeSet<NodeId>,
    pub(crate) pinned: Option<String>,
}

/// Commands of a host, each an argv.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct HostCommands {
    pub(crate) prepare: Option<Vec<String>>,
    pub(crate) start: Vec<String>,
    pub(crate) ready: Vec<String>,
    pub(crate) stop: Vec<String>,
    pub(crate) usage: Option<Vec<String>>,
}

/// The longest that each kind of command may take, in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(crate) struct Deadlines {
    #[serde(with = "durations")]
    pub(crate) prepare: i64,
    #[serde(with = "durations")]
    pub(crate) start: i64,
    #[serde(with = "durations")]
    pub(crate) ready: i64,
    #[serde(with = "durations")]
    pub(crate) stop: i64,
    #[serde(with = "durations")]
    pub(crate) usage: i64,
}

impl Default for Deadlines {
    /// Questions in seconds, because the whole inventory waits for the slowest; changes in a minute or two.
    fn default() -> Self {
        Self { prepare: 120_000, start: 60_000, ready: 5_000, stop: 60_000, usage: 5_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawFile {
    hosts: Vec<RawHost>,
    workloads: Vec<RawWorkload>,
    traffic: RawTraffic,
    #[serde(default)]
    deadlines: Deadlines,
    #[serde(default = "default_max_commands")]
    max_commands: usize,
}

/// Sixteen at a time keeps a sweep over a hundred hosts short without a hundred processes at once.
fn default_max_commands() -> usize {
    16
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawHost {
    name: String,
    zone: Option<String>,
    address: String,
    capacity: Cpu,
    #[serde(default)]
    cost_per_hour: f64,
    #[serde(default)]
    cordoned: bool,
    commands: HostCommands,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawWorkload {
    name: String,
    service: Option<String>,
    #[serde(default)]
    tier: Tier,
    port: Ports,
    #[serde(default = "default_cluster_port")]
    cluster_port: u16,
    runs_on: Vec<String>,
    #[serde(default)]
    allowed_hosts: Vec<String>,
    pinned: Option<String>,
}

/// The port in the name of the cluster that callers use, `outbound|80||SERVICE`.
fn default_cluster_port() -> u16 {
    80
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawTraffic {
    eds_directory: PathBuf,
    ads: Option<AdsSettings>,
}

impl Hosts {
    /// Reads and checks a hosts file. A relative `edsDirectory` is relative to the file.
    ///
    /// # Errors
    /// With the file, the line where it is known, the object, the field, the value, the limit and what to do.
    pub fn read(path: &Path) -> Result<Self, HostsFileError> {
        let text = fs::read_to_string(path)
            .map_err(|source| HostsFileError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// The same for a text that was read already.
    ///
    /// # Errors
    /// As [`Hosts::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, HostsFileError> {
        let raw: RawFile = yaml_serde::from_str(text)
            .map_err(|error| HostsFileError::Syntax { path: path.to_owned(), problem: error.to_string() })?;
        check::Check { path, text }.file(raw)
    }

    /// Where the endpoint files are, which every Envoy watches.
    pub fn eds_directory(&self) -> &Path {
        &self.eds_directory
    }

    /// Where endpoints are served to Envoys that have no such directory; nowhere when not set.
    pub fn ads(&self) -> Option<&AdsSettings> {
        self.ads.as_ref()
    }

    /// The host, when the file has it.
    pub(crate) fn host(&self, name: &NodeId) -> Option<&Host> {
        self.hosts.get(name)
    }
}
