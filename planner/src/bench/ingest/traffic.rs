//! Summaries as busy proxies would send them.
use super::IngestBench;
use foremesh_core::time::Timestamp;
use foremesh_models::SplitMix;
use foremesh_summary::{
    Accumulator, MAJOR, MINOR,
    wire::{Direction, Proxy, RouteWindow, WindowSummary},
};

/// Windows that a proxy repeats in turn; building histograms for each summary would only load the sender.
const WINDOWS: usize = 8;
/// Length of a window in milliseconds.
const WINDOW_MS: u64 = 2000;

/// One proxy: what it sends next.
pub(super) struct Traffic {
    windows: Vec<Vec<RouteWindow>>,
    message: WindowSummary,
}

impl Traffic {
    pub(super) fn new(bench: &IngestBench, number: usize) -> Self {
        let mut random = SplitMix::new(bench.seed ^ ((number as u64) << 32));
        let service = |route| (number * bench.routes + route) % bench.services;
        let mut window =
            || (0..bench.routes).map(|route| window(&mut random, route, service(route))).collect();
        let windows = (0..WINDOWS).map(|_| window()).collect();
        let message = WindowSummary {
            major: MAJOR,
            minor: MINOR,
            proxy: Some(Proxy {
                mesh: "mesh".to_owned(),
                cluster: "bench".to_owned(),
                namespace: "shop".to_owned(),
                workload: format!("workload-{number}"),
                pod: format!("workload-{number}-6d9c7b5f4-{:05x}", number * 7919),
                node: format!("node-{}", number % bench.nodes),
                zone: format!("zone-{}", number % bench.nodes % 3),
            }),
            epoch: (number as u64 + 1) << 22,
            ..WindowSummary::default()
        };
        Self { windows, message }
    }

    /// The next summary, of the window that ends at `now`.
    pub(super) fn next(&mut self, now: Timestamp) -> &WindowSummary {
        let message = &mut self.message;
        if let Some(routes) = self.windows.get(message.sequence as usize % WINDOWS) {
            message.routes.clone_from(routes);
        }
        message.sequence += 1;
        message.end_unix_ms = now.unix_ms().max(0).unsigned_abs();
        message.start_unix_ms = message.end_unix_ms.saturating_sub(WINDOW_MS);
        message.cumulative += observations(message);
        message
    }
}

/// Observations of a summary.
pub(super) fn observations(message: &WindowSummary) -> u64 {
    message.routes.iter().map(RouteWindow::observations).sum()
}

/// 100 to 500 observations, log-normal around a median of the route's own from 1 to 40 ms, with a heavy tail of 2 %.
pub(in crate::bench) fn window(random: &mut SplitMix, number: usize, service: usize) -> RouteWindow {
    let inbound = number.is_multiple_of(5);
    let count = 100 + random.next_u64() % 401;
    let median_us = 1000.0 * (1.0 + (number * 13 % 40) as f64);
    let mut latency = Accumulator::default();
    let mut sum_us = 0;
    for _ in 0..count {
        // The sum of 12 uniform numbers is close to normal, which is enough here.
        let normal: f64 = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let tail = if random.unit() < 0.02 { 4.0 + 12.0 * random.unit() } else { 1.0 };
        let us = (median_us * (0.4 * normal).exp() * tail) as u64;
        latency.record(us);
        sum_us += us;
    }
    let (server_error, client_error) = (count / 200, count / 100);
    RouteWindow {
        direction: if inbound { Direction::Inbound } else { Direction::Outbound } as i32,
        callee: format!("service-{service}.shop.svc.cluster.local"),
        route: format!("route-{number}"),
        peer: if inbound { format!("caller-{}", number % 7) } else { String::new() },
        ok: count - server_error - client_error,
        client_error,
        server_error,
        aborted: count / 150,
        grpc: Vec::new(),
        sum_us,
        latency_hdr_v2: latency.encode(),
        peer_node: String::new(),
    }
}

/// Mean size of the summaries of a run.
pub(super) fn mean_bytes(bench: &IngestBench) -> f64 {
    let mut traffic = Traffic::new(bench, 0);
    let now = Timestamp::from_unix_ms(1_800_000_000_000);
    let bytes: usize = (0..WINDOWS).map(|_| prost::Message::encoded_len(traffic.next(now))).sum();
    bytes as f64 / WINDOWS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planner_would_take_every_summary() {
        let bench = IngestBench {
            proxies: 2,
            routes: 50,
            services: 30,
            nodes: 3,
            seconds: 1.0,
            seed: 1,
            runs: 1,
            history_hours: None,
            folder: None,
            server: Vec::new(),
        };
        for number in 0..2 {
            let mut traffic = Traffic::new(&bench, number);
            let mut sent = 0;
            for sequence in 1..=20 {
                let message = traffic.next(Timestamp::from_unix_ms(1_800_000_000_000));
                foremesh_summary::check(message, &foremesh_summary::Limits::default()).unwrap();
                sent += observations(message);
                assert_eq!(
                    (message.sequence, message.cumulative, message.routes.len()),
                    (sequence, sent, 50)
                );
            }
        }
    }
}
