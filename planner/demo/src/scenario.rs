//! The world of the demo in numbers: a compressed day, three hosts, a load, and a neighbour that comes at each peak.

mod forecast;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{HostArgs, ServiceSettings};
use crate::load::{Arrivals, LoadSpec, Window};
use crate::profile::{Profile, Shape};
use crate::world::{EndpointSource, FilterSpec, HostSpec, WorldSpec};

/// Everything that makes two runs of the demo comparable.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Length of one day.
    pub day: Duration,
    /// Name of the service.
    pub service: String,
    /// Host on which the service starts.
    pub home: String,
    /// CPU of a request, and how long a start takes.
    pub settings: ServiceSettings,
    /// The hosts.
    pub hosts: Vec<HostSpec>,
    /// Requests per second over the day.
    pub rate: Profile,
    /// Share of the requests that the promise is about.
    pub quantile: f64,
    /// The promise: so much of the requests in at most this many milliseconds.
    pub objective_ms: f64,
    /// Seed of load and demands.
    pub seed: u64,
}

/// What one day of a run brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct DayViolations {
    /// Number of the day, from 0.
    pub day: u64,
    /// Seconds of the day that were measured.
    pub seconds: u64,
    /// Seconds in which the quantile was over the objective, see [`Window::misses`].
    pub violation_seconds: u64,
    /// Requests that failed.
    pub failed: u64,
}

impl Scenario {
    /// The scenario of `foremesh demo`, with days of this length; made for 30 s, sensible from 15 to 40 s.
    ///
    /// `shop` needs 2.5 core-milliseconds per request, so its load of 160 to 480 requests per second takes 0.4 to 1.2
    /// cores. At the peak the neighbour on `host-a` leaves 1.1 of 2.0 cores: the queue grows until the load falls
    /// again, and is empty long before the next day. `host-b` has room, also for the rush in the history with which
    /// that queue is worked off; `host-c` has too few cores even when empty.
    pub fn demo(day: Duration) -> Self {
        let host = |name: &str, zone: &str, capacity_millicores: u32, seed: u64| HostSpec {
            zone: zone.to_owned(),
            args: HostArgs {
                seed,
                day_ms: u64::try_from(day.as_millis()).unwrap_or(u64::MAX),
                ..HostArgs::new(name, capacity_millicores)
            },
        };
        let mut crowded = host("host-a", "zone-1", 2_000, 11);
        crowded.args.neighbour_peak = 0.45;
        crowded.args.neighbour_centre = 0.5;
        crowded.args.neighbour_width = 0.34;
        Self {
            day,
            service: "shop".to_owned(),
            home: "host-a".to_owned(),
            settings: ServiceSettings { port: 0, demand_ms: 2.5, variation: 0.5, startup_ms: 500 },
            hosts: vec![crowded, host("host-b", "zone-1", 4_000, 12), host("host-c", "zone-2", 900, 13)],
            rate: Profile { period: day, base: 160.0, peak: 480.0, centre: 0.5, shape: Shape::Cosine },
            quantile: 0.95,
            objective_ms: 250.0,
            seed: 2026,
        }
    }

    /// The world of this scenario; days start at a time in milliseconds since the Unix epoch.
    pub fn world(
        &self,
        place: &WorldPlace<'_>,
        endpoints: EndpointSource,
        day_start_unix_ms: u64,
    ) -> WorldSpec {
        let mut hosts = self.hosts.clone();
        for host in &mut hosts {
            host.args.day_start_unix_ms = day_start_unix_ms;
        }
        WorldSpec {
            directory: place.directory.to_owned(),
            program: place.program.to_owned(),
            argv_prefix: place.argv_prefix.to_vec(),
            envoy: place.envoy.to_owned(),
            service: self.service.clone(),
            hosts,
            endpoints,
            filter: place.filter.clone(),
            planner: None,
            edge_concurrency: 1,
            ready_within: Duration::from_secs(30),
        }
    }

    /// The load of this scenario over some days; the same for every run with the same days.
    pub fn load(&self, address: SocketAddr, day_start_unix_ms: u64, days: std::ops::Range<u32>) -> LoadSpec {
        LoadSpec {
            host: self.service.clone(),
            rate: self.rate,
            arrivals: Arrivals::Poisson,
            seed: self.seed,
            day_start_unix_ms,
            from: self.day * days.start,
            until: Some(self.day * days.end),
            ..LoadSpec::constant(address, 0.0)
        }
    }

    /// Adds a second of the load to the day it belongs to. What is still answered after the last request of the
    /// load adds its failures to the last day, and no time.
    pub fn count(&self, days: &mut Vec<DayViolations>, window: &Window) {
        let day = (window.second as f64 / self.day.as_secs_f64()) as u64;
        if let Some(last) = days.last_mut().filter(|last| last.day != day && window.offered == 0) {
            last.failed += window.failed;
            return;
        }
        if days.last().is_none_or(|last| last.day != day) {
            days.push(DayViolations { day, ..DayViolations::default() });
        }
        if let Some(last) = days.last_mut() {
            last.seconds += 1;
            last.violation_seconds += u64::from(window.misses(self.quantile, self.objective_ms));
            last.failed += window.failed;
        }
    }
}

/// What a world needs from the machine.
#[derive(Debug, Clone)]
pub struct WorldPlace<'a> {
    /// Directory for everything.
    pub directory: &'a Path,
    /// Program with the subcommands `host` and `ctl`.
    pub program: &'a Path,
    /// Arguments before them.
    pub argv_prefix: &'a [String],
    /// The Envoy program.
    pub envoy: &'a PathBuf,
    /// The filter in every Envoy.
    pub filter: Option<FilterSpec>,
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    /// A second with requests that took so many milliseconds.
    fn window(second: u64, offered: u64, latencies_ms: &[u64], failed: u64) -> Window {
        let mut latency_us = Histogram::new(2).unwrap();
        for latency in latencies_ms {
            latency_us.record(latency * 1_000).unwrap();
        }
        let ok = latencies_ms.len() as u64;
        Window { second, offered, sent: offered, ok, failed, in_flight: 0, latency_us }
    }

    #[test]
    fn seconds_belong_to_their_days() {
        let scenario = Scenario::demo(Duration::from_secs(20));
        let mut days = Vec::new();
        let windows = [
            window(0, 2, &[10, 20], 0),
            window(19, 1, &[900], 0),
            window(20, 1, &[], 1),
            window(39, 1, &[10], 0),
            window(40, 0, &[900], 2),
        ];
        for window in &windows {
            scenario.count(&mut days, window);
        }
        let want = [
            DayViolations { day: 0, seconds: 2, violation_seconds: 1, failed: 0 },
            DayViolations { day: 1, seconds: 2, violation_seconds: 1, failed: 3 },
        ];
        assert_eq!(days, want);
    }
}
