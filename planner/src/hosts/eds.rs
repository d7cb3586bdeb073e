//! The endpoint file of one service: a binary `DiscoveryResponse` with one `ClusterLoadAssignment`, as Envoy reads it from
//! the path of a `path_config_source`.
use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{Address, Locality, SocketAddress, address, socket_address},
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
        },
        service::discovery::v3::DiscoveryResponse,
    },
    google::protobuf::{Any, UInt32Value},
};
use foremesh_core::ids::Zone;
use prost::{Message, Name};
use std::{collections::BTreeMap, net::SocketAddr};

/// What one endpoint file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Counted up with each write, so that people and Envoy's statistics can tell two files apart.
    pub version: u64,
    /// The cluster that these endpoints are of.
    pub cluster: String,
    /// Zone and weight of each endpoint; a weight is at least 1.
    pub endpoints: BTreeMap<SocketAddr, (Option<Zone>, u32)>,
}

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
    let mut by_zone: BTreeMap<Option<&Zone>, Vec<LbEndpoint>> = BTreeMap::new();
    for (address, (zone, weight)) in &file.endpoints {
        if *weight > 0 {
            by_zone.entry(zone.as_ref()).or_default().push(endpoint(*address, *weight));
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
    let type_url = ClusterLoadAssignment::type_url();
    let resource = Any { type_url: type_url.clone(), value: assignment.encode_to_vec() };
    let response = DiscoveryResponse {
        version_info: file.version.to_string(),
        resources: vec![resource],
        type_url,
        ..DiscoveryResponse::default()
    };
    response.encode_to_vec()
}

fn endpoint(address: SocketAddr, weight: u32) -> LbEndpoint {
    let socket = SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(address.port()))),
        ..SocketAddress::default()
    };
    let address = Address { address: Some(address::Address::SocketAddress(socket)) };
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address),
            ..Endpoint::default()
        })),
        load_balancing_weight: Some(UInt32Value { value: weight }),
        ..LbEndpoint::default()
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
            let address = socket_address_of(endpoint).ok_or(DecodeError::Address)?;
            endpoints.insert(address, (zone.clone(), weight));
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
        let map = prop::collection::btree_map(address, (zone, 1_u32..10_000), 0..20);
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
            ("10.0.0.1:80".parse().unwrap(), (Some(Zone::from("a")), 90)),
            ("10.0.0.2:80".parse().unwrap(), (None, 0)),
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
