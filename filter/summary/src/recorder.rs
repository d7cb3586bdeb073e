//! Observations by route, in bounded memory, until a window is frozen.
use crate::histogram::SIGNIFICANT_DIGITS;
use crate::name::{MAX_NAME_BYTES, clean, is_clean};
use crate::wire::{Direction, GrpcCount, Proxy, RouteWindow, WindowSummary};
use crate::{MAJOR, MINOR, OVERFLOW_CALLEE};
use hash::FastMap;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

mod hash;

/// Longest latency that is told apart: one hour, in microseconds. Longer streams count as this long, so that one
/// forgotten stream cannot make a histogram grow.
pub const MAX_LATENCY_US: u64 = 3_600_000_000;
/// Number of gRPC status codes, 0 (OK) to 16 (UNAUTHENTICATED).
pub const GRPC_STATUSES: usize = 17;
/// gRPC status UNKNOWN, which any code above 16 counts as (gRPC status codes: "unknown error space").
const GRPC_UNKNOWN: u32 = 2;

/// What an observation says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Answered without an error.
    Ok,
    /// The caller's mistake.
    ClientError,
    /// The service's failure.
    ServerError,
    /// The caller went away before the response.
    Aborted,
}

/// Which route an observation belongs to, as bytes from the proxy; they need not be clean or UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteKey<'a> {
    /// Which end measured.
    pub direction: Direction,
    /// Service that was called.
    pub callee: &'a [u8],
    /// Route name, may be empty.
    pub route: &'a [u8],
    /// Workload at the other end, may be empty.
    pub peer: &'a [u8],
}

/// One finished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What it says of the service.
    pub class: Class,
    /// Latency in microseconds; not used for [`Class::Aborted`].
    pub latency_us: u64,
    /// gRPC status where the response carried one.
    pub grpc_status: Option<u32>,
}

/// Bounds of a recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Routes that are told apart. What comes above goes to one route `_other` for each direction. Twice 2 kB each
    /// at a latency of some milliseconds, 12 kB at an hour.
    pub max_keys: usize,
    /// Frozen windows without an observation after which a route's memory is given back.
    pub idle_windows: u32,
}

impl Default for Settings {
    /// 512 routes, and 150 windows: five minutes at one window every two seconds.
    fn default() -> Self {
        Self { max_keys: 512, idle_windows: 150 }
    }
}

/// What the sender adds to a frozen window.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Who measured.
    pub proxy: &'a Proxy,
    /// Pushes since the start of the epoch that were not acknowledged.
    pub failed_pushes: u64,
    /// What is wrong with the configuration; empty when nothing is.
    pub config_error: &'a str,
}

/// Observations of one route in the live window.
#[derive(Debug)]
struct Cell {
    direction: Direction,
    callee: String,
    route: String,
    peer: String,
    ok: u64,
    client_error: u64,
    server_error: u64,
    aborted: u64,
    sum_us: u64,
    latency: Histogram<u32>,
    /// By status code; empty until the first gRPC response.
    grpc: Vec<u64>,
    idle: u32,
}

/// Counts observations by route until [`Recorder::freeze`] takes them out as a [`WindowSummary`].
///
/// One recorder is one epoch. It loses nothing: every observation is in `cumulative`, and in a route of exactly
/// one summary, but for those beyond 2^32 - 1 of one route in one window, which the planner then sees as a loss.
#[derive(Debug)]
pub struct Recorder {
    settings: Settings,
    epoch: u64,
    sequence: u64,
    start_unix_ms: u64,
    cumulative: u64,
    overflow: u64,
    fallbacks: u64,
    /// Observations in the live window.
    live: u64,
    cells: Vec<Cell>,
    index: FastMap,
    /// Cells of the `_other` routes, inbound and outbound.
    other: [Option<Cell>; 2],
    /// The encoded key of the observation at hand.
    scratch: Vec<u8>,
    serializer: Encoder,
}

/// The HDR serializer, which keeps its buffer from histogram to histogram.
struct Encoder(V2Serializer);

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Recorder {
    /// A recorder of one epoch. `epoch` must be unique among all workers of all proxies; 0 is taken as 1.
    pub fn new(epoch: u64, start_unix_ms: u64, settings: Settings) -> Self {
        Self {
            settings,
            epoch: epoch.max(1),
            sequence: 0,
            start_unix_ms,
            cumulative: 0,
            overflow: 0,
            fallbacks: 0,
            live: 0,
            cells: Vec::new(),
            index: FastMap::default(),
            other: [None, None],
            scratch: Vec::new(),
            serializer: Encoder(V2Serializer::new()),
        }
    }

    /// Changes the bounds; nothing that is recorded is lost.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The epoch, never 0.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Observations since the start of the epoch.
    pub fn cumulative(&self) -> u64 {
        self.cumulative
    }

    /// Observations whose attributes had to be read one by one.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    /// Observations that no frozen window holds yet.
    pub fn live(&self) -> u64 {
        self.live
    }

    /// Routes that are told apart at the moment, the `_other` routes not counted.
    pub fn routes(&self) -> usize {
        self.cells.len()
    }

    /// Start of the live window, in milliseconds since 1970.
    pub fn start_unix_ms(&self) -> u64 {
        self.start_unix_ms
    }

    /// Counts an observation whose attributes had to be read one by one; it is recorded as well.
    pub fn count_fallback(&mut self) {
        self.fallbacks = self.fallbacks.saturating_add(1);
    }

    /// Records one observation.
    pub fn record(&mut self, key: &RouteKey<'_>, observation: Observation) {
        self.cumulative = self.cumulative.saturating_add(1);
        encode_key(&mut self.scratch, key);
        let at = match self.index.get(self.scratch.as_slice()) {
            Some(at) => Some(*at),
            None => self.admit(key),
        };
        let cell = if let Some(cell) = at.and_then(|at| self.cells.get_mut(at)) {
            cell
        } else {
            self.overflow = self.overflow.saturating_add(1);
            let [inbound, outbound] = &mut self.other;
            let other = if key.direction == Direction::Inbound { inbound } else { outbound };
            if other.is_none() {
                *other = Cell::new(key.direction, OVERFLOW_CALLEE.into(), String::new(), String::new());
            }
            let Some(other) = other else { return };
            other
        };
        if cell.record(observation) {
            self.live = self.live.saturating_add(1);
        }
    }

    /// Finds or makes the cell of a key that is not in the index as it stands; `None` when there is no room.
    fn admit(&mut self, key: &RouteKey<'_>) -> Option<usize> {
        let [callee, route, peer] =
            [key.callee, key.route, key.peer].map(|bytes| clean(bytes, MAX_NAME_BYTES));
        let cleaned = RouteKey {
            direction: key.direction,
            callee: callee.as_bytes(),
            route: route.as_bytes(),
            peer: peer.as_bytes(),
        };
        if cleaned != *key {
            // A name that had to be changed is looked up again each time: rare, and the index stays bounded.
            encode_key(&mut self.scratch, &cleaned);
            if let Some(at) = self.index.get(self.scratch.as_slice()) {
                return Some(*at);
            }
        }
        if self.cells.len() >= self.settings.max_keys {
            return None;
        }
        let at = self.cells.len();
        self.cells.push(Cell::new(key.direction, callee, route, peer)?);
        self.index.insert(self.scratch.as_slice().into(), at);
        Some(at)
    }

    /// Begins the live window anew at `now_unix_ms`, if nothing was observed in it.
    pub fn restart_window(&mut self, now_unix_ms: u64) {
        if self.live == 0 {
            self.start_unix_ms = self.start_unix_ms.max(now_unix_ms);
        }
    }

    /// Takes the live window out as the next summary of this epoch; `None` when nothing was observed.
    ///
    /// A clock that went backwards gives an empty window (`end == start`), never a negative one.
    pub fn freeze(&mut self, end_unix_ms: u64, frame: &Frame<'_>) -> Option<WindowSummary> {
        if self.live == 0 {
            return None;
        }
        self.live = 0;
        self.sequence = self.sequence.saturating_add(1);
        let start_unix_ms = self.start_unix_ms;
        let end_unix_ms = end_unix_ms.max(start_unix_ms);
        self.start_unix_ms = end_unix_ms;
        let mut routes = Vec::with_capacity(self.cells.len().saturating_add(2));
        let serializer = &mut self.serializer.0;
        for cell in self.cells.iter_mut().chain(self.other.iter_mut().flatten()) {
            routes.extend(cell.freeze(serializer));
        }
        self.drop_idle();
        let config_error = if is_clean(frame.config_error, crate::codec::MAX_CONFIG_ERROR_BYTES) {
            frame.config_error.to_owned()
        } else {
            clean(frame.config_error.as_bytes(), crate::codec::MAX_CONFIG_ERROR_BYTES)
        };
        Some(WindowSummary {
            major: MAJOR,
            minor: MINOR,
            proxy: Some(frame.proxy.clone()),
            epoch: self.epoch,
            sequence: self.sequence,
            start_unix_ms,
            end_unix_ms,
            cumulative: self.cumulative,
            overflow: self.overflow,
            failed_pushes: frame.failed_pushes,
            routes,
            config_error,
            fallbacks: self.fallbacks,
        })
    }

    /// Gives the memory of long idle routes back, and makes room for new ones.
    fn drop_idle(&mut self) {
        let limit = self.settings.idle_windows;
        if self.cells.iter().all(|cell| cell.idle < limit) {
            return;
        }
        self.cells.retain(|cell| cell.idle < limit);
        self.index.clear();
        for (at, cell) in self.cells.iter().enumerate() {
            encode_key(&mut self.scratch, &cell.key());
            self.index.insert(self.scratch.as_slice().into(), at);
        }
    }
}

impl Cell {
    /// An empty cell; `None` when the library cannot make a histogram, which it does for every valid digit count.
    fn new(direction: Direction, callee: String, route: String, peer: String) -> Option<Self> {
        Some(Self {
            direction,
            callee,
            route,
            peer,
            ok: 0,
            client_error: 0,
            server_error: 0,
            aborted: 0,
            sum_us: 0,
            latency: Histogram::new(SIGNIFICANT_DIGITS).ok()?,
            grpc: Vec::new(),
            idle: 0,
        })
    }

    fn key(&self) -> RouteKey<'_> {
        RouteKey {
            direction: self.direction,
            callee: self.callee.as_bytes(),
            route: self.route.as_bytes(),
            peer: self.peer.as_bytes(),
        }
    }

    /// Records one observation; false when this window of the route is full.
    fn record(&mut self, observation: Observation) -> bool {
        // Counts and histogram must agree, so a route is full before one 32-bit count could saturate.
        let class = match observation.class {
            Class::Ok => &mut self.ok,
            Class::ClientError => &mut self.client_error,
            Class::ServerError => &mut self.server_error,
            Class::Aborted => {
                self.aborted = self.aborted.saturating_add(1);
                self.count_grpc(observation.grpc_status);
                return true;
            }
        };
        let latency_us = observation.latency_us.min(MAX_LATENCY_US);
        if self.latency.len() >= u64::from(u32::MAX) || self.latency.record(latency_us).is_err() {
            return false;
        }
        *class = class.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(latency_us);
        self.count_grpc(observation.grpc_status);
        true
    }

    fn count_grpc(&mut self, status: Option<u32>) {
        let Some(status) = status else { return };
        if self.grpc.is_empty() {
            self.grpc.resize(GRPC_STATUSES, 0);
        }
        let known = if (status as usize) < GRPC_STATUSES { status } else { GRPC_UNKNOWN };
        if let Some(count) = self.grpc.get_mut(known as usize) {
            *count = count.saturating_add(1);
        }
    }

    fn freeze(&mut self, serializer: &mut V2Serializer) -> Option<RouteWindow> {
        let answered = self.latency.len();
        if answered == 0 && self.aborted == 0 {
            self.idle = self.idle.saturating_add(1);
            return None;
        }
        self.idle = 0;
        let mut latency_hdr_v2 = Vec::new();
        if answered > 0 {
            // Writing to a Vec cannot fail, and 32-bit counts always fit.
            let _ = serializer.serialize(&self.latency, &mut latency_hdr_v2);
        }
        let grpc = self.grpc.iter().zip(0_u32..).filter(|(count, _)| **count > 0);
        let window = RouteWindow {
            direction: self.direction.into(),
            callee: self.callee.clone(),
            route: self.route.clone(),
            peer: self.peer.clone(),
            ok: self.ok,
            client_error: self.client_error,
            server_error: self.server_error,
            aborted: self.aborted,
            grpc: grpc.map(|(count, status)| GrpcCount { status, count: *count }).collect(),
            sum_us: self.sum_us,
            latency_hdr_v2,
            peer_node: String::new(),
        };
        [self.ok, self.client_error, self.server_error, self.aborted, self.sum_us] = [0; 5];
        self.grpc.iter_mut().for_each(|count| *count = 0);
        self.latency.reset();
        Some(window)
    }
}

/// Encodes a key into `out`: direction, then each part with its length, so that no two keys are alike.
fn encode_key(out: &mut Vec<u8>, key: &RouteKey<'_>) {
    out.clear();
    out.push(key.direction as u8);
    for part in [key.callee, key.route, key.peer] {
        out.extend_from_slice(&(part.len() as u32).to_le_bytes());
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
