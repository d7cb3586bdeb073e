//! Nodes.
use super::{
    Quantity,
    manifest::{kept, or_default},
};
use serde::Deserialize;

kept!(Node: "Node", NodeSpec, NodeStatus, "", "v1", "nodes");

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct NodeSpec {
    #[serde(default)]
    pub(crate) unschedulable: bool,
    #[serde(default)]
    pub(crate) taints: Vec<NodeTaint>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct NodeTaint {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
    pub(crate) effect: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct NodeStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) allocatable: Allocatable,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) conditions: Vec<Condition>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) addresses: Vec<Address>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Allocatable {
    pub(crate) cpu: Option<Quantity>,
    pub(crate) memory: Option<Quantity>,
    pub(crate) pods: Option<Quantity>,
}

/// One of the things that an object says of itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) of: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Address {
    #[serde(rename = "type")]
    pub(crate) of: String,
    pub(crate) address: String,
}
