//! What binds replicas to places: the conditions that any scheduler would hold, in words of no platform.
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What each replica asks for; a scheduler places by these, whatever is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// CPU in millicores.
    pub cpu_millicores: Option<f64>,
    /// Memory in bytes.
    pub memory_bytes: Option<f64>,
}

impl Requests {
    /// Whether nothing is asked for.
    pub const fn is_empty(&self) -> bool {
        self.cpu_millicores.is_none() && self.memory_bytes.is_none()
    }
}

/// What keeps replicas away from a node unless they tolerate it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// Its name.
    pub key: String,
    /// Its value; empty when it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// How hard it is meant.
    pub effect: Effect,
}

/// How hard a taint is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// No new replicas.
    NoSchedule,
    /// Rather no new replicas. Never a reason to refuse, but nothing that a move goes to of its own accord either.
    PreferNoSchedule,
    /// No replicas, not even those that run already.
    NoExecute,
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, effect } = self;
        let equals = if value.is_empty() { "" } else { "=" };
        write!(f, "{key}{equals}{value}:{effect}")
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        })
    }
}

/// A taint that a workload puts up with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toleration {
    /// Name of the taint; empty for all.
    #[serde(default)]
    pub key: String,
    /// Its value; `None` for any.
    #[serde(default)]
    pub value: Option<String>,
    /// Its effect; `None` for any.
    #[serde(default)]
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether it puts up with a taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        (self.key.is_empty() || self.key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
            && self.effect.is_none_or(|effect| effect == taint.effect)
    }
}

/// One condition on the labels of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    #[serde(default)]
    pub values: BTreeSet<String>,
}

impl Requirement {
    /// Whether it holds for the label's value on a node, `None` for a node without the label.
    pub fn holds(&self, actual: Option<&String>) -> bool {
        let has = || actual.is_some_and(|actual| self.values.contains(actual));
        let compared = |with: fn(f64, f64) -> bool| {
            let limit = self.values.iter().next().and_then(|limit| limit.parse().ok());
            actual.and_then(|actual| actual.parse().ok()).zip(limit).is_some_and(|(a, l)| with(a, l))
        };
        match self.operator {
            Operator::In => has(),
            Operator::NotIn => !has(),
            Operator::Exists => actual.is_some(),
            Operator::DoesNotExist => actual.is_none(),
            Operator::Above => compared(|actual, limit| actual > limit),
            Operator::Below => compared(|actual, limit| actual < limit),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let values = values.join(", ");
        match operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} not in ({values})"),
            Operator::Exists => write!(f, "{key} exists"),
            Operator::DoesNotExist => write!(f, "{key} does not exist"),
            Operator::Above => write!(f, "{key} above {values}"),
            Operator::Below => write!(f, "{key} below {values}"),
        }
    }
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Has one of the values.
    In,
    /// Has none of the values, or is not there.
    NotIn,
    /// Is there.
    Exists,
    /// Is not there.
    DoesNotExist,
    /// Is a number above the only value.
    Above,
    /// Is a number below the only value.
    Below,
}

/// What replicas are kept apart by, or spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopologyKey {
    /// Each node by itself.
    Node,
    /// Nodes of one zone together.
    Zone,
}

impl fmt::Display for TopologyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Zone => "zone",
        })
    }
}

/// Replicas of the workload must be spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Over what.
    pub over: TopologyKey,
    /// Highest difference between the fullest and the emptiest domain, at least 1.
    pub max_skew: usize,
}

/// Storage that a replica is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Zones from which it can be reached; empty for every zone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub zones: BTreeSet<String>,
    /// Nodes from which it can be reached; empty for every node. A local disk names the one that it is on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<String>,
    /// Whether only one node may hold it at a time, so that the successor cannot start before the old one has ended.
    #[serde(default)]
    pub exclusive: bool,
}

/// How many replicas may be away at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisruptionBudget {
    /// Its name.
    pub name: String,
    /// Replicas that may be taken away now.
    pub allowed_now: u32,
    /// How its replicas are, when the platform says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<BudgetHealth>,
}

/// How the replicas of a disruption budget are, all its workloads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetHealth {
    /// Replicas that are well now.
    pub healthy: u32,
    /// Replicas that must be well.
    pub wanted: u32,
}

/// A limit on what a namespace may ask for in all. A successor that runs beside its predecessor asks for more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Its name.
    pub name: String,
    /// What may still be asked for; `None` where it sets no limit.
    pub free: Requests,
    /// Replicas that may still be added; `None` where it sets no limit.
    pub free_replicas: Option<u32>,
}

/// Something else that changes the number of replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Autoscaler {
    /// Its name.
    pub name: String,
    /// Highest number of replicas.
    pub max_replicas: u32,
    /// Whether it wants another number than there are now.
    pub scaling: bool,
}

/// What binds the replicas of one workload to places, and to one another. The default binds nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduling {
    /// Conditions on the node's labels, all of which must hold.
    pub requires: Vec<Requirement>,
    /// Taints that it tolerates.
    pub tolerations: Vec<Toleration>,
    /// No two of its replicas in one domain.
    pub apart: BTreeSet<TopologyKey>,
    /// Replicas of it that may be on one node at most; `None` without such a limit.
    pub max_per_node: Option<u32>,
    /// Workloads that may not be in the same domain, by their names.
    pub not_with: BTreeMap<String, TopologyKey>,
    /// Workloads of which a replica must be in the same domain, by their names.
    pub only_with: BTreeMap<String, TopologyKey>,
    /// How its replicas must be spread.
    pub spread: Vec<Spread>,
    /// Storage that its replicas are bound to.
    pub volumes: Vec<Volume>,
    /// Ports of the node that each replica takes for itself.
    pub host_ports: BTreeSet<u16>,
    /// Disruption budgets that hold for it.
    pub budgets: Vec<DisruptionBudget>,
    /// Quotas of its namespace.
    pub quotas: Vec<Quota>,
    /// What else changes its number of replicas.
    pub autoscaler: Option<Autoscaler>,
    /// A change of it that is under way, such as a new version: nothing moves meanwhile.
    pub changing: Option<String>,
    /// Why each replica is the only one of its name and cannot be replaced by a successor beside it, such as a member of a
    /// stateful set.
    pub no_surge: Option<String>,
}

impl Scheduling {
    /// Whether nothing binds it.
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }
}
