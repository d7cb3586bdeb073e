//! The protobuf body: encode, and decode with every limit checked before memory is spent.
use crate::MAJOR;
use crate::histogram::{HistogramError, validate_v2};
use crate::name::{MAX_NAME_BYTES, is_clean};
use crate::recorder::GRPC_STATUSES;
use crate::wire::{Direction, Proxy, RouteWindow, WindowSummary};
use prost::Message;
use std::fmt::Display;

mod scan;

/// Longest `config_error` in bytes.
pub const MAX_CONFIG_ERROR_BYTES: usize = 1024;

/// What a decoded summary may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Routes of one summary, at most 4096 in JSON.
    pub routes: usize,
    /// Bytes of one name.
    pub name_bytes: usize,
}

impl Default for Limits {
    /// 4 MiB (512 routes with long histograms are 0.5 MB), 4096 routes, names as long as a DNS name.
    fn default() -> Self {
        Self { body_bytes: 4 << 20, routes: MAX_ROUTES, name_bytes: MAX_NAME_BYTES }
    }
}

/// Most routes of one summary.
pub(crate) const MAX_ROUTES: usize = 4096;
/// Most gRPC counts of one route: one for each status, and room for a sender that repeats itself.
pub(crate) const MAX_GRPC_COUNTS: usize = 64;

/// Why a body is not a summary that the planner takes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body is longer than the limit.
    #[error("summary body is {bytes} bytes, limit {limit}: lower max_keys or interval_ms of the sender")]
    BodyTooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The body is not protobuf of this message.
    #[error("summary body is not a protobuf WindowSummary: send the message of summary.proto")]
    Protobuf(#[source] prost::DecodeError),
    /// The wire format is broken, or holds more than a summary may.
    #[error("summary body: {what} at byte {at}: send the message of summary.proto")]
    Wire {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// The body is not JSON of this message.
    #[cfg(feature = "json")]
    #[error("summary body is not a JSON WindowSummary: send the fields of summary.proto in snake_case")]
    Json(#[source] serde_json::Error),
    /// A field has a value that is not allowed.
    #[error("{field} is {value}, must be {limit}: {remedy}")]
    Field {
        /// The field, such as `routes[3].direction`.
        field: String,
        /// Its value.
        value: String,
        /// What it may be.
        limit: String,
        /// What the sender has to do.
        remedy: &'static str,
    },
    /// A route's histogram is not usable.
    #[error("routes[{route}].latency_hdr_v2 is not usable")]
    Histogram {
        /// Position of the route.
        route: usize,
        /// What is wrong with it.
        #[source]
        source: HistogramError,
    },
}

impl DecodeError {
    /// Whether the body was refused for its length alone (HTTP 413, not 400).
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. })
    }
}

/// Encodes a summary.
pub fn encode(summary: &WindowSummary) -> Vec<u8> {
    summary.encode_to_vec()
}

/// Decodes a body and checks it; unknown fields and newer minor versions are accepted.
///
/// Memory stays within a small multiple of the body's length: repeated entries are counted before any is built.
///
/// # Errors
/// [`DecodeError`] names field, value, limit and remedy.
pub fn decode(body: &[u8], limits: &Limits) -> Result<WindowSummary, DecodeError> {
    check_body_length(body, limits)?;
    scan::scan(body, limits)?;
    let summary = WindowSummary::decode(body).map_err(DecodeError::Protobuf)?;
    check(&summary, limits)?;
    Ok(summary)
}

pub(crate) fn check_body_length(body: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    if body.len() > limits.body_bytes {
        return Err(DecodeError::BodyTooLarge { bytes: body.len(), limit: limits.body_bytes });
    }
    Ok(())
}

/// A field error; built only when one is found.
fn field(
    field: impl Into<String>,
    value: &dyn Display,
    limit: &dyn Display,
    remedy: &'static str,
) -> DecodeError {
    DecodeError::Field { field: field.into(), value: value.to_string(), limit: limit.to_string(), remedy }
}

/// Checks a message, wherever it comes from.
///
/// # Errors
/// The first field that is not allowed.
pub fn check(summary: &WindowSummary, limits: &Limits) -> Result<(), DecodeError> {
    if summary.major != MAJOR {
        return Err(field(
            "major",
            &summary.major,
            &MAJOR,
            "use a filter and a planner of the same major version",
        ));
    }
    let Some(proxy) = &summary.proxy else {
        return Err(field("proxy", &"absent", &"given", "say who measured"));
    };
    check_proxy(proxy, limits)?;
    if summary.epoch == 0 {
        return Err(field("epoch", &0, &"not 0", "choose a new random epoch at each start of a recorder"));
    }
    if summary.sequence == 0 {
        return Err(field("sequence", &0, &"1 or more", "number the summaries of an epoch from 1"));
    }
    if summary.end_unix_ms < summary.start_unix_ms {
        return Err(field(
            "end_unix_ms",
            &summary.end_unix_ms,
            &format_args!("start_unix_ms ({}) or later", summary.start_unix_ms),
            "send end equal to start when the clock went backwards",
        ));
    }
    check_text("config_error", &summary.config_error, MAX_CONFIG_ERROR_BYTES)?;
    if summary.routes.len() > limits.routes {
        return Err(field("routes", &summary.routes.len(), &limits.routes, "lower max_keys of the sender"));
    }
    let mut observations = 0_u64;
    for (at, route) in summary.routes.iter().enumerate() {
        let count = check_route(at, route, limits)?;
        observations = observations.checked_add(count).ok_or_else(|| {
            field(format!("routes[{at}]"), &count, &"a total below 2^64", "send true counts")
        })?;
    }
    if summary.cumulative < observations {
        return Err(field(
            "cumulative",
            &summary.cumulative,
            &format_args!("{observations} or more, the observations of this window"),
            "count all observations of the epoch, this window included",
        ));
    }
    Ok(())
}

fn check_proxy(proxy: &Proxy, limits: &Limits) -> Result<(), DecodeError> {
    let names = [
        ("proxy.mesh", &proxy.mesh),
        ("proxy.cluster", &proxy.cluster),
        ("proxy.namespace", &proxy.namespace),
        ("proxy.workload", &proxy.workload),
        ("proxy.pod", &proxy.pod),
        ("proxy.node", &proxy.node),
        ("proxy.zone", &proxy.zone),
    ];
    for (name, value) in names {
        check_text(name, value, limits.name_bytes)?;
    }
    for (name, value) in [("proxy.workload", &proxy.workload), ("proxy.pod", &proxy.pod)] {
        if value.is_empty() {
            return Err(field(name, &"empty", &"a name", "set the node id and the workload of the proxy"));
        }
    }
    Ok(())
}

/// Checks one text; the name of the field is made only for an error.
fn check_text(name: impl Into<String>, text: &str, max_bytes: usize) -> Result<(), DecodeError> {
    if is_clean(text, max_bytes) {
        return Ok(());
    }
    let shown: String = text.chars().take(64).flat_map(char::escape_default).collect();
    Err(field(
        name,
        &format_args!("\"{shown}\" ({} bytes)", text.len()),
        &format_args!("at most {max_bytes} bytes without control characters"),
        "shorten or clean the name",
    ))
}

/// Checks one route; gives its observations.
fn check_route(at: usize, route: &RouteWindow, limits: &Limits) -> Result<u64, DecodeError> {
    let known = matches!(Direction::try_from(route.direction), Ok(Direction::Inbound | Direction::Outbound));
    if !known {
        return Err(field(
            format!("routes[{at}].direction"),
            &route.direction,
            &"1 (inbound) or 2 (outbound)",
            "say which end measured",
        ));
    }
    let names = [
        ("callee", &route.callee),
        ("route", &route.route),
        ("peer", &route.peer),
        ("peer_node", &route.peer_node),
    ];
    for (name, value) in names {
        if !is_clean(value, limits.name_bytes) {
            check_text(format!("routes[{at}].{name}"), value, limits.name_bytes)?;
        }
    }
    if route.callee.is_empty() {
        return Err(field(
            format!("routes[{at}].callee"),
            &"empty",
            &"a name",
            "name the service that was called",
        ));
    }
    check_grpc(at, route)?;
    let overflow = || {
        field(
            format!("routes[{at}]"),
            &"counts",
            &"a sum of ok, client_error, server_error, aborted below 2^64",
            "send true counts",
        )
    };
    let answered = route
        .ok
        .checked_add(route.client_error)
        .and_then(|sum| sum.checked_add(route.server_error))
        .ok_or_else(overflow)?;
    let in_histogram = if route.latency_hdr_v2.is_empty() {
        0
    } else {
        validate_v2(&route.latency_hdr_v2).map_err(|source| DecodeError::Histogram { route: at, source })?
    };
    if in_histogram != answered {
        return Err(field(
            format!("routes[{at}].latency_hdr_v2"),
            &format_args!("a histogram of {in_histogram} values"),
            &format_args!("{answered}, the sum of ok, client_error and server_error"),
            "record each answered request once, and no aborted one",
        ));
    }
    answered.checked_add(route.aborted).ok_or_else(overflow)
}

fn check_grpc(at: usize, route: &RouteWindow) -> Result<(), DecodeError> {
    if route.grpc.len() > MAX_GRPC_COUNTS {
        return Err(field(
            format!("routes[{at}].grpc"),
            &format_args!("{} entries", route.grpc.len()),
            &MAX_GRPC_COUNTS,
            "send one count for each status",
        ));
    }
    for count in &route.grpc {
        if count.status as usize >= GRPC_STATUSES {
            return Err(field(
                format!("routes[{at}].grpc.status"),
                &count.status,
                &"0 to 16",
                "count other codes as 2 (UNKNOWN)",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
