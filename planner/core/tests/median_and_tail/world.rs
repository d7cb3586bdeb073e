//! Services whose latencies are log-normal around a median that follows the day, with a tail that drifts. Requests are
//! recorded one by one as the store does, and tails are read from the merged histograms of about an hour.
use foremesh_core::{
    history::{KEPT_QUANTILES, ServiceHistory, ServiceStep},
    tail::Tail,
    time::{Step, Timestamp},
};
use foremesh_summary::Accumulator;
use std::{collections::VecDeque, f64::consts::TAU};

/// The 0.99 quantile of the standard normal distribution.
const NORMAL_99: f64 = 2.3263;

/// Numbers from a linear congruential generator (Knuth's MMIX constants).
pub(crate) struct Random(pub u64);

impl Random {
    /// From 0 to 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.uniform()
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }
}

/// A service's history with the quantile that its requests were drawn from.
pub(crate) struct World {
    pub(crate) history: ServiceHistory,
    /// Logarithm of the true p99 in milliseconds of each step.
    pub(crate) log_p99: Vec<f64>,
}

/// What is generated.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) step: Step,
    /// Steps of a day, of which an hour is the 24th part.
    pub(crate) day: usize,
    pub(crate) days: usize,
    /// Mean requests of a step.
    pub(crate) requests: usize,
}

pub(crate) fn world(setting: &Setting, service: u64) -> World {
    let mut random = Random((service + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // Normal deviates are drawn from a table: the test draws some ten million of them.
    let table: Vec<f64> = (0..1 << 14).map(|_| random.normal()).collect();
    let (log_base, height, phase) =
        (random.between(8.5, 11.5), random.between(0.1, 0.5), random.uniform() * TAU);
    let (usual_spread, tail_height, tail_phase) =
        (random.between(0.4, 0.8), random.between(0.0, 0.2), random.uniform() * TAU);
    // Both wander about the daily pattern: the median by hours, the tail by about a day.
    let hour = setting.day as f64 / 24.0;
    let (median_keep, tail_keep) = ((-1.0 / (2.0 * hour)).exp(), (-1.0 / (24.0 * hour)).exp());
    let (mut median_off, mut tail_off) = (0.0, 0.0);
    let mut window: VecDeque<Accumulator> = VecDeque::new();
    let (mut steps, mut log_p99) = (Vec::new(), Vec::new());
    for index in 0..setting.day * setting.days {
        let angle = TAU * index as f64 / setting.day as f64;
        median_off =
            median_keep * median_off + 0.08 * (1.0 - median_keep * median_keep).sqrt() * random.normal();
        tail_off = tail_keep * tail_off + 0.25 * (1.0 - tail_keep * tail_keep).sqrt() * random.normal();
        let log_median = log_base + height * (angle + phase).sin() + median_off;
        let spread = usual_spread * (tail_height * (angle + tail_phase).sin() + tail_off).exp();
        log_p99.push(log_median + NORMAL_99 * spread - 1000.0_f64.ln());
        let mean = setting.requests as f64 * (1.0 + 0.4 * (angle + phase).sin());
        let requests = (mean + mean.sqrt() * random.normal()).round().max(1.0) as u32;
        let mut latency = Accumulator::new();
        for _ in 0..requests {
            let deviate = table[(random.uniform() * table.len() as f64) as usize];
            latency.record((log_median + spread * deviate).exp() as u64);
        }
        let own = latency.quantiles(KEPT_QUANTILES).unwrap();
        window.push_back(latency);
        if window.len() > setting.day / 24 {
            window.pop_front();
        }
        let mut merged = Accumulator::new();
        for step in &window {
            merged.merge(step);
        }
        let tail = Tail::of(merged.quantiles(KEPT_QUANTILES).unwrap().map(|us| us as f64));
        let own = ServiceStep::new(requests, 0, own.map(|us| (us as f64 / 1000.0) as f32));
        steps.push(Some(ServiceStep { tail, ..own }));
    }
    let start = Timestamp::from_unix_ms(1_763_942_400_000);
    let history = ServiceHistory { service: "cart".into(), start, step: setting.step, steps };
    World { history, log_p99 }
}
