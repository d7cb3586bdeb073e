//! Requests of one minute, sampled: own time on the node, then the answers that are waited for.

use super::setup::{Setup, cores_of_limit};
use super::trouble::Faulty;
use crate::random::{Draw, Key};
use crate::sharing::{Between, Slowdowns};

/// One sampled request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Its latency, ms.
    pub(super) ms: f32,
    pub(super) lane: u16,
    pub(super) failed: bool,
}

/// Quantile tables of what is drawn for each request, all of mean 1.
#[derive(Debug)]
pub(super) struct Tables {
    size: [f32; 256],
    wait: [f32; 256],
    jitter: [f32; 256],
}

/// Spread of the CPU of a request around its service's mean.
const SIZE_SIGMA: f64 = 0.6;
/// Spread of the time without CPU.
const WAIT_SIGMA: f64 = 0.7;
/// Calls of one request on one edge that are sampled one by one; more of them are as long as these on average.
const MOST_CALLS: u32 = 32;
/// Spread of a round trip for which the delay's own jitter is a factor.
const JITTER_SIGMA: f64 = 1.0;

impl Tables {
    pub(super) fn new() -> Self {
        Self { size: lognormal(SIZE_SIGMA), wait: lognormal(WAIT_SIGMA), jitter: lognormal(JITTER_SIGMA) }
    }
}

/// 256 values in random order whose distribution is lognormal with mean 1.
fn lognormal(sigma: f64) -> [f32; 256] {
    let mut sorted: Vec<f64> =
        (0..65_536_u64).map(|at| Key::new(0, Draw::Visit).with(at).lognormal(sigma)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut values = [0.0; 256];
    for (value, part) in values.iter_mut().zip(sorted.chunks(256)) {
        *value = part.iter().sum::<f64>() / part.len() as f64;
    }
    let mean = values.iter().sum::<f64>() / 256.0;
    values.map(|value| (value / mean) as f32)
}

/// A replica as its requests meet it in this minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) node: u16,
    /// Share of the service's requests on this lane and those before it.
    pub(super) up_to: f32,
    /// CPU of a mean request at the node's speed, ms.
    pub(super) demand_ms: f32,
    pub(super) between: Between,
    /// Slowdown of a mean request of the node by work that waits from before.
    pub(super) backlog: f32,
    /// Mean request of the service over the mean request of the node.
    pub(super) relative: f32,
    /// With a CPU limit: least slowdown, its table rows, and the slowdown by what was throttled before.
    pub(super) limit: Option<(f32, Between, f32)>,
    /// Share of requests that are dropped because work waits for longer than the time-out.
    pub(super) dropped: f32,
}

/// The calls of one edge from one lane of the caller to one lane of the callee.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) from: u16,
    pub(super) to: u16,
    /// Mean round trip, ms.
    pub(super) delay_ms: f32,
    /// Round trips that the sampled calls met, ms.
    pub(super) sum_ms: f32,
    /// Sampled calls.
    pub(super) count: u32,
}

/// The pairs of one edge, by lane of the caller and then of the callee.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    pub(super) all: Vec<Pair>,
    /// Lanes of the callee.
    to: usize,
}

impl Pairs {
    /// Nothing sampled yet, between lanes on these nodes.
    pub(super) fn reset(&mut self, setup: &Setup, from: &[u16], to: &[u16]) {
        self.all.clear();
        self.to = to.len();
        for &a in from {
            for &b in to {
                let delay_ms = setup.delay_ms[usize::from(a) * setup.nodes.len() + usize::from(b)];
                self.all.push(Pair { from: a, to: b, delay_ms, sum_ms: 0.0, count: 0 });
            }
        }
    }
}

/// Everything that the samples of one service depend on.
pub(super) struct Visits<'a> {
    pub(super) setup: &'a Setup,
    pub(super) tables: &'a Tables,
    pub(super) service: usize,
    pub(super) key: Key,
    pub(super) lanes: &'a [Lane],
    pub(super) fault: Faulty,
    /// Flows that visit the service, with the share of the visits up to and with each.
    pub(super) flows: &'a [(f32, usize)],
}

impl Visits<'_> {
    /// Fills `out` with `count` requests; `callees` are the samples of all services, those of callees ready.
    pub(super) fn sample(
        &self,
        count: usize,
        callees: &[Vec<Sample>],
        pairs: &mut [Pairs],
        out: &mut Vec<Sample>,
    ) {
        out.clear();
        if self.lanes.is_empty() {
            return;
        }
        let limited = self.setup.services[self.service].limit_m.and_then(|limit| {
            let cores = cores_of_limit(limit);
            self.setup.limited.iter().find(|known| known.0 == cores).map(|known| &*known.1)
        });
        let wait_ms = self.setup.services[self.service].wait_ms as f32;
        let (latency, added) = (self.fault.latency as f32, self.fault.added_ms as f32);
        let errors = (self.fault.errors + self.setup.spec.requests.error_share) as f32;
        let timeout = self.setup.spec.requests.timeout_ms as f32;
        for number in 0..count {
            let key = self.key.with(number as u64);
            let bits = key.draw(0);
            let at = fraction(bits >> 40);
            let number = self.lanes.iter().position(|lane| at < lane.up_to).unwrap_or(0);
            let lane = &self.lanes[number];
            let node = &*self.setup.nodes[usize::from(lane.node)].slowdowns;
            let own = self.own_ms(lane, bits, node, limited);
            let wait = wait_ms * self.tables.wait[(bits >> 16 & 255) as usize];
            let chance = key.draw(1);
            let mut sample =
                Sample { ms: (own + wait) * latency + added, lane: number as u16, failed: false };
            sample.failed = fraction(chance >> 40) < errors || fraction(chance) < lane.dropped;
            self.call(key, &mut sample, callees, pairs);
            if sample.ms > timeout {
                sample.ms = timeout;
                sample.failed = true;
            }
            out.push(sample);
        }
    }

    /// Time on the node, CPU limits included.
    #[inline]
    fn own_ms(&self, lane: &Lane, bits: u64, node: &Slowdowns, limited: Option<&Slowdowns>) -> f32 {
        let size = self.tables.size[(bits & 255) as usize];
        let relative = size * lane.relative;
        let mut slowdown = node.sample(lane.between, relative, bits >> 8) + lane.backlog;
        if let (Some((least, between, throttled)), Some(table)) = (lane.limit, limited) {
            let held = least * (table.sample(between, size, bits >> 24) + throttled);
            slowdown = slowdown.max(held);
        }
        size * lane.demand_ms * slowdown
    }

    /// Adds the answers of the callees, one after the other.
    #[inline]
    fn call(&self, key: Key, sample: &mut Sample, callees: &[Vec<Sample>], pairs: &mut [Pairs]) {
        let Some(flow) = self.flow(key) else { return };
        let timeout = self.setup.spec.requests.timeout_ms as f32;
        let jitter = self.setup.spec.network.jitter as f32;
        for &edge in &self.setup.services[self.service].out {
            let callee = &callees[self.setup.edges[edge].to];
            let mean = flow.calls_each[edge];
            if mean <= 0.0 || !self.setup.edges[edge].sync || callee.is_empty() {
                continue;
            }
            let key = key.with(100 + edge as u64);
            let pairs = &mut pairs[edge];
            let first = usize::from(sample.lane) * pairs.to;
            let whole = mean as u32;
            let calls = whole + u32::from(fraction(key.draw(0)) < mean - whole as f32);
            let sampled = calls.min(MOST_CALLS);
            let weight = calls as f32 / sampled.max(1) as f32;
            for call in 0..sampled {
                let mut failed = true;
                for attempt in 0..=self.setup.spec.requests.retries {
                    let bits = key.draw(u64::from(call * 4 + attempt) + 1);
                    let answer = callee[((bits >> 32) as usize * callee.len()) >> 32];
                    let pair = &mut pairs.all[first + usize::from(answer.lane)];
                    let varied = 1.0 - jitter + jitter * self.tables.jitter[(bits & 255) as usize];
                    let delay = pair.delay_ms * varied;
                    pair.sum_ms += delay;
                    pair.count += 1;
                    sample.ms += (answer.ms + delay).min(timeout) * weight;
                    failed = answer.failed;
                    if !failed {
                        break;
                    }
                }
                sample.failed |= failed;
            }
        }
    }

    #[inline]
    fn flow(&self, key: Key) -> Option<&super::setup::Flow> {
        let flow = match self.flows {
            [] => return None,
            [(_, only)] => *only,
            flows => {
                let at = fraction(key.draw(2));
                flows.iter().find(|(up_to, _)| at < *up_to).map_or(flows[0].1, |found| found.1)
            }
        };
        self.setup.flows.get(flow)
    }
}

/// The lower 24 bits as a number in [0, 1).
#[inline]
fn fraction(bits: u64) -> f32 {
    (bits & 0xff_ffff) as f32 * (1.0 / 16_777_216.0)
}
