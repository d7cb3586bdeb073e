//! The queue of events, and what each does.
//!
//! A node that shares its CPU keeps a clock of the work that each request on it has got so far: a request ends when
//! that clock has gone on by its demand, whoever comes and goes meanwhile.
//!
//! Every source of requests, and every request, draws from a stream of its own. So two layouts that are simulated with
//! one seed meet the same requests with the same demands at the same times: common random numbers, which take most of
//! the chance out of the difference between the two (Law, "Simulation modeling and analysis", on synchronisation).
use super::{EventMesh, shape::exponential};
use crate::splitmix::SplitMix;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Nobody waits for this request.
const NOBODY: u32 = u32::MAX;
/// A request of something else: it ends, and that is all.
const OTHER: u32 = u32::MAX - 1;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A request comes from outside.
    Arrival(u32),
    /// A request of something else on a node.
    Other(u32),
    /// The next request on a node ends, if nothing has changed there since.
    Ends(u32, u32),
    /// A request goes on after a wait.
    GoesOn(u32),
}

/// A request on its way.
#[derive(Clone, Debug)]
struct Request {
    service: u32,
    caller: u32,
    start: f64,
    /// Whether its own wait is over.
    waited: bool,
    /// Call that is being made.
    call: u32,
    /// How often that call is still to be made.
    left: u32,
    /// What is left to chance of this request.
    random: SplitMix,
}

#[derive(Clone, Debug, Default)]
struct Sharing {
    cores: f64,
    /// Work that each request has got since the beginning, in milliseconds.
    clock: f64,
    at: f64,
    version: u32,
    /// When each request ends by that clock. Times are never negative, so their bits are in order.
    ends: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Sharing {
    fn rate(&self) -> f64 {
        (self.cores / self.ends.len().max(1) as f64).min(1.0)
    }

    fn advance(&mut self, now: f64) {
        self.clock += (now - self.at) * self.rate();
        self.at = now;
    }
}

pub(super) struct Machine<'m> {
    mesh: &'m EventMesh,
    /// Stream of each service's arrivals from outside.
    arrivals: Vec<SplitMix>,
    /// Stream of everything else on each node.
    others: Vec<SplitMix>,
    now: f64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    nodes: Vec<Sharing>,
    requests: Vec<Request>,
    free: Vec<u32>,
    /// Since when times are kept.
    since: f64,
    times: Vec<Vec<f32>>,
}

impl<'m> Machine<'m> {
    pub(super) fn new(mesh: &'m EventMesh, seed: u64) -> Self {
        let nodes = mesh.nodes.iter().map(|node| Sharing { cores: node.cores, ..Sharing::default() });
        let mut seeds = SplitMix::new(seed);
        let mut streams = |count: usize| (0..count).map(|_| seeds.split()).collect();
        Self {
            mesh,
            arrivals: streams(mesh.services.len()),
            others: streams(mesh.nodes.len()),
            now: 0.0,
            sequence: 0,
            events: BinaryHeap::new(),
            nodes: nodes.collect(),
            requests: Vec::new(),
            free: Vec::new(),
            since: f64::INFINITY,
            times: vec![Vec::new(); mesh.services.len()],
        }
    }

    pub(super) fn run(mut self, requests: usize) -> Vec<Vec<f32>> {
        for service in 0..self.mesh.services.len() as u32 {
            self.next_arrival(service);
        }
        for node in 0..self.mesh.nodes.len() as u32 {
            self.next_other(node);
        }
        let mut come = 0;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = f64::from_bits(at);
            match event {
                Event::Arrival(service) => {
                    come += 1;
                    if come > requests {
                        break;
                    }
                    if come > requests / 10 {
                        self.since = self.since.min(self.now);
                    }
                    let random = self.arrivals[service as usize].split();
                    self.next_arrival(service);
                    self.begin(service, NOBODY, random);
                }
                Event::Other(node) => {
                    let demand = self.mesh.nodes[node as usize].others;
                    let demand_ms = demand.draw(&mut self.others[node as usize]);
                    self.next_other(node);
                    self.work(node as usize, demand_ms, OTHER);
                }
                Event::Ends(node, version) => self.end_of_work(node as usize, version),
                Event::GoesOn(request) => self.go_on(request),
            }
            // Without arrivals from outside other things would go on for ever.
            if come == 0 && self.sequence > requests as u64 * 2 + 1000 {
                break;
            }
        }
        self.times
    }

    fn push(&mut self, in_ms: f64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse(((self.now + in_ms.max(0.0)).to_bits(), self.sequence, event)));
    }

    fn next_arrival(&mut self, service: u32) {
        let rate = self.mesh.services[service as usize].arrivals_per_second;
        if rate > 0.0 {
            let gap_ms = exponential(&mut self.arrivals[service as usize]) * 1e3 / rate;
            self.push(gap_ms, Event::Arrival(service));
        }
    }

    fn next_other(&mut self, node: u32) {
        let rate = self.mesh.nodes[node as usize].others_per_second;
        if rate > 0.0 {
            let gap_ms = exponential(&mut self.others[node as usize]) * 1e3 / rate;
            self.push(gap_ms, Event::Other(node));
        }
    }

    /// A request begins on one of the service's replicas.
    fn begin(&mut self, service: u32, caller: u32, mut random: SplitMix) {
        let model = &self.mesh.services[service as usize];
        let mut draw = random.unit();
        let demand_ms = model.demand.draw(&mut random);
        let new = Request { service, caller, start: self.now, waited: false, call: 0, left: 0, random };
        let id = if let Some(id) = self.free.pop() {
            self.requests[id as usize] = new;
            id
        } else {
            self.requests.push(new);
            self.requests.len() as u32 - 1
        };
        let chosen = model.replicas.iter().find(|(_, share)| {
            draw -= share;
            draw < 0.0
        });
        match chosen.or(model.replicas.last()) {
            Some((node, _)) => self.work(*node, demand_ms, id),
            None => self.go_on(id),
        }
    }

    fn work(&mut self, node: usize, demand_ms: f64, id: u32) {
        let sharing = &mut self.nodes[node];
        sharing.advance(self.now);
        sharing.ends.push(Reverse(((sharing.clock + demand_ms).to_bits(), id)));
        self.schedule(node);
    }

    fn schedule(&mut self, node: usize) {
        let sharing = &mut self.nodes[node];
        sharing.version = sharing.version.wrapping_add(1);
        if let Some(Reverse((end, _))) = sharing.ends.peek() {
            let in_ms = (f64::from_bits(*end) - sharing.clock) / sharing.rate();
            let event = Event::Ends(node as u32, sharing.version);
            self.push(in_ms, event);
        }
    }

    fn end_of_work(&mut self, node: usize, version: u32) {
        let sharing = &mut self.nodes[node];
        if sharing.version != version {
            return;
        }
        sharing.advance(self.now);
        let ended = sharing.ends.pop();
        self.schedule(node);
        if let Some(Reverse((_, id))) = ended
            && id != OTHER
        {
            self.go_on(id);
        }
    }

    /// What comes after a request's own work, or after one of its calls.
    fn go_on(&mut self, id: u32) {
        let mesh = self.mesh;
        loop {
            let request = &mut self.requests[id as usize];
            let service = &mesh.services[request.service as usize];
            if !request.waited {
                request.waited = true;
                if service.wait_ms > 0.0 {
                    self.push(service.wait_ms, Event::GoesOn(id));
                    return;
                }
            }
            if request.left > 0 {
                request.left -= 1;
                let callee = service.calls[request.call as usize - 1].callee as u32;
                let random = request.random.split();
                self.begin(callee, id, random);
                return;
            }
            let Some(call) = service.calls.get(request.call as usize) else {
                self.end(id);
                return;
            };
            request.call += 1;
            let one_more = request.random.unit() < call.calls.fract();
            let count = call.calls.floor() as u32 + u32::from(one_more);
            if call.waits {
                request.left = count;
            } else {
                for _ in 0..count {
                    let random = self.requests[id as usize].random.split();
                    self.begin(call.callee as u32, NOBODY, random);
                }
            }
        }
    }

    fn end(&mut self, id: u32) {
        let Request { service, caller, start, .. } = self.requests[id as usize];
        if start >= self.since {
            self.times[service as usize].push((self.now - start) as f32);
        }
        self.free.push(id);
        if caller != NOBODY {
            let waiting = &self.requests[caller as usize];
            let call = &self.mesh.services[waiting.service as usize].calls[waiting.call as usize - 1];
            self.push(call.distance_ms, Event::GoesOn(caller));
        }
    }
}
