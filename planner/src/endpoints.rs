//! Who gets a service's traffic, as Envoy takes it: addresses with weights, one durable file for each service.
//!
//! The files are the truth. Envoys on the same machine watch them; a platform that has none there serves what they say.
use foremesh_core::ids::{NodeId, ReplicaId, Zone};
use std::{collections::BTreeMap, net::SocketAddr};

pub mod ads;
mod codec;
mod files;
mod located;
mod table;

pub use codec::{DecodeError, decode, encode};
pub use files::EndpointFiles;
pub use located::located;

/// Where the metadata of an endpoint has what the planner says of it: `filter_metadata["foremesh"]`.
pub const METADATA: &str = "foremesh";

/// One address that requests are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is, for Envoys that prefer what is near.
    pub zone: Option<Zone>,
    /// Its share of the traffic; 100 is that of one whole replica. An endpoint of weight 0 is one that is not there.
    pub weight: u32,
    /// The replica that answers there, in the endpoint's metadata.
    pub replica: Option<ReplicaId>,
    /// The node that it runs on, in the endpoint's metadata.
    pub node: Option<NodeId>,
}

/// All endpoints of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Counted up with each change, so that people and Envoy's statistics can tell two of them apart.
    pub version: u64,
    /// The cluster that these endpoints are of.
    pub cluster: String,
    /// What is at each address.
    pub endpoints: BTreeMap<SocketAddr, Endpoint>,
}
