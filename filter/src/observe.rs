//! What one finished stream says: its route, its class, its latency.
//!
//! All attributes come through one compiled CEL list, because a single `get_property` costs about as much as five list
//! elements. The list fails as a whole when one element is missing, and it is the errors that miss one (no endpoint,
//! direct response, client gone); then the attributes are read one by one.
use crate::config::{Config, Peer};
use crate::host::{Expression, Host};
use attributes::Attributes;
use foremesh_summary::{Class, Direction, Observation, Recorder, RouteKey};

mod attributes;

/// The list without peers.
///
/// What each part costs was measured in Envoy (README, "What it costs"):
/// - `response.flags` are not in it: they matter for streams without a response only, and are read then.
/// - `response.grpc_status` is of no use: Envoy derives one from the HTTP status where the response has none, so a plain
///   404 would look like UNIMPLEMENTED. Trailer and header are asked instead, and only for requests with a `te` header,
///   which the gRPC protocol demands (and Envoy's gRPC-Web filter adds): one look-up for all other streams, not two.
const LIST: &str = "[xds.route_name, request.duration, response.code, xds.cluster_name, \
    has(request.headers.te) ? ('grpc-status' in response.trailers ? response.trailers['grpc-status'] : \
    ('grpc-status' in response.headers ? response.headers['grpc-status'] : '')) : ''";
/// What the list ends with when peers are read: the callers of inbound and the callees of outbound streams.
const PEERS: &str = ", 'downstream_peer' in filter_state ? filter_state.downstream_peer.workload : '', \
    'upstream_peer' in filter_state ? filter_state.upstream_peer.workload : ''";
/// What the list ends with when the endpoint tells who is there. A stream without an endpoint has no such metadata, an endpoint
/// without any has null; each is asked for, because a list that fails is read one by one, at several times its cost.
const ENDPOINT: &str = ", has(xds.upstream_host_metadata) && xds.upstream_host_metadata != null && \
    'foremesh' in xds.upstream_host_metadata.filter_metadata && \
    'replica' in xds.upstream_host_metadata.filter_metadata['foremesh'] ? \
    xds.upstream_host_metadata.filter_metadata['foremesh']['replica'] : ''";

/// Callee of streams that no cluster was chosen for, such as a direct response.
const NO_CALLEE: &[u8] = b"_none";
/// Response flag "downstream connection termination": the client closed (`DC`, bit 14 of Envoy's flags).
const DOWNSTREAM_TERMINATION: u64 = 1 << 14;
/// Response flag "downstream remote reset": the client reset the stream (`DR`, bit 28 of Envoy's flags).
const DOWNSTREAM_RESET: u64 = 1 << 28;

/// The expression that a configuration needs.
pub fn expression(config: &Config) -> String {
    let peers = match config.peer {
        Peer::Off => "",
        Peer::Workload => PEERS,
        Peer::Endpoint => ENDPOINT,
    };
    format!("{LIST}{peers}]")
}

/// What `observe` needs to know of the proxy and its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The compiled list, where the proxy could compile it.
    pub expression: Option<Expression>,
    /// Where peers are read.
    pub peer: Peer,
    /// Direction of streams whose cluster name does not tell it.
    pub direction_default: Direction,
    /// The own workload: the callee of inbound streams.
    pub workload: &'a str,
}

/// Records the stream that has just ended.
pub fn observe(host: &impl Host, context: &Context<'_>, recorder: &mut Recorder) {
    let answer = context.expression.and_then(|expression| host.evaluate(expression));
    if let Some(mut attributes) = answer.as_deref().and_then(|blob| Attributes::of_list(blob, context.peer)) {
        if may_be_aborted(attributes.code) {
            attributes.flags = attributes::flags(host);
        }
        record(context, &attributes, recorder);
        return;
    }
    recorder.count_fallback();
    let single = attributes::Single::read(host, context.peer);
    record(context, &single.attributes(), recorder);
}

fn record(context: &Context<'_>, attributes: &Attributes<'_>, recorder: &mut Recorder) {
    #[cfg(feature = "trap-on-path")]
    trap_on(attributes.route);
    let (direction, callee) = callee(attributes.cluster, context);
    let peer =
        if direction == Direction::Inbound { attributes.downstream_peer } else { attributes.upstream_peer };
    recorder.record(
        &RouteKey { direction, callee, route: attributes.route, peer },
        Observation {
            class: class(attributes.code, attributes.flags, attributes.grpc_status),
            latency_us: attributes.duration_us,
            grpc_status: attributes.grpc_status,
        },
    );
}

/// Direction and callee by the cluster name. Istio names clusters `DIRECTION|PORT|SUBSET|HOST`, with an empty host
/// for the own workload; other names are the callee themselves.
fn callee<'a>(cluster: &'a [u8], context: &Context<'a>) -> (Direction, &'a [u8]) {
    if cluster.is_empty() {
        return (context.direction_default, NO_CALLEE);
    }
    let mut parts = cluster.splitn(4, |byte| *byte == b'|');
    let direction = match parts.next() {
        Some(b"inbound") => Direction::Inbound,
        Some(b"outbound") => Direction::Outbound,
        _ => return (context.direction_default, cluster),
    };
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(b"")) => (direction, context.workload.as_bytes()),
        (Some(_), Some(_), Some(host)) => (direction, host),
        _ => (context.direction_default, cluster),
    }
}

/// Whether the response flags matter: there was no response, or none that the client saw.
fn may_be_aborted(code: u64) -> bool {
    matches!(code, 0 | 499)
}

/// What a response says of the service.
///
/// gRPC statuses are split as OpenTelemetry does for servers (semantic conventions for gRPC, "gRPC status"): UNKNOWN,
/// `DEADLINE_EXCEEDED`, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and `DATA_LOSS` are the server's failures. Codes above 16
/// count as UNKNOWN.
fn class(code: u64, flags: u64, grpc_status: Option<u32>) -> Class {
    // A client that leaves after the response has begun got an answer, which is classed by its code.
    let gone = flags & (DOWNSTREAM_TERMINATION | DOWNSTREAM_RESET) != 0;
    match (code, grpc_status) {
        _ if gone && may_be_aborted(code) => Class::Aborted,
        (0 | 500.., _) => Class::ServerError,
        (400..=499, _) => Class::ClientError,
        (_, None | Some(0)) => Class::Ok,
        (_, Some(2 | 4 | 12..=15 | 17..)) => Class::ServerError,
        (_, Some(_)) => Class::ClientError,
    }
}

/// Traps like a bug would, so that tests can show what a trap does to requests.
#[cfg(feature = "trap-on-path")]
#[allow(clippy::panic, reason = "this is what the feature is for")]
fn trap_on(route: &[u8]) {
    assert!(route != b"trap", "trap on purpose");
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail by a panic")]
mod tests;
