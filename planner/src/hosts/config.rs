//! `hosts.yaml`: read, checked, and turned into types that need no more checks.
use crate::{endpoints::ads::AdsSettings, settings::TrialLoad};
use foremesh_core::{
    ids::{NodeId, ServiceId, WorkloadId, Zone},
    topology::{Requests, Tier},
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
mod commands;
mod scalar;
#[cfg(test)]
mod tests;

pub(crate) use commands::{Deadlines, HostCommands, Kind};
use scalar::{Cpu, Memory, Ports};

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
    /// Variables of the planner's own environment that commands get beside the usual ones.
    pub(crate) pass_environment: Vec<String>,
    pub(crate) staging: Option<Staging>,
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) zone: Option<Zone>,
    pub(crate) address: IpAddr,
    pub(crate) capacity: Millicores,
    pub(crate) memory_bytes: Option<f64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cost_per_hour: f64,
    pub(crate) cordoned: bool,
    pub(crate) deadlines: Deadlines,
    /// What its commands get, that of the whole file included.
    pub(crate) environment: BTreeMap<String, String>,
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
    pub(crate) requests: Requests,
    pub(crate) pinned: Option<String>,
}

impl HostedWorkload {
    /// What `{instance}` stands for: the workload itself, or a copy of it.
    #[expect(clippy::unused_self, reason = "the name of a workload of the file, and of nothing else")]
    pub(crate) fn instance(&self, name: &WorkloadId, is_copy: bool) -> String {
        if is_copy { format!("{name}-trial") } else { name.to_string() }
    }
}

/// How moves are tried.
#[derive(Clone, Debug)]
pub(crate) struct Staging {
    /// Where copies listen, on each host.
    pub(crate) ports: BTreeMap<NodeId, u16>,
    pub(crate) load: TrialLoad,
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
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    pass_environment: Vec<String>,
    staging: Option<RawStaging>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawStaging {
    ports: Ports,
    #[serde(default)]
    load: TrialLoad,
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
    memory: Option<Memory>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    vm: Option<RawVm>,
    #[serde(default)]
    cost_per_hour: f64,
    #[serde(default)]
    cordoned: bool,
    #[serde(default)]
    deadlines: Deadlines,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    commands: HostCommands,
}

/// A host that is a virtual machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawVm {
    /// The machine that it runs on.
    of: String,
}

/// What one replica needs, whatever it uses.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawRequests {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
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
    #[serde(default)]
    host_labels: BTreeMap<String, String>,
    #[serde(default)]
    requests: RawRequests,
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
