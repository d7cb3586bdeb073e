//! Observations that are durable in the inbox and not in steps yet, added up by series and base step.
use super::super::{Counts, Histogram, OTHER, SeriesKey};
use foremesh_core::time::{Step, Timestamp};
use foremesh_summary::{
    merge_checked,
    wire::{Direction, Proxy, RouteWindow, WindowSummary},
};
use std::collections::{BTreeMap, HashMap};

/// Sum of the observations of one series in one base step.
#[derive(Debug, Default)]
pub(super) struct OpenStep {
    pub(super) counts: Counts,
    pub(super) grpc: BTreeMap<u32, u64>,
    pub(super) latency: Histogram,
}

impl OpenStep {
    fn add(&mut self, route: &RouteWindow) {
        self.counts.add(&Counts {
            ok: route.ok,
            client_error: route.client_error,
            server_error: route.server_error,
            aborted: route.aborted,
            sum_us: route.sum_us,
        });
        for grpc in &route.grpc {
            let count = self.grpc.entry(grpc.status).or_default();
            *count = count.saturating_add(grpc.count);
        }
        if !route.latency_hdr_v2.is_empty()
            && let Err(error) = merge_checked(&mut self.latency, &route.latency_hdr_v2)
        {
            // Checked when it was received, so this is a defect; the counts are kept.
            tracing::error!(%error, "checked histogram cannot be merged");
        }
    }
}

/// Known series, and which of them the file lacks.
#[derive(Debug, Default)]
pub(super) struct SeriesTable {
    ids: HashMap<Box<str>, u32>,
    keys: BTreeMap<u32, SeriesKey>,
    /// Highest id that the file has.
    saved: u32,
    limit: usize,
    scratch: String,
}

impl SeriesTable {
    /// An empty table that tells at most `limit` series apart, the two overflow series not counted.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Puts back a series of the file.
    pub(super) fn restore(&mut self, id: u32, key: SeriesKey) {
        self.write_scratch(key.direction, [&key.caller, &key.callee, &key.route, &key.node, &key.zone]);
        self.insert(id, key);
        self.saved = self.saved.max(id);
    }

    fn write_scratch(&mut self, direction: Direction, names: [&str; 5]) {
        self.scratch.clear();
        self.scratch.push(if direction == Direction::Inbound { 'i' } else { 'o' });
        for name in names {
            self.scratch.push_str(name);
            // Names hold no control characters, so this one cannot be part of a name.
            self.scratch.push('\0');
        }
    }

    fn insert(&mut self, id: u32, key: SeriesKey) -> u32 {
        self.keys.insert(id, key);
        self.ids.insert(self.scratch.as_str().into(), id);
        id
    }

    /// Id of the series of a route that a proxy reports. Ids start at 1, as row ids do.
    fn id(&mut self, proxy: &Proxy, route: &RouteWindow) -> u32 {
        let direction = route.direction();
        let caller = if direction == Direction::Inbound { &route.peer } else { &proxy.workload };
        self.lookup(direction, [caller, &route.callee, &route.route, &proxy.node, &proxy.zone])
    }

    /// Id of the series of the same observations at the node of the replica that answered, where the caller's proxy knows it.
    /// What that replica did is known then without a proxy beside it.
    fn id_at_peer(&mut self, proxy: &Proxy, route: &RouteWindow) -> Option<u32> {
        let located = route.direction() == Direction::Outbound && !route.peer_node.is_empty();
        let names = [&proxy.workload, &route.callee, &route.route, &route.peer_node, ""];
        located.then(|| self.lookup(Direction::Inbound, names))
    }

    fn lookup(&mut self, direction: Direction, names: [&str; 5]) -> u32 {
        self.write_scratch(direction, names);
        if let Some(id) = self.ids.get(self.scratch.as_str()) {
            return *id;
        }
        let overflow = [OTHER; 5];
        if self.keys.len() >= self.limit && names != overflow {
            return self.lookup(direction, overflow);
        }
        let [from, to, route, node, zone] = names.map(str::to_owned);
        let id = self.last_id() + 1;
        self.insert(id, SeriesKey { direction, caller: from, callee: to, route, node, zone })
    }

    fn last_id(&self) -> u32 {
        self.keys.last_key_value().map_or(0, |(id, _)| *id)
    }

    /// Series that the file lacks, with their ids.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = (u32, &SeriesKey)> {
        self.keys.range(self.saved + 1..).map(|(id, key)| (*id, key))
    }

    /// The file has them all now.
    pub(super) fn saved(&mut self) {
        self.saved = self.last_id();
    }

    pub(super) fn key(&self, id: u32) -> Option<&SeriesKey> {
        self.keys.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// The step that a summary belongs to: see the module documentation of [`crate::store`].
pub(super) fn step_of(message: &WindowSummary, received: Timestamp, step: Step) -> (Timestamp, bool) {
    let half = message.end_unix_ms.saturating_sub(message.start_unix_ms) / 2;
    let midpoint = i64::try_from(message.start_unix_ms.saturating_add(half)).unwrap_or(i64::MAX);
    let ahead = midpoint > received.unix_ms();
    (step.floor(Timestamp::from_unix_ms(midpoint.min(received.unix_ms()))), ahead)
}

/// All open steps.
#[derive(Debug, Default)]
pub(super) struct OpenSteps {
    held: HashMap<(u32, Timestamp), OpenStep>,
}

impl OpenSteps {
    /// Adds a checked summary to the step that starts at `start`.
    pub(super) fn add(
        &mut self,
        table: &mut SeriesTable,
        proxy: &Proxy,
        message: &WindowSummary,
        start: Timestamp,
    ) {
        // A route without an observation makes no step, so that a step means traffic.
        for route in message.routes.iter().filter(|route| route.observations() > 0) {
            for id in [Some(table.id(proxy, route)), table.id_at_peer(proxy, route)].into_iter().flatten() {
                self.held.entry((id, start)).or_default().add(route);
            }
        }
    }

    /// The open steps in the order of their place in the file.
    pub(super) fn sorted(&self) -> Vec<(u32, Timestamp, &OpenStep)> {
        let mut list: Vec<_> = self.held.iter().map(|((id, start), open)| (*id, *start, open)).collect();
        list.sort_unstable_by_key(|(id, start, _)| (*start, *id));
        list
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}
