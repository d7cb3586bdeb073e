//! What the planner reads of a service's spec, and what it finds that binds the service to where it is.
use crate::{
    labels::{DO_NOT_MOVE, HEALTH_CHECK, LOCAL_MOUNTS, NETWORK, PORT, STACK, SURGE_OF, TIER},
    objects::{Limits, Network, Platform, Service, or_default},
};
use foremesh_core::topology::Tier;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// A service, as far as the planner reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its labels; those of its containers are none of them.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    task_template: Template,
    #[serde(deserialize_with = "or_default")]
    mode: Mode,
    #[serde(deserialize_with = "or_default")]
    networks: Vec<Target>,
    #[serde(deserialize_with = "or_default")]
    endpoint_spec: EndpointSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Template {
    container_spec: Option<Box<RawValue>>,
    #[serde(deserialize_with = "or_default")]
    resources: Limits,
    #[serde(deserialize_with = "or_default")]
    placement: Placement,
    #[serde(deserialize_with = "or_default")]
    networks: Vec<Target>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "or_default")]
    mounts: Vec<Mount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    #[serde(deserialize_with = "or_default")]
    test: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mount {
    r#type: String,
    source: String,
    target: String,
}

/// Where tasks may go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Placement {
    #[serde(deserialize_with = "or_default")]
    pub(crate) constraints: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) platforms: Vec<Platform>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) max_replicas: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mode {
    replicated: Option<Replicated>,
    global: Option<serde_json::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Replicated {
    replicas: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Target {
    target: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointSpec {
    #[serde(deserialize_with = "or_default")]
    ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Port {
    published_port: u16,
    publish_mode: String,
}

impl Described {
    /// Reads a service.
    ///
    /// # Errors
    /// When its spec is of another form than that of any dockerd that is known.
    pub fn read(service: &Service) -> Result<Self, serde_json::Error> {
        serde_json::from_str(service.spec.get())
    }

    /// Replicas that are wanted; none when it has one on each node, or runs once.
    pub fn replicas(&self) -> Option<u64> {
        Some(self.mode.replicated.as_ref()?.replicas.unwrap_or(1))
    }

    /// It is one of the planner's own, for a move.
    pub fn is_surge(&self) -> bool {
        self.labels.contains_key(SURGE_OF)
    }

    /// The stack that it is of.
    pub fn stack(&self) -> Option<&str> {
        self.labels.get(STACK).map(String::as_str)
    }

    /// How much it matters.
    ///
    /// # Errors
    /// When its label says something else.
    pub fn tier(&self) -> Result<Tier, String> {
        match self.labels.get(TIER).map(String::as_str) {
            None | Some("standard") => Ok(Tier::Standard),
            Some("critical") => Ok(Tier::Critical),
            Some("best_effort") => Ok(Tier::BestEffort),
            Some(other) => {
                Err(format!("label {TIER} is `{other}`; write `critical`, `standard` or `best_effort`"))
            }
        }
    }

    /// The port at which its tasks serve.
    ///
    /// # Errors
    /// When it is not said, or no port.
    pub fn port(&self) -> Result<u16, String> {
        let Some(written) = self.labels.get(PORT) else {
            return Err(format!(
                "it has no label {PORT}; add it with the port at which its tasks serve HTTP (`docker service \
                 update --label-add {PORT}=8080 {}`)",
                self.name
            ));
        };
        written.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            format!("label {PORT} is `{written}`, which is no port; write a number from 1 to 65535")
        })
    }

    /// The network in which its tasks are reached, by its id.
    ///
    /// # Errors
    /// When it is not clear which one, or it is not there.
    pub fn network<'n>(&self, networks: &'n [Network]) -> Result<&'n Network, String> {
        let mine = if self.task_template.networks.is_empty() {
            &self.networks
        } else {
            &self.task_template.networks
        };
        let targets: BTreeSet<&str> = mine.iter().map(|target| target.target.as_str()).collect();
        let overlays: Vec<&Network> = networks
            .iter()
            .filter(|network| network.driver == "overlay" && !network.ingress)
            .filter(|network| {
                targets.contains(network.id.as_str()) || targets.contains(network.name.as_str())
            })
            .collect();
        let names =
            overlays.iter().map(|network| format!("`{}`", network.name)).collect::<Vec<_>>().join(", ");
        if let Some(wanted) = self.labels.get(NETWORK) {
            let found = overlays.iter().find(|network| network.name == *wanted || network.id == *wanted);
            return found.copied().ok_or_else(|| {
                format!(
                    "label {NETWORK} is `{wanted}`, which is none of its overlay networks; they are {names}"
                )
            });
        }
        match overlays.as_slice() {
            [one] => Ok(one),
            [] => Err("it is in no overlay network, so that no Envoy of another node reaches its tasks; \
                       attach it to one"
                .to_owned()),
            _ => Err(format!(
                "it is in several overlay networks ({names}); say with label {NETWORK} which one"
            )),
        }
    }

    /// Where its tasks may go.
    pub(crate) const fn placement(&self) -> &Placement {
        &self.task_template.placement
    }

    /// What its tasks ask for, and may have at most.
    pub(crate) const fn resources(&self) -> &Limits {
        &self.task_template.resources
    }

    /// Ports of the node that each task takes for itself.
    pub(crate) fn host_ports(&self) -> BTreeSet<u16> {
        let ports = self.endpoint_spec.ports.iter().filter(|port| port.publish_mode == "host");
        ports.map(|port| port.published_port).filter(|port| *port > 0).collect()
    }

    /// Why it is never moved, by itself: whatever runs of it, and wherever.
    ///
    /// # Errors
    /// The first reason, with what a human can do.
    pub fn movable(&self, networks: &[Network]) -> Result<(), String> {
        if let Some(reason) = self.labels.get(DO_NOT_MOVE) {
            return Err(if reason.is_empty() {
                format!("label {DO_NOT_MOVE} says so")
            } else {
                reason.clone()
            });
        }
        if self.is_surge() {
            return Err("it is there for a move of another service, and goes with its end".to_owned());
        }
        if self.replicas().is_none() {
            return Err(if self.mode.global.is_some() {
                "it has a task on each node (mode global), so there is nothing to move".to_owned()
            } else {
                "it is a job, whose tasks end by themselves".to_owned()
            });
        }
        let raw = self.task_template.container_spec.as_ref();
        let Some(raw) = raw else {
            return Err("its tasks are no containers but of a plugin's or a network's own kind".to_owned());
        };
        self.port()?;
        self.tier()?;
        self.network(networks)?;
        let container: Container = serde_json::from_str(raw.get())
            .map_err(|error| format!("its container's description is not understood: {error}"))?;
        self.checked(&container)?;
        self.mounts(&container)?;
        if raw.get().contains(".Task.Slot") {
            return Err("its containers are told their `.Task.Slot`, which two tasks of one slot would have to share; \
                        use `.Node.Hostname`, `.Task.ID` or nothing"
                .to_owned());
        }
        if !self.resources().reservations.generic_resources.is_empty() {
            return Err("it reserves generic resources, of which there is one set on a node and none for a \
                        successor beside the task"
                .to_owned());
        }
        Ok(())
    }

    /// Swarm says by its health check when a new task can have traffic.
    fn checked(&self, container: &Container) -> Result<(), String> {
        let test = container.healthcheck.as_ref().map(|check| check.test.as_slice()).unwrap_or_default();
        match test {
            [none, ..] if none == "NONE" => {
                Err("its health check is switched off (NONE), so nothing tells when a new task can have traffic; \
                     give it one"
                    .to_owned())
            }
            [_, ..] => Ok(()),
            [] if self.labels.get(HEALTH_CHECK).is_some_and(|of| of == "image") => Ok(()),
            [] => Err(format!(
                "nothing tells when a new task can have traffic; give it a health check, or say with label \
                 {HEALTH_CHECK}=image that its image has one"
            )),
        }
    }

    /// What is on the disk of a node does not move along.
    fn mounts(&self, container: &Container) -> Result<(), String> {
        if self.labels.get(LOCAL_MOUNTS).is_some_and(|are| are == "same-everywhere") {
            return Ok(());
        }
        let local = container.mounts.iter().find(|mount| !matches!(mount.r#type.as_str(), "tmpfs"));
        local.map_or(Ok(()), |mount| {
            let (kind, source, target) = (&mount.r#type, &mount.source, &mount.target);
            Err(format!(
                "it mounts {kind} `{source}` at {target}, and what a task has written there would not move along; say \
                 with label {LOCAL_MOUNTS}=same-everywhere that it is alike on all nodes"
            ))
        })
    }
}
