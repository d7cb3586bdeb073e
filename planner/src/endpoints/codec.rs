//! The endpoint file of one service: a binary `DiscoveryResponse` with one `ClusterLoadAssignment`, as Envoy reads it from
//! the path of a `path_config_source`.
use super::{Endpoint, Endpoints, METADATA};
use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{Address, Locality, Metadata, SocketAddress, address, socket_address},
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint as Host, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
        },
        service::discovery::v3::DiscoveryResponse,
    },
    google::protobuf::{Any, Struct, UInt32Value, Value, value::Kind},
};
use foremesh_core::ids::{NodeId, ReplicaId, Zone};
use prost::{Message, Name};
use std::{collections::BTreeMap, net::SocketAddr};

/// Names of the metadata's fields.
const REPLICA: &str = "replica";
const NODE: &str = "node";

/// Why a file is not an endpoint file.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not protobuf of the expected form.
    #[error("it is not a DiscoveryResponse with a ClusterLoadAssignment")]
    Protobuf(#[from] prost::DecodeError),
    /// It is, but not with exactly one assignment.
    #[error("it has {0} resources, one ClusterLoadAssignment is expected")]
    Resources(usize),
    /// An endpoint is something else than an IP address with a port.
    #[error("an endpoint in it is not an IP address with a port")]
    Address,
}

/// The bytes of the file. Endpoints of weight 0 are left out: Envoy does not take that weight, and an endpoint without
/// traffic is one that is not there.
pub fn encode(file: &Endpoints) -> Vec<u8> {
    let type_url = ClusterLoadAssignment::type_url();
    let response = DiscoveryResponse {
        version_info: file.version.to_string(),
        resources: vec![resource(file)],
        type_url,
        ..DiscoveryResponse::default()
    };
    response.encode_to_vec()
}

/// The assignment alone, as it stands in a response.
pub(super) fn resource(file: &Endpoints) -> Any {
    let mut by_zone: BTreeMap<Option<&Zone>, Vec<LbEndpoint>> = BTreeMap::new();
    for (address, endpoint) in &file.endpoints {
        if endpoint.weight > 0 {
            by_zone.entry(endpoint.zone.as_ref()).or_default().push(lb_endpoint(*address, endpoint));
        }
    }
    let locality =
        |zone: Option<&Zone>| zone.map(|zone| Locality { zone: zone.to_string(), ..Locality::default() });
    let endpoints = by_zone.into_iter().map(|(zone, lb_endpoints)| LocalityLbEndpoints {
        locality: locality(zone),
        lb_endpoints,
        ..LocalityLbEndpoints::default()
    });
    let assignment = ClusterLoadAssignment {
        cluster_name: file.cluster.clone(),
        endpoints: endpoints.collect(),
        ..ClusterLoadAssignment::default()
    };
    Any { type_url: ClusterLoadAssignment::type_url(), value: assignment.encode_to_vec() }
}

fn lb_endpoint(address: SocketAddr, endpoint: &Endpoint) -> LbEndpoint {
    let socket = SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(address.port()))),
        ..SocketAddress::default()
    };
    let address = Address { address: Some(address::Address::SocketAddress(socket)) };
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Host { address: Some(address), ..Host::default() })),
        load_balancing_weight: Some(UInt32Value { value: endpoint.weight }),
        metadata: metadata(endpoint),
        ..LbEndpoint::default()
    }
}

fn metadata(endpoint: &Endpoint) -> Option<Metadata> {
    let replica = endpoint.replica.as_ref().map(|replica| (REPLICA, replica.as_str()));
    let node = endpoint.node.as_ref().map(|node| (NODE, node.as_str()));
    let text = |(name, text): (&str, &str)| {
        (name.to_owned(), Value { kind: Some(Kind::StringValue(text.to_owned())) })
    };
    let fields: Struct = Struct { fields: replica.into_iter().chain(node).map(text).collect() };
    let said = !fields.fields.is_empty();
    said.then(|| Metadata { filter_metadata: [(METADATA.to_owned(), fields)].into(), ..Metadata::default() })
}

/// A text of the metadata that [`metadata`] writes.
fn said(endpoint: &LbEndpoint, name: &str) -> Option<String> {
    match &endpoint.metadata.as_ref()?.filter_metadata.get(METADATA)?.fields.get(name)?.kind {
        Some(Kind::StringValue(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Reads a file back.
///
/// # Errors
/// When it is not one that [`encode`] could have written, apart from fields that do not matter for weights.
pub fn decode(bytes: &[u8]) -> Result<Endpoints, DecodeError> {
    let response = DiscoveryResponse::decode(bytes)?;
    let [resource] = response.resources.as_slice() else {
        return Err(DecodeError::Resources(response.resources.len()));
    };
    let assignment = ClusterLoadAssignment::decode(resource.value.as_slice())?;
    let mut endpoints = BTreeMap::new();
    for locality in assignment.endpoints {
        let zone = locality.locality.filter(|l| !l.zone.is_empty()).map(|l| Zone::new(l.zone));
        for endpoint in locality.lb_endpoints {
            // No weight means 1 to Envoy.
            let weight = endpoint.load_balancing_weight.as_ref().map_or(1, |w| w.value);
            let (replica, node) = (said(&endpoint, REPLICA), said(&endpoint, NODE));
            let address = socket_address_of(endpoint).ok_or(DecodeError::Address)?;
            let (replica, node) = (replica.map(ReplicaId::new), node.map(NodeId::new));
            endpoints.insert(address, Endpoint { zone: zone.clone(), weight, replica, node });
        }
    }
    // A version that somebody else wrote by hand need not be a number; counting starts again then.
    let version = response.version_info.parse().unwrap_or(0);
    Ok(Endpoints { version, cluster: assignment.cluster_name, endpoints })
}

fn socket_address_of(endpoint: LbEndpoint) -> Option<SocketAddr> {
    let Some(HostIdentifier::Endpoint(endpoint)) = endpoint.host_identifier else { return None };
    let Some(address::Address::SocketAddress(socket)) = endpoint.address?.address else { return None };
    let Some(socket_address::PortSpecifier::PortValue(port)) = socket.port_specifier else { return None };
    Some(SocketAddr::new(socket.address.parse().ok()?, u16::try_from(port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoints() -> impl Strategy<Value = Endpoints> {
        let address = (any::<[u8; 4]>(), any::<bool>(), 1_u16..).prop_map(|(ip, v6, port)| {
            let v4 = std::net::Ipv4Addr::from(ip);
            if v6 { SocketAddr::from((v4.to_ipv6_mapped(), port)) } else { SocketAddr::from((v4, port)) }
        });
        let zone = prop_oneof![Just(None), "[a-z0-9-]{1,10}".prop_map(|z| Some(Zone::new(z)))];
        let id = || prop_oneof![Just(None), "[a-zA-Z0-9_.@ü-]{0,20}".prop_map(Some)];
        let endpoint = (zone, 1_u32..10_000, id(), id()).prop_map(|(zone, weight, replica, node)| Endpoint {
            zone,
            weight,
            replica: replica.map(ReplicaId::new),
            node: node.map(NodeId::new),
        });
        let map = prop::collection::btree_map(address, endpoint, 0..20);
        (any::<u64>(), "[a-z0-9|.-]{0,40}", map).prop_map(|(version, cluster, endpoints)| Endpoints {
            version,
            cluster,
            endpoints,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(file in endpoints()) {
            prop_assert_eq!(decode(&encode(&file)).unwrap(), file);
        }

        #[test]
        fn hostile_bytes_are_an_error_at_most(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn an_endpoint_without_weight_is_not_in_the_file() {
        let endpoints = BTreeMap::from([
            (
                "10.0.0.1:80".parse().unwrap(),
                Endpoint { zone: Some(Zone::from("a")), weight: 90, ..Endpoint::default() },
            ),
            ("10.0.0.2:80".parse().unwrap(), Endpoint::default()),
        ]);
        let file = Endpoints { version: 7, cluster: "outbound|80||cart".to_owned(), endpoints };
        let read = decode(&encode(&file)).unwrap();
        assert_eq!(read.endpoints.len(), 1);
        assert_eq!(read.version, 7);
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        assert_eq!(
            decode(b"").unwrap_err().to_string(),
            "it has 0 resources, one ClusterLoadAssignment is expected"
        );
        assert_eq!(
            decode(b"{\"resources\": []}").unwrap_err().to_string(),
            "it is not a DiscoveryResponse with a ClusterLoadAssignment"
        );
    }
}
