//! The attributes of a finished stream, from the compiled list or one by one.
use crate::config::Peer;
use crate::host::Host;

/// What is read of each stream. Missing texts are empty, missing numbers 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes<'a> {
    pub(super) route: &'a [u8],
    pub(super) duration_us: u64,
    pub(super) code: u64,
    pub(super) cluster: &'a [u8],
    pub(super) flags: u64,
    pub(super) grpc_status: Option<u32>,
    pub(super) downstream_peer: &'a [u8],
    pub(super) upstream_peer: &'a [u8],
}

/// Where the metadata of an endpoint has its replica.
const REPLICA: [&str; 5] = ["xds", "upstream_host_metadata", "filter_metadata", "foremesh", "replica"];

/// Walks the elements of a list as Envoy hands it over (`serializeValue` in `source/extensions/common/wasm/context.cc`): a
/// map whose keys are the elements and whose values are empty. That is a 32-bit count, two 32-bit lengths for each pair,
/// then key, NUL, value, NUL for each. All little-endian.
struct List<'a> {
    lengths: std::slice::ChunksExact<'a, u8>,
    rest: &'a [u8],
}

impl<'a> List<'a> {
    fn new(blob: &'a [u8], elements: usize) -> Option<Self> {
        let (count, rest) = blob.split_at_checked(4)?;
        if u32::from_le_bytes(count.try_into().ok()?) as usize != elements {
            return None;
        }
        let (lengths, rest) = rest.split_at_checked(elements.checked_mul(8)?)?;
        Some(Self { lengths: lengths.chunks_exact(4), rest })
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.lengths.next()?.try_into().ok()?) as usize;
        let value = self.lengths.next()?;
        if value != [0; 4] {
            return None;
        }
        let (element, rest) = self.rest.split_at_checked(length)?;
        // The NUL after the element and the one after the empty value.
        self.rest = rest.get(2..)?;
        Some(element)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.next()?.try_into().ok()?))
    }
}

/// Nanoseconds of a duration, which is signed, as whole microseconds.
fn micros(nanos: u64) -> u64 {
    u64::try_from(nanos.cast_signed()).unwrap_or(0).checked_div(1000).unwrap_or(0)
}

/// A gRPC status as the header has it; a text that is no number counts as UNKNOWN, an absent one as none.
fn status(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    Some(std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(2))
}

impl<'a> Attributes<'a> {
    /// Reads the answer of the compiled list, which has no flags; `None` when it does not have the shape that was asked for.
    pub(super) fn of_list(blob: &'a [u8], peer: Peer) -> Option<Self> {
        let elements = match peer {
            Peer::Off => 5,
            Peer::Endpoint => 6,
            Peer::Workload => 7,
        };
        let mut list = List::new(blob, elements)?;
        let mut attributes = Self {
            route: list.next()?,
            duration_us: micros(list.number()?),
            code: list.number()?,
            cluster: list.next()?,
            grpc_status: status(list.next()?),
            ..Self::default()
        };
        if peer == Peer::Workload {
            attributes.downstream_peer = list.next()?;
        }
        if peer != Peer::Off {
            attributes.upstream_peer = list.next()?;
        }
        Some(attributes)
    }
}

fn number(host: &impl Host, path: &[&str]) -> u64 {
    host.property(path).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The response flags of the stream.
pub(super) fn flags(host: &impl Host) -> u64 {
    number(host, &["response", "flags"])
}

/// Attributes that were read one by one.
#[derive(Debug)]
pub(super) struct Single {
    route: Vec<u8>,
    duration_us: u64,
    code: u64,
    cluster: Vec<u8>,
    flags: u64,
    grpc_status: Option<u32>,
    downstream_peer: Vec<u8>,
    upstream_peer: Vec<u8>,
}

impl Single {
    pub(super) fn read(host: &impl Host, peer: Peer) -> Self {
        let text = |path: &[&str]| host.property(path).unwrap_or_default();
        let workload = |name: &str| text(&["filter_state", name, "workload"]);
        let (downstream_peer, upstream_peer) = match peer {
            Peer::Off => Default::default(),
            Peer::Workload => (workload("downstream_peer"), workload("upstream_peer")),
            Peer::Endpoint => (Vec::new(), text(&REPLICA)),
        };
        let trailer = text(&["response", "trailers", "grpc-status"]);
        let header = if trailer.is_empty() { text(&["response", "headers", "grpc-status"]) } else { trailer };
        Self {
            route: text(&["xds", "route_name"]),
            duration_us: micros(number(host, &["request", "duration"])),
            code: number(host, &["response", "code"]),
            cluster: text(&["xds", "cluster_name"]),
            flags: flags(host),
            grpc_status: status(&header),
            downstream_peer,
            upstream_peer,
        }
    }

    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes {
            route: &self.route,
            duration_us: self.duration_us,
            code: self.code,
            cluster: &self.cluster,
            flags: self.flags,
            grpc_status: self.grpc_status,
            downstream_peer: &self.downstream_peer,
            upstream_peer: &self.upstream_peer,
        }
    }
}
