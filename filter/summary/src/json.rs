//! The same message as JSON, for people and for senders without protobuf.
//!
//! Field names are those of `summary.proto` (`snake_case`), a direction is `"inbound"` or `"outbound"`, a histogram
//! is the base64 of its HDR V2 bytes. An absent field has its default, unknown fields are ignored. 64-bit numbers are
//! read as numbers or as decimal strings; `epoch` is written as a string, because it goes beyond 2^53, up to which a
//! JSON number is exact in most readers.
use crate::codec::{DecodeError, Limits, MAX_GRPC_COUNTS, MAX_ROUTES, check, check_body_length};
use crate::wire::{Direction, GrpcCount, Proxy, RouteWindow, WindowSummary};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use number::Number;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

mod number;

/// Writes a summary as one JSON object.
///
/// # Errors
/// None for a summary that this crate made or checked; the signature is that of the JSON library.
pub fn to_json(summary: &WindowSummary) -> Result<String, DecodeError> {
    serde_json::to_string(&Summary::from(summary)).map_err(DecodeError::Json)
}

/// Reads and checks a summary.
///
/// # Errors
/// As [`crate::decode`].
pub fn from_json(body: &[u8], limits: &Limits) -> Result<WindowSummary, DecodeError> {
    check_body_length(body, limits)?;
    let summary: Summary = serde_json::from_slice(body).map_err(DecodeError::Json)?;
    let summary = WindowSummary::from(summary);
    check(&summary, limits)?;
    Ok(summary)
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Summary {
    major: u32,
    minor: u32,
    proxy: Option<JsonProxy>,
    #[serde(serialize_with = "number::as_string")]
    epoch: Number,
    sequence: Number,
    start_unix_ms: Number,
    end_unix_ms: Number,
    cumulative: Number,
    overflow: Number,
    failed_pushes: Number,
    fallbacks: Number,
    config_error: String,
    #[serde(deserialize_with = "at_most::<_, _, MAX_ROUTES>")]
    routes: Vec<JsonRoute>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct JsonProxy {
    mesh: String,
    cluster: String,
    namespace: String,
    workload: String,
    pod: String,
    node: String,
    zone: String,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct JsonRoute {
    direction: JsonDirection,
    callee: String,
    route: String,
    peer: String,
    ok: Number,
    client_error: Number,
    server_error: Number,
    aborted: Number,
    #[serde(deserialize_with = "at_most::<_, _, MAX_GRPC_COUNTS>")]
    grpc: Vec<Grpc>,
    sum_us: Number,
    latency_hdr_v2: Base64,
    #[serde(skip_serializing_if = "String::is_empty")]
    peer_node: String,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Grpc {
    status: u32,
    count: Number,
}

#[derive(Serialize, Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum JsonDirection {
    #[default]
    Unspecified,
    Inbound,
    Outbound,
}

/// Bytes that are base64 text in JSON.
#[derive(Default)]
struct Base64(Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(|error| D::Error::custom(format_args!("base64: {error}")))
    }
}

/// Reads a list that stops at `MAX` entries, before memory is spent on more.
fn at_most<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = seq.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(Bounded::<T, MAX>(PhantomData))
}

impl From<&WindowSummary> for Summary {
    fn from(summary: &WindowSummary) -> Self {
        Self {
            major: summary.major,
            minor: summary.minor,
            proxy: summary.proxy.as_ref().map(|proxy| JsonProxy {
                mesh: proxy.mesh.clone(),
                cluster: proxy.cluster.clone(),
                namespace: proxy.namespace.clone(),
                workload: proxy.workload.clone(),
                pod: proxy.pod.clone(),
                node: proxy.node.clone(),
                zone: proxy.zone.clone(),
            }),
            epoch: Number(summary.epoch),
            sequence: Number(summary.sequence),
            start_unix_ms: Number(summary.start_unix_ms),
            end_unix_ms: Number(summary.end_unix_ms),
            cumulative: Number(summary.cumulative),
            overflow: Number(summary.overflow),
            failed_pushes: Number(summary.failed_pushes),
            fallbacks: Number(summary.fallbacks),
            config_error: summary.config_error.clone(),
            routes: summary.routes.iter().map(JsonRoute::from).collect(),
        }
    }
}

impl From<Summary> for WindowSummary {
    fn from(summary: Summary) -> Self {
        Self {
            major: summary.major,
            minor: summary.minor,
            proxy: summary.proxy.map(|proxy| Proxy {
                mesh: proxy.mesh,
                cluster: proxy.cluster,
                namespace: proxy.namespace,
                workload: proxy.workload,
                pod: proxy.pod,
                node: proxy.node,
                zone: proxy.zone,
            }),
            epoch: summary.epoch.0,
            sequence: summary.sequence.0,
            start_unix_ms: summary.start_unix_ms.0,
            end_unix_ms: summary.end_unix_ms.0,
            cumulative: summary.cumulative.0,
            overflow: summary.overflow.0,
            failed_pushes: summary.failed_pushes.0,
            routes: summary.routes.into_iter().map(RouteWindow::from).collect(),
            config_error: summary.config_error,
            fallbacks: summary.fallbacks.0,
        }
    }
}

impl From<&RouteWindow> for JsonRoute {
    fn from(route: &RouteWindow) -> Self {
        Self {
            direction: match Direction::try_from(route.direction) {
                Ok(Direction::Inbound) => JsonDirection::Inbound,
                Ok(Direction::Outbound) => JsonDirection::Outbound,
                Ok(Direction::Unspecified) | Err(_) => JsonDirection::Unspecified,
            },
            callee: route.callee.clone(),
            route: route.route.clone(),
            peer: route.peer.clone(),
            ok: Number(route.ok),
            client_error: Number(route.client_error),
            server_error: Number(route.server_error),
            aborted: Number(route.aborted),
            grpc: route
                .grpc
                .iter()
                .map(|entry| Grpc { status: entry.status, count: Number(entry.count) })
                .collect(),
            sum_us: Number(route.sum_us),
            latency_hdr_v2: Base64(route.latency_hdr_v2.clone()),
            peer_node: route.peer_node.clone(),
        }
    }
}

impl From<JsonRoute> for RouteWindow {
    fn from(route: JsonRoute) -> Self {
        let direction = match route.direction {
            JsonDirection::Unspecified => Direction::Unspecified,
            JsonDirection::Inbound => Direction::Inbound,
            JsonDirection::Outbound => Direction::Outbound,
        };
        Self {
            direction: direction.into(),
            callee: route.callee,
            route: route.route,
            peer: route.peer,
            ok: route.ok.0,
            client_error: route.client_error.0,
            server_error: route.server_error.0,
            aborted: route.aborted.0,
            grpc: route
                .grpc
                .into_iter()
                .map(|entry| GrpcCount { status: entry.status, count: entry.count.0 })
                .collect(),
            sum_us: route.sum_us.0,
            latency_hdr_v2: route.latency_hdr_v2.0,
            peer_node: route.peer_node,
        }
    }
}

#[cfg(test)]
mod tests;
