//! Who waits for whom, as indices: in an order in which every callee comes before its callers.
use crate::{ids::ServiceId, learned::CallGraph};

/// Calls from one service to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    /// Index of the service that calls.
    pub(super) caller: u32,
    /// Index of the service that is called.
    pub(super) callee: u32,
    /// Calls for one request of the caller, retries included.
    pub(super) calls: f32,
    /// Whether the caller waits for the answer, and the call closes no cycle.
    pub(super) waits: bool,
}

/// All calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    /// Sorted by caller.
    pub(super) edges: Vec<Edge>,
    /// First edge of each service, and one past the last at the end.
    first: Vec<u32>,
    /// Edges into each service, one service after the other.
    into: Vec<u32>,
    first_into: Vec<u32>,
    /// Services, callees before callers.
    pub(super) order: Vec<u32>,
    /// Place of each service in that order.
    pub(super) rank: Vec<u32>,
}

impl Calls {
    /// From the learned graph; calls of services that are not in `services`, which is sorted, are left out.
    pub(super) fn new(graph: &CallGraph, services: &[ServiceId]) -> Self {
        let index = |service: &ServiceId| services.binary_search(service).ok().map(|ix| ix as u32);
        let mut edges = Vec::new();
        for (caller, calls) in &graph.0 {
            let Some(from) = index(caller) else { continue };
            for call in calls {
                let Some(callee) = index(&call.callee).filter(|callee| *callee != from) else { continue };
                let per_request = call.per_request * (1.0 + call.retries.max(0.0));
                if per_request.is_finite() && per_request > 0.0 {
                    edges.push(Edge { caller: from, callee, calls: per_request as f32, waits: call.waits });
                }
            }
        }
        edges.sort_by_key(|edge| (edge.caller, edge.callee));
        let mut calls = Self { edges, ..Self::default() };
        calls.first = starts(services.len(), calls.edges.iter().map(|edge| edge.caller));
        calls.sort();
        let mut into: Vec<u32> = (0..calls.edges.len() as u32).collect();
        into.sort_by_key(|edge| (calls.edges[*edge as usize].callee, *edge));
        calls.first_into = starts(services.len(), into.iter().map(|edge| calls.edges[*edge as usize].callee));
        calls.into = into;
        calls
    }

    /// Depth first, callees before callers; a call back into what is open would be waited for without end and is cut.
    fn sort(&mut self) {
        const NEW: u8 = 0;
        const OPEN: u8 = 1;
        const DONE: u8 = 2;
        let count = self.first.len() - 1;
        let mut state = vec![NEW; count];
        let mut stack: Vec<(u32, u32)> = Vec::new();
        self.order = Vec::with_capacity(count);
        for root in 0..count as u32 {
            if state[root as usize] != NEW {
                continue;
            }
            state[root as usize] = OPEN;
            stack.push((root, self.first[root as usize]));
            while let Some((service, next)) = stack.last_mut() {
                let at = *next as usize;
                if at == self.first[*service as usize + 1] as usize {
                    state[*service as usize] = DONE;
                    self.order.push(*service);
                    stack.pop();
                    continue;
                }
                *next += 1;
                let edge = &mut self.edges[at];
                if !edge.waits {
                    continue;
                }
                match state[edge.callee as usize] {
                    NEW => {
                        state[edge.callee as usize] = OPEN;
                        stack.push((edge.callee, self.first[edge.callee as usize]));
                    }
                    OPEN => edge.waits = false,
                    _ => {}
                }
            }
        }
        self.rank = vec![0; count];
        for (rank, service) in self.order.iter().enumerate() {
            self.rank[*service as usize] = rank as u32;
        }
    }

    /// Indices of the calls that a service makes.
    pub(super) fn of(&self, service: usize) -> std::ops::Range<usize> {
        self.first[service] as usize..self.first[service + 1] as usize
    }

    /// Indices of the calls that a service gets.
    pub(super) fn reaching(&self, service: usize) -> &[u32] {
        &self.into[self.first_into[service] as usize..self.first_into[service + 1] as usize]
    }
}

/// Where each key's run begins in a sorted list of keys below `count`, and its length at the end.
pub(super) fn starts(count: usize, keys: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut starts = vec![0; count + 1];
    for key in keys {
        starts[key as usize + 1] += 1;
    }
    for at in 0..count {
        starts[at + 1] += starts[at];
    }
    starts
}
