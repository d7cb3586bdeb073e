//! What a scenario must bring, computed in virtual time with the queue and the arrivals of the real run.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{DayViolations, Scenario};
use crate::demand::Demand;
use crate::load::ArrivalTimes;
use crate::queue::ProcessorSharing;
use crate::world::HostSpec;

/// How often the capacity follows the neighbour, in seconds; as on a real emulated host.
const TICK: f64 = 0.02;

impl Scenario {
    /// Days of this scenario when the service stays on one host, without sockets and proxies, within milliseconds.
    ///
    /// `None` when the scenario has no such host.
    pub fn predict(&self, host: &str, days: u32) -> Option<Vec<DayViolations>> {
        let host = self.hosts.iter().find(|candidate| candidate.args.name == host)?;
        let end = self.day.as_secs_f64() * f64::from(days);
        let latencies = self.latencies(host, end);
        let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); end.ceil() as usize];
        for (at, latency) in latencies {
            if let Some(second) = seconds.get_mut(at as usize) {
                second.push(latency);
            }
        }
        let mut result: Vec<DayViolations> = Vec::new();
        for (second, latencies) in seconds.iter().enumerate() {
            let day = (second as f64 / self.day.as_secs_f64()) as u64;
            if result.last().is_none_or(|last| last.day != day) {
                result.push(DayViolations { day, ..DayViolations::default() });
            }
            let slow = latencies.iter().filter(|latency| **latency * 1e3 > self.objective_ms).count();
            if let Some(last) = result.last_mut() {
                last.seconds += 1;
                last.violation_seconds +=
                    u64::from(slow as f64 > (1.0 - self.quantile) * latencies.len() as f64);
            }
        }
        Some(result)
    }

    /// When each request ends and how long it took, both in seconds.
    fn latencies(&self, host: &HostSpec, end: f64) -> Vec<(f64, f64)> {
        let cores = f64::from(host.args.capacity_millicores) / 1e3;
        let neighbour = host.args.neighbour();
        let demand = Demand::log_normal(self.settings.demand_ms / 1e3, self.settings.variation);
        let mut random = StdRng::seed_from_u64(host.args.seed);
        let mut queue = ProcessorSharing::new(cores);
        let mut tick = 0.0;
        for due in ArrivalTimes::new(self.rate, crate::load::Arrivals::Poisson, self.seed, 0.0) {
            if due >= end {
                break;
            }
            while tick <= due {
                queue.set_capacity(tick, cores * (1.0 - neighbour.at(tick)));
                tick += TICK;
            }
            queue.arrive(due, 0, demand.draw(&mut random), due);
        }
        queue.advance(end);
        queue.take_finished().into_iter().map(|done| (done.at, done.at - done.job)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn staying_violates_about_a_third_of_each_day_and_moving_helps() {
        let scenario = Scenario::demo(Duration::from_secs(20));
        let home = scenario.predict("host-a", 8).unwrap();
        for day in &home {
            assert!((4..=9).contains(&day.violation_seconds), "host-a, all days: {home:?}");
        }
        let room = scenario.predict("host-b", 8).unwrap();
        assert!(room.iter().all(|day| day.violation_seconds == 0), "host-b, all days: {room:?}");
        let small = scenario.predict("host-c", 8).unwrap();
        let worst = |days: &[DayViolations]| days.iter().map(|day| day.violation_seconds).sum::<u64>();
        assert!(worst(&small) > worst(&home), "host-c is no worse than host-a: {small:?} and {home:?}");
    }

    /// The queue must be gone before the next day, and no request may come near the time-outs of 30 s.
    #[test]
    fn days_of_other_lengths_have_the_same_shape() {
        for day in [15, 20, 30, 40] {
            let scenario = Scenario::demo(Duration::from_secs(day));
            let violations = |host| -> u64 {
                scenario.predict(host, 8).unwrap().iter().map(|day| day.violation_seconds).sum()
            };
            let share = violations("host-a") as f64 / (8 * day) as f64;
            assert!((0.25..0.45).contains(&share), "days of {day} s: {share} of host-a's time is too slow");
            assert_eq!(violations("host-b"), 0, "days of {day} s");
            let latencies = scenario.latencies(&scenario.hosts[0], 8.0 * day as f64);
            let slowest = latencies.iter().map(|(_, latency)| *latency).fold(0.0, f64::max);
            assert!(slowest < 10.0, "days of {day} s: the slowest request takes {slowest} s");
            let night = latencies.iter().filter(|(at, _)| (at / day as f64).fract() < 0.2);
            let night = night.map(|(_, latency)| *latency).fold(0.0, f64::max);
            assert!(night < 0.15, "days of {day} s: the slowest request of the nights takes {night} s");
        }
    }

    #[test]
    fn a_host_that_does_not_exist_predicts_nothing() {
        assert_eq!(Scenario::demo(Duration::from_secs(20)).predict("host-x", 1), None);
    }
}
