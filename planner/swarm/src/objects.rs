//! What is read of dockerd's objects: the few fields that matter. What is written is never made of these, but of the text
//! of a [`Spec`](crate::spec::Spec).
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A machine of the Swarm.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// Its id, for ever.
    #[serde(rename = "ID")]
    pub id: String,
    /// What operators say of it.
    pub spec: NodeSpec,
    /// What it says of itself.
    pub description: NodeDescription,
    /// Whether it answers.
    pub status: NodeStatus,
}

/// What operators say of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct NodeSpec {
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    pub role: String,
    pub availability: String,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct NodeDescription {
    pub hostname: String,
    pub platform: Platform,
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
    #[serde(deserialize_with = "or_default")]
    pub engine: Engine,
}

/// For what images are built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct Platform {
    pub architecture: String,
    #[serde(rename = "OS")]
    pub os: String,
}

/// CPU in billionths of one, memory in bytes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct Resources {
    #[serde(rename = "NanoCPUs")]
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    #[serde(deserialize_with = "or_default")]
    pub generic_resources: Vec<serde_json::Value>,
}

/// The dockerd of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct Engine {
    pub engine_version: String,
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// Whether a node answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct NodeStatus {
    pub state: String,
    pub message: String,
    pub addr: String,
}

impl Node {
    /// Whether its tasks can be believed to run.
    pub fn answers(&self) -> bool {
        self.status.state == "ready"
    }
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    /// Its id, for ever.
    #[serde(rename = "ID")]
    pub id: String,
    /// Counted up with each change; a change must name the one that it is of.
    pub version: Version,
    /// When its spec was changed last.
    #[serde(default)]
    pub updated_at: String,
    /// The text of its spec.
    pub spec: Box<RawValue>,
    /// The text of the spec before that.
    #[serde(default)]
    pub previous_spec: Option<Box<RawValue>>,
    /// How the last change of its tasks goes.
    #[serde(default)]
    pub update_status: Option<UpdateStatus>,
}

/// Counted up with each change of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Version {
    /// The count.
    pub index: u64,
}

/// How a change of a service's tasks goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct UpdateStatus {
    pub state: String,
    pub message: String,
}

impl UpdateStatus {
    /// Whether something is still to come of it, by itself or by a human.
    pub fn is_open(&self) -> bool {
        !matches!(self.state.as_str(), "" | "completed" | "rollback_completed")
    }
}

impl Service {
    /// Its name; empty when the spec has none.
    pub fn name(&self) -> String {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "Name", default)]
            name: String,
        }
        serde_json::from_str::<Named>(self.spec.get()).map(|named| named.name).unwrap_or_default()
    }
}

/// One container that is to run, runs or has run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    /// Its id, for ever.
    #[serde(rename = "ID")]
    pub id: String,
    /// When it was made.
    pub created_at: String,
    /// Whose it is.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// Which of the service's replicas; 0 for a service that has one on each node.
    pub slot: u64,
    /// Where; empty until that is decided.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// What Swarm wants it to be.
    pub desired_state: String,
    /// What it is.
    pub status: TaskStatus,
    /// Its addresses.
    #[serde(deserialize_with = "or_default")]
    pub networks_attachments: Vec<Attachment>,
    /// What it was made of.
    pub spec: TaskSpec,
}

/// What a task is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct TaskStatus {
    pub state: String,
    pub message: String,
    pub err: String,
}

/// The place of a task in a network.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attachment {
    /// Which network.
    #[serde(deserialize_with = "or_default")]
    pub network: AttachedNetwork,
    /// With the length of the network's prefix behind a slash.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
}

/// A network as a task has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct AttachedNetwork {
    #[serde(rename = "ID")]
    pub id: String,
}

/// What a task was made of.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct TaskSpec {
    #[serde(deserialize_with = "or_default")]
    pub resources: Limits,
    pub placement: Option<serde_json::Value>,
}

/// What tasks ask for, and may have at most.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct Limits {
    #[serde(deserialize_with = "or_default")]
    pub limits: Resources,
    #[serde(deserialize_with = "or_default")]
    pub reservations: Resources,
}

impl Task {
    /// It runs, and is healthy where it can be: Swarm waits with this state for the health check.
    pub fn runs(&self) -> bool {
        self.wanted() && self.status.state == "running"
    }

    /// Swarm wants it to run, or to be ready to.
    pub fn wanted(&self) -> bool {
        matches!(self.desired_state.as_str(), "running" | "ready") && !self.ended()
    }

    /// It will not run any more.
    pub fn ended(&self) -> bool {
        matches!(
            self.status.state.as_str(),
            "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
        )
    }

    /// Why it does not run.
    pub fn trouble(&self) -> String {
        let TaskStatus { state, message, err } = &self.status;
        if err.is_empty() { format!("{state}: {message}") } else { format!("{state}: {err}") }
    }
}

/// A network of the Swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "names of dockerd's API")]
pub struct Network {
    #[serde(rename = "Id")]
    pub id: String,
    pub name: String,
    pub driver: String,
    pub ingress: bool,
}

/// What dockerd writes as `null` is nothing.
pub(crate) fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
