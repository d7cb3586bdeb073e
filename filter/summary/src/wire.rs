//! The messages of `summary.proto`, kept in step with that file by a test.
//!
//! Field numbers are a stable contract: a newer sender may add fields, which an older planner ignores.

/// What one worker of one proxy saw from `start_unix_ms` to `end_unix_ms`.
///
/// `(proxy, epoch, sequence)` names a summary for ever: it is resent unchanged until it is acknowledged, and the
/// planner counts it once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WindowSummary {
    /// Format version; a planner refuses a major version that it does not know.
    #[prost(uint32, tag = "1")]
    pub major: u32,
    /// Format version; newer minor versions only add fields.
    #[prost(uint32, tag = "2")]
    pub minor: u32,
    /// Who measured.
    #[prost(message, optional, tag = "3")]
    pub proxy: Option<Proxy>,
    /// One life of one worker's recorder: unique among all workers of all proxies, never 0.
    #[prost(uint64, tag = "4")]
    pub epoch: u64,
    /// 1 for the first summary of an epoch, then counted up by one for each.
    #[prost(uint64, tag = "5")]
    pub sequence: u64,
    /// Start of the window in milliseconds since 1970-01-01 UTC, by the proxy's clock.
    #[prost(uint64, tag = "6")]
    pub start_unix_ms: u64,
    /// End of the window in milliseconds since 1970-01-01 UTC, by the proxy's clock.
    #[prost(uint64, tag = "7")]
    pub end_unix_ms: u64,
    /// Observations since the start of the epoch, those of this window included: what the planner must have
    /// received in all when nothing was lost.
    #[prost(uint64, tag = "8")]
    pub cumulative: u64,
    /// Observations since the start of the epoch that went to the `_other` route because the key limit was reached.
    #[prost(uint64, tag = "9")]
    pub overflow: u64,
    /// Pushes that were not acknowledged since the start of the epoch.
    #[prost(uint64, tag = "10")]
    pub failed_pushes: u64,
    /// One entry for each route with at least one observation in the window.
    #[prost(message, repeated, tag = "11")]
    pub routes: Vec<RouteWindow>,
    /// Why the filter runs on defaults: what is wrong with its configuration; empty when nothing is.
    #[prost(string, tag = "12")]
    pub config_error: String,
    /// Observations since the start of the epoch whose attributes could not be read at once, and were read one by
    /// one (counted in a route all the same).
    #[prost(uint64, tag = "13")]
    pub fallbacks: u64,
}

/// The proxy that measured, and where it runs.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Proxy {
    /// Mesh id; empty on plain hosts.
    #[prost(string, tag = "1")]
    pub mesh: String,
    /// Cluster id, such as `Kubernetes`; empty on plain hosts.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// Namespace of the workload; empty on plain hosts.
    #[prost(string, tag = "3")]
    pub namespace: String,
    /// Workload whose sidecar this is, such as `cart`; `edge` for an edge proxy.
    #[prost(string, tag = "4")]
    pub workload: String,
    /// Replica: pod name, or the Envoy node id.
    #[prost(string, tag = "5")]
    pub pod: String,
    /// Node (host) that the proxy runs on; empty when the proxy does not know it.
    #[prost(string, tag = "6")]
    pub node: String,
    /// Zone of the node; empty when not known.
    #[prost(string, tag = "7")]
    pub zone: String,
}

/// Observations of one route in one window.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RouteWindow {
    /// Seen by the callee's proxy (inbound) or by the caller's (outbound).
    #[prost(enumeration = "Direction", tag = "1")]
    pub direction: i32,
    /// Service that was called, such as `cart.shop.svc.cluster.local` or `cart`; `_other` over the key limit.
    #[prost(string, tag = "2")]
    pub callee: String,
    /// Route name; empty when the proxy's configuration gives none.
    #[prost(string, tag = "3")]
    pub route: String,
    /// The other end where the proxy knows it: the workload that calls by an inbound route; the workload or the replica
    /// that is called by an outbound one.
    #[prost(string, tag = "4")]
    pub peer: String,
    /// Answered without an error: HTTP 1xx to 3xx, gRPC status OK.
    #[prost(uint64, tag = "5")]
    pub ok: u64,
    /// The caller's mistake: HTTP 4xx, or a gRPC status that is not the server's fault.
    #[prost(uint64, tag = "6")]
    pub client_error: u64,
    /// The service's failure: HTTP 5xx, no response, or a gRPC status that is the server's fault.
    #[prost(uint64, tag = "7")]
    pub server_error: u64,
    /// The caller went away before the response; says nothing of the service, so it is in no histogram.
    #[prost(uint64, tag = "8")]
    pub aborted: u64,
    /// The same observations by gRPC status, where the response carried one.
    #[prost(message, repeated, tag = "9")]
    pub grpc: Vec<GrpcCount>,
    /// Sum of the latencies in the histogram, in microseconds.
    #[prost(uint64, tag = "10")]
    pub sum_us: u64,
    /// Latencies in microseconds of all but the aborted observations: HDR histogram V2 encoding, 2 significant digits.
    #[prost(bytes = "vec", tag = "11")]
    pub latency_hdr_v2: Vec<u8>,
    /// Node that the peer of an outbound route runs on, where it is known: the planner then counts the observations as
    /// seen at that node too. The planner finds it out; a proxy need not say it. Since minor version 1.
    #[prost(string, tag = "12")]
    pub peer_node: String,
}

/// How many responses carried a gRPC status.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct GrpcCount {
    /// gRPC status code, 0 to 16.
    #[prost(uint32, tag = "1")]
    pub status: u32,
    /// Responses with it.
    #[prost(uint64, tag = "2")]
    pub count: u64,
}

/// Which end of the route measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Direction {
    /// Not given; refused by the planner.
    Unspecified = 0,
    /// The callee's proxy: service time as the service gives it.
    Inbound = 1,
    /// The caller's proxy: what the caller waits for.
    Outbound = 2,
}

impl RouteWindow {
    /// All observations, the aborted ones included.
    pub fn observations(&self) -> u64 {
        self.ok
            .saturating_add(self.client_error)
            .saturating_add(self.server_error)
            .saturating_add(self.aborted)
    }
}
