//! How long one core takes to decode and check a summary of 50 routes, and to merge its histograms.
//!
//! `cargo run --release -p foremesh-summary --example decode_speed`
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
use foremesh_summary::{
    Accumulator, Class, Direction, Frame, Limits, Observation, Proxy, Recorder, RouteKey, Settings, decode,
    encode, merge_v2,
};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

const ROUTES: u64 = 50;
/// Requests of each route in a window: 50 routes with 5000 requests a second for two seconds.
const REQUESTS: u64 = 200;
const ROUNDS: u32 = 2000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut recorder = Recorder::new(1, 0, Settings::default());
    let mut state = 1_u64;
    for at in 0..ROUTES * REQUESTS {
        // A linear congruential generator (Knuth's MMIX constants) makes a spread from 0.5 to 30 ms.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let latency_us = 500 + ((state >> 40) % 173).pow(2);
        let route = format!("checkout-{}", at % ROUTES);
        let key = RouteKey {
            direction: Direction::Outbound,
            callee: b"checkout.shop.svc.cluster.local",
            route: route.as_bytes(),
            peer: b"",
        };
        recorder.record(&key, Observation { class: Class::Ok, latency_us, grpc_status: None });
    }
    let proxy = Proxy { workload: "web".into(), pod: "web-1".into(), ..Proxy::default() };
    let summary = recorder
        .freeze(2000, &Frame { proxy: &proxy, failed_pushes: 0, config_error: "" })
        .ok_or("nothing was recorded")?;
    let body = encode(&summary);
    println!("body: {} bytes, {ROUTES} routes, {} observations", body.len(), summary.cumulative);

    let began = Instant::now();
    for _ in 0..ROUNDS {
        black_box(decode(black_box(&body), &Limits::default())?);
    }
    println!("decode and check: {:?} for each summary", began.elapsed() / ROUNDS);

    let mut sums = vec![Accumulator::new(); summary.routes.len()];
    let began = Instant::now();
    for _ in 0..ROUNDS {
        for (sum, route) in sums.iter_mut().zip(&summary.routes) {
            merge_v2(sum, &route.latency_hdr_v2)?;
        }
    }
    println!("merge of all histograms: {:?} for each summary", began.elapsed() / ROUNDS);
    Ok(())
}
