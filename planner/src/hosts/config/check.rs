//! Limits of a hosts file, and whether its parts fit together.
use super::{
    Deadlines, Host, HostCommands, HostedWorkload, Hosts, HostsFileError, Ports, RawFile, RawHost,
    RawWorkload, ValueError,
};
use crate::hosts::command::placeholders;
use foremesh_core::{
    ids::{NodeId, ServiceId, WorkloadId, Zone},
    units::Millicores,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
};

/// What can stand in braces in the commands that are about one workload.
const OF_WORKLOAD: &[&str] = &["workload", "service", "host", "address", "port"];
/// What can stand in braces in `usage`, which is about the whole host.
const OF_HOST: &[&str] = &["host", "address"];

/// Where errors point to.
pub(super) struct Check<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

/// The object that a check is about.
struct Object<'a> {
    check: &'a Check<'a>,
    kind: &'static str,
    name: &'a str,
}

impl Object<'_> {
    fn wrong(
        &self,
        field: &'static str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> HostsFileError {
        let object = if self.name.is_empty() {
            self.kind.to_owned()
        } else {
            format!("{} `{}`", self.kind, self.name)
        };
        HostsFileError::Value(Box::new(ValueError {
            path: self.check.path.to_owned(),
            line: self.check.line_of(self.name),
            object,
            field,
            problem: problem.into(),
            remedy: remedy.into(),
        }))
    }

    /// Names become parts of file names, of cluster names and of replica names.
    fn plain_name(&self, field: &'static str, name: &str) -> Result<(), HostsFileError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !name.is_empty() && name.len() <= 253 && !name.starts_with('.') && name.chars().all(plain) {
            return Ok(());
        }
        let remedy = "use 1 to 253 letters, digits, dots, dashes and underscores, the first one not a dot";
        Err(self.wrong(field, format!("`{name}` is not a name"), remedy))
    }
}

impl Check<'_> {
    /// The line with `name: NAME`; the parser gives no places for values that it accepts.
    fn line_of(&self, name: &str) -> Option<usize> {
        let named = |line: &str| {
            let line =
                line.trim_start().trim_start_matches("- ").trim_start_matches("{ ").trim_start_matches('{');
            line.strip_prefix("name:").is_some_and(|rest| {
                rest.split([',', '#'])
                    .next()
                    .is_some_and(|value| value.trim().trim_matches(['"', '\'']) == name)
            })
        };
        (!name.is_empty()).then(|| self.text.lines().position(named).map(|at| at + 1)).flatten()
    }

    fn object<'a>(&'a self, kind: &'static str, name: &'a str) -> Object<'a> {
        Object { check: self, kind, name }
    }

    pub(super) fn file(&self, raw: RawFile) -> Result<Hosts, HostsFileError> {
        self.general(&raw)?;
        let mut hosts = BTreeMap::new();
        for host in raw.hosts {
            let name = NodeId::new(host.name.clone());
            let object_name = host.name.clone();
            if hosts.insert(name, self.host(host)?).is_some() {
                let object = self.object("host", &object_name);
                return Err(object.wrong("name", "there are two hosts with this name", "give each its own"));
            }
        }
        let mut workloads = BTreeMap::new();
        for workload in raw.workloads {
            let name = WorkloadId::new(workload.name.clone());
            let object_name = workload.name.clone();
            if workloads.insert(name, self.workload(workload, &hosts)?).is_some() {
                let object = self.object("workload", &object_name);
                return Err(object.wrong(
                    "name",
                    "there are two workloads with this name",
                    "give each its own",
                ));
            }
        }
        self.distinct(&workloads)?;
        let beside = self.path.parent().unwrap_or(Path::new(""));
        Ok(Hosts {
            hosts,
            workloads,
            eds_directory: beside.join(raw.traffic.eds_directory),
            ads: raw.traffic.ads,
            deadlines: raw.deadlines,
            max_commands: raw.max_commands,
        })
    }

    fn general(&self, raw: &RawFile) -> Result<(), HostsFileError> {
        let object = self.object("hosts file", "");
        if raw.hosts.is_empty() {
            return Err(object.wrong("hosts", "the list is empty", "name at least one host"));
        }
        if !(1..=1024).contains(&raw.max_commands) {
            let problem = format!("{} is not from 1 to 1024", raw.max_commands);
            return Err(object.wrong("maxCommands", problem, "leave it out for 16"));
        }
        let Deadlines { prepare, start, ready, stop, usage } = raw.deadlines;
        for (kind, ms) in
            [("prepare", prepare), ("start", start), ("ready", ready), ("stop", stop), ("usage", usage)]
        {
            if !(10..=3_600_000).contains(&ms) {
                let problem = format!("`{kind}` is {ms} ms, which is not from 10 ms to 1 h");
                return Err(object.wrong("deadlines", problem, "leave it out for the default"));
            }
        }
        Ok(())
    }

    fn host(&self, raw: RawHost) -> Result<Host, HostsFileError> {
        let object = self.object("host", &raw.name);
        object.plain_name("name", &raw.name)?;
        let address: IpAddr = raw.address.parse().map_err(|_| {
            let remedy =
                "Envoy takes only IP addresses as endpoints: write the host's address, such as 192.0.2.7";
            object.wrong("address", format!("`{}` is not an IP address", raw.address), remedy)
        })?;
        let capacity = Millicores::new(raw.capacity.0).ok().filter(|c| (1.0..=1e9).contains(&c.get()));
        let capacity = capacity.ok_or_else(|| {
            let problem = format!("{} millicores is not from 1 to 1000000000", raw.capacity.0);
            object.wrong(
                "capacity",
                problem,
                "write the CPU that workloads can have, such as 2000m for two cores",
            )
        })?;
        if !(raw.cost_per_hour.is_finite() && raw.cost_per_hour >= 0.0) {
            let problem = format!("{} is not 0 or more", raw.cost_per_hour);
            return Err(object.wrong(
                "costPerHour",
                problem,
                "write the price of one hour, in any one currency",
            ));
        }
        let HostCommands { prepare, start, ready, stop, usage } = &raw.commands;
        let of_workload = [
            ("commands.start", Some(start)),
            ("commands.ready", Some(ready)),
            ("commands.stop", Some(stop)),
            ("commands.prepare", prepare.as_ref()),
        ];
        for (field, argv) in of_workload {
            check_argv(&object, field, argv, OF_WORKLOAD)?;
        }
        check_argv(&object, "commands.usage", usage.as_ref(), OF_HOST)?;
        Ok(Host {
            zone: raw.zone.map(Zone::new),
            address,
            capacity,
            cost_per_hour: raw.cost_per_hour,
            cordoned: raw.cordoned,
            commands: raw.commands,
        })
    }

    fn workload(
        &self,
        raw: RawWorkload,
        hosts: &BTreeMap<NodeId, Host>,
    ) -> Result<HostedWorkload, HostsFileError> {
        let object = self.object("workload", &raw.name);
        object.plain_name("name", &raw.name)?;
        let service = raw.service.as_deref().unwrap_or(&raw.name);
        object.plain_name("service", service)?;
        let runs_on = known(&object, "runsOn", &raw.runs_on, hosts)?;
        if runs_on.is_empty() {
            return Err(object.wrong("runsOn", "the list is empty", "name the hosts that it runs on now"));
        }
        let mut allowed = known(&object, "allowedHosts", &raw.allowed_hosts, hosts)?;
        if allowed.is_empty() {
            allowed = hosts.keys().cloned().collect();
        }
        if let Some(host) = runs_on.difference(&allowed).next() {
            let problem = format!("`{host}` is in runsOn but not in allowedHosts");
            return Err(object.wrong(
                "allowedHosts",
                problem,
                "add it, or leave allowedHosts out to allow every host",
            ));
        }
        let mut ports = BTreeMap::new();
        for host in &allowed {
            let port = match &raw.port {
                Ports::Same(port) => Some(*port),
                Ports::Each(each) => each.get(host.as_str()).copied(),
            };
            let port = port.filter(|port| *port != 0).ok_or_else(|| {
                let problem = format!("there is no port from 1 to 65535 for host `{host}`, where it may run");
                object.wrong("port", problem, "add the port, or leave the host out of allowedHosts")
            })?;
            ports.insert(host.clone(), port);
        }
        Ok(HostedWorkload {
            service: ServiceId::new(service),
            tier: raw.tier,
            ports,
            cluster_port: raw.cluster_port,
            runs_on,
            allowed,
            pinned: raw.pinned,
        })
    }

    /// No two workloads share a service or an endpoint.
    fn distinct(&self, workloads: &BTreeMap<WorkloadId, HostedWorkload>) -> Result<(), HostsFileError> {
        let (mut services, mut endpoints) = (BTreeMap::new(), BTreeMap::new());
        for (name, workload) in workloads {
            let object = self.object("workload", name.as_str());
            if let Some(other) = services.insert(&workload.service, name) {
                let problem = format!("`{}` is the service of workload `{other}` too", workload.service);
                return Err(object.wrong("service", problem, "give each workload a service of its own"));
            }
            for (host, port) in &workload.ports {
                if let Some(other) = endpoints.insert((host, port), name) {
                    let problem = format!("port {port} on host `{host}` is workload `{other}`'s too");
                    let remedy = "give each its own port, or keep them apart with allowedHosts";
                    return Err(object.wrong("port", problem, remedy));
                }
            }
        }
        Ok(())
    }
}

fn known(
    object: &Object<'_>,
    field: &'static str,
    names: &[String],
    hosts: &BTreeMap<NodeId, Host>,
) -> Result<BTreeSet<NodeId>, HostsFileError> {
    let mut found = BTreeSet::new();
    for name in names {
        let id = NodeId::new(name.as_str());
        if !hosts.contains_key(&id) {
            let known: Vec<&str> = hosts.keys().map(NodeId::as_str).collect();
            let remedy = format!("use one of {}", known.join(", "));
            return Err(object.wrong(field, format!("there is no host `{name}`"), remedy));
        }
        found.insert(id);
    }
    Ok(found)
}

fn check_argv(
    object: &Object<'_>,
    field: &'static str,
    argv: Option<&Vec<String>>,
    allowed: &[&str],
) -> Result<(), HostsFileError> {
    let Some(argv) = argv else { return Ok(()) };
    if argv.first().is_none_or(String::is_empty) {
        let remedy =
            "write a list: the program first, then its arguments, such as [systemctl, start, \"{workload}\"]";
        return Err(object.wrong(field, "the program is missing", remedy));
    }
    for word in argv {
        if word.contains('\0') {
            return Err(object.wrong(field, "an argument has a NUL character in it", "take it out"));
        }
        if let Some(unknown) = placeholders(word).find(|name| !allowed.contains(name)) {
            let list: Vec<String> = allowed.iter().map(|name| format!("{{{name}}}")).collect();
            let problem = format!("`{{{unknown}}}` is not a placeholder here");
            return Err(object.wrong(field, problem, format!("use {}", list.join(", "))));
        }
    }
    Ok(())
}
