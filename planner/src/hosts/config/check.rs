//! Limits of a hosts file, and whether its parts fit together.
use super::{Host, HostedWorkload, Hosts, HostsFileError, Ports, RawFile, RawWorkload, ValueError};
use foremesh_core::{
    ids::{NodeId, ServiceId, WorkloadId},
    topology::Requests,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

mod host;
mod staging;

use host::{check_deadlines, check_environment};

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
            if hosts.insert(name, self.host(host, &raw.environment)?).is_some() {
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
        let staging = raw
            .staging
            .as_ref()
            .map(|raw| staging::staging(&self.object("hosts file", ""), raw, &hosts, &workloads));
        let beside = self.path.parent().unwrap_or(Path::new(""));
        Ok(Hosts {
            hosts,
            workloads,
            eds_directory: beside.join(raw.traffic.eds_directory),
            ads: raw.traffic.ads,
            deadlines: raw.deadlines,
            max_commands: raw.max_commands,
            pass_environment: raw.pass_environment,
            staging: staging.transpose()?,
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
        check_deadlines(&object, &raw.deadlines)?;
        check_environment(&object, &raw.environment)
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
        let has_labels =
            |host: &Host| raw.host_labels.iter().all(|(key, value)| host.labels.get(key) == Some(value));
        allowed.retain(|name| hosts.get(name).is_some_and(has_labels));
        if allowed.is_empty() {
            let problem = "no host that it may run on has these labels";
            return Err(object.wrong("hostLabels", problem, "correct them, or the `labels` of hosts"));
        }
        if let Some(host) = runs_on.difference(&allowed).next() {
            if !raw.host_labels.is_empty() && hosts.get(host).is_some_and(|host| !has_labels(host)) {
                let problem = format!("`{host}` is in runsOn and does not have them");
                return Err(object.wrong(
                    "hostLabels",
                    problem,
                    "correct them, or the `labels` of that host",
                ));
            }
            let problem = format!("`{host}` is in runsOn but not in allowedHosts");
            let remedy = "add it, or leave allowedHosts out to allow every host";
            return Err(object.wrong("allowedHosts", problem, remedy));
        }
        let requests = requests(&object, &raw)?;
        let ports = ports_of(&object, "port", &raw.port, &allowed)?;
        Ok(HostedWorkload {
            service: ServiceId::new(service),
            tier: raw.tier,
            ports,
            cluster_port: raw.cluster_port,
            runs_on,
            allowed,
            requests,
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

fn requests(object: &Object<'_>, raw: &RawWorkload) -> Result<Requests, HostsFileError> {
    let cpu_millicores = raw.requests.cpu.map(|cpu| cpu.0);
    if let Some(cpu) = cpu_millicores.filter(|cpu| !(0.0..=1e9).contains(cpu)) {
        let problem = format!("{cpu} millicores is not from 0 to 1000000000");
        return Err(object.wrong("requests", problem, "write the CPU that one replica needs, such as 500m"));
    }
    Ok(Requests { cpu_millicores, memory_bytes: raw.requests.memory.map(|memory| memory.0) })
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

/// The port of each of these hosts.
fn ports_of(
    object: &Object<'_>,
    field: &'static str,
    ports: &Ports,
    hosts: &BTreeSet<NodeId>,
) -> Result<BTreeMap<NodeId, u16>, HostsFileError> {
    let mut found = BTreeMap::new();
    for host in hosts {
        let port = match ports {
            Ports::Same(port) => Some(*port),
            Ports::Each(each) => each.get(host.as_str()).copied(),
        };
        let port = port.filter(|port| *port != 0).ok_or_else(|| {
            let problem = format!("there is no port from 1 to 65535 for host `{host}`, where it may run");
            object.wrong(field, problem, "add the port, or leave the host out of allowedHosts")
        })?;
        found.insert(host.clone(), port);
    }
    Ok(found)
}
