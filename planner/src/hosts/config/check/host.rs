//! Limits of one host and of its commands.
use super::{Check, Object};
use crate::hosts::{
    command::placeholders,
    config::{Deadlines, Host, HostsFileError, Kind, RawHost},
};
use foremesh_core::{ids::Zone, units::Millicores};
use std::{collections::BTreeMap, net::IpAddr};

/// What can stand in braces in the commands that are about one workload.
pub(super) const OF_WORKLOAD: &[&str] = &["workload", "service", "instance", "host", "address", "port"];
/// The same for copies of one.
const OF_COPY: &[&str] = &["workload", "service", "instance", "host", "address", "port", "lives"];
/// What can stand in braces in what is about the whole host.
const OF_HOST: &[&str] = &["host", "address"];

impl Check<'_> {
    pub(super) fn host(&self, raw: RawHost, general: &Environment) -> Result<Host, HostsFileError> {
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
            let remedy = "write the CPU that workloads can have, such as 2000m for two cores";
            object.wrong("capacity", problem, remedy)
        })?;
        if !(raw.cost_per_hour.is_finite() && raw.cost_per_hour >= 0.0) {
            let problem = format!("{} is not 0 or more", raw.cost_per_hour);
            return Err(object.wrong(
                "costPerHour",
                problem,
                "write the price of one hour, in any one currency",
            ));
        }
        check_commands(&object, &raw)?;
        check_deadlines(&object, &raw.deadlines)?;
        check_environment(&object, &raw.environment)?;
        let machine = raw.vm.map(|vm| vm.of);
        if let Some(machine) = &machine {
            object.plain_name("vm", machine)?;
        }
        let environment = general.iter().chain(&raw.environment);
        Ok(Host {
            // What takes the machine away takes all that runs on it.
            zone: raw.zone.or(machine).map(Zone::new),
            address,
            capacity,
            memory_bytes: raw.memory.map(|memory| memory.0),
            labels: raw.labels,
            cost_per_hour: raw.cost_per_hour,
            cordoned: raw.cordoned,
            deadlines: raw.deadlines,
            environment: environment.map(|(name, value)| (name.clone(), value.clone())).collect(),
            commands: raw.commands,
        })
    }
}

/// Variables by their names.
pub(super) type Environment = BTreeMap<String, String>;

/// Names that a program can be given, and values whose placeholders are known.
pub(super) fn check_environment(
    object: &Object<'_>,
    environment: &Environment,
) -> Result<(), HostsFileError> {
    for (name, value) in environment {
        if name.is_empty() || name.contains(['=', '\0']) {
            let problem = format!("`{name}` is not the name of a variable");
            return Err(object.wrong("environment", problem, "write a name without `=`"));
        }
        check_word(object, "environment", value, OF_WORKLOAD)?;
    }
    Ok(())
}

pub(super) fn check_deadlines(object: &Object<'_>, deadlines: &Deadlines) -> Result<(), HostsFileError> {
    for (kind, deadline) in &deadlines.0 {
        if !(10..=3_600_000).contains(&deadline.ms()) {
            let problem =
                format!("`{}` is {} ms, which is not from 10 ms to 1 h", kind.name(), deadline.ms());
            return Err(object.wrong("deadlines", problem, "leave it out for the default"));
        }
    }
    Ok(())
}

fn check_commands(object: &Object<'_>, raw: &RawHost) -> Result<(), HostsFileError> {
    let commands = &raw.commands;
    let all =
        [Kind::Start, Kind::Ready, Kind::Stop, Kind::Prepare, Kind::Status, Kind::Usage, Kind::Inventory];
    for kind in all {
        let allowed = if kind.is_of_host() { OF_HOST } else { OF_WORKLOAD };
        check_argv(object, kind.field(), commands.argv(kind, false), allowed)?;
    }
    let of_copies = [
        ("commands.trial.start", &commands.trial.start),
        ("commands.trial.ready", &commands.trial.ready),
        ("commands.trial.stop", &commands.trial.stop),
    ];
    for (field, argv) in of_copies {
        check_argv(object, field, argv.as_deref(), OF_COPY)?;
    }
    Ok(())
}

fn check_argv(
    object: &Object<'_>,
    field: &'static str,
    argv: Option<&[String]>,
    allowed: &[&str],
) -> Result<(), HostsFileError> {
    let Some(argv) = argv else { return Ok(()) };
    if argv.first().is_none_or(String::is_empty) {
        let remedy =
            "write a list: the program first, then its arguments, such as [systemctl, start, \"{workload}\"]";
        return Err(object.wrong(field, "the program is missing", remedy));
    }
    argv.iter().try_for_each(|word| check_word(object, field, word, allowed))
}

fn check_word(
    object: &Object<'_>,
    field: &'static str,
    word: &str,
    allowed: &[&str],
) -> Result<(), HostsFileError> {
    if word.contains('\0') {
        return Err(object.wrong(field, "an argument has a NUL character in it", "take it out"));
    }
    let Some(unknown) = placeholders(word).find(|name| !allowed.contains(name)) else { return Ok(()) };
    let list: Vec<String> = allowed.iter().map(|name| format!("{{{name}}}")).collect();
    let problem = format!("`{{{unknown}}}` is not a placeholder here");
    Err(object.wrong(field, problem, format!("use {}", list.join(", "))))
}
