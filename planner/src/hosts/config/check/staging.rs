//! Whether copies for trials can stand beside production.
use super::{Object, ports_of};
use crate::hosts::{
    command::placeholders,
    config::{Host, HostedWorkload, HostsFileError, Kind, RawStaging, Staging},
};
use foremesh_core::ids::{NodeId, WorkloadId};
use std::collections::{BTreeMap, BTreeSet};

/// The part `staging` of a hosts file: a port of its own on each host, and commands that tell a copy from the workload.
pub(super) fn staging(
    object: &Object<'_>,
    raw: &RawStaging,
    hosts: &BTreeMap<NodeId, Host>,
    workloads: &BTreeMap<WorkloadId, HostedWorkload>,
) -> Result<Staging, HostsFileError> {
    if let Some((field, value, limit)) = raw.load.problem() {
        let problem = format!("`{field}` is {value}, which is not {limit}");
        return Err(object.wrong("staging.load", problem, "leave it out for the default"));
    }
    let all: BTreeSet<NodeId> = hosts.keys().cloned().collect();
    let ports = ports_of(object, "staging.ports", &raw.ports, &all)?;
    for (name, workload) in workloads {
        let taken = workload.ports.iter().find(|(host, port)| ports.get(*host) == Some(*port));
        if let Some((host, port)) = taken {
            let problem = format!("port {port} on host `{host}` is workload `{name}`'s");
            return Err(object.wrong("staging.ports", problem, "give copies a port of their own"));
        }
        let copy = workload.instance(name, true);
        if workloads.contains_key(&WorkloadId::new(copy.as_str())) {
            let problem = format!("a copy of `{name}` would be called `{copy}`, as another workload is");
            return Err(object.wrong("staging", problem, "call that workload otherwise"));
        }
    }
    for (name, host) in hosts {
        for kind in [Kind::Start, Kind::Ready, Kind::Stop] {
            let argv = host.commands.argv(kind, true).unwrap_or_default();
            let has = |wanted: &str| argv.iter().any(|word| placeholders(word).any(|name| name == wanted));
            // A ready check may ask the port alone; what starts and stops must name what it is about.
            let tells = has("instance") || (kind != Kind::Stop && has("port"));
            if !tells {
                let problem = format!(
                    "`{}` of host `{name}` would do the same for a copy as for the workload itself",
                    kind.name()
                );
                let remedy = "use {instance} and {port} in it, or write `commands.trial` for copies";
                return Err(object.wrong("staging", problem, remedy));
            }
        }
    }
    Ok(Staging { ports, load: raw.load })
}
