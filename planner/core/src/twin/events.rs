//! Requests one by one: a discrete-event simulation of one layout at one moment.
//!
//! It shares nothing with the formulas of the analytic model but what runs where: requests come one by one, take CPU
//! from the node that they run on, which shares it evenly among all that are there, wait for what they call, and are
//! timed. So it confirms what the formulas say of a plan, and it is what they are measured by. The same seed gives the
//! same times.
mod machine;
mod shape;

pub use shape::DemandShape;

use machine::Machine;

/// What is simulated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventMesh {
    /// The nodes.
    pub nodes: Vec<EventNode>,
    /// The services; calls name them by their place.
    pub services: Vec<EventService>,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventNode {
    /// Its CPU in cores.
    pub cores: f64,
    /// Requests per second of everything else on it.
    pub others_per_second: f64,
    /// What one of those takes, in milliseconds of one core.
    pub others: DemandShape,
}

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct EventService {
    /// Requests per second from outside of the mesh.
    pub arrivals_per_second: f64,
    /// Node and part of the requests of each replica; the parts add up to 1.
    pub replicas: Vec<(usize, f64)>,
    /// CPU of one request in milliseconds of one core.
    pub demand: DemandShape,
    /// Milliseconds that a request waits for something that is no CPU and no call.
    pub wait_ms: f64,
    /// What it calls, one after the other.
    pub calls: Vec<EventCall>,
}

/// Calls from one service to another. Calls must not go round in circles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventCall {
    /// Place of the service that is called.
    pub callee: usize,
    /// Calls for one request on average: so many, or one more.
    pub calls: f64,
    /// Whether the caller waits for the answer.
    pub waits: bool,
    /// Milliseconds of distance, there and back.
    pub distance_ms: f64,
}

/// Times of the requests of one service, in milliseconds, sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times(Vec<f32>);

impl Times {
    /// Number of requests.
    pub const fn requests(&self) -> usize {
        self.0.len()
    }

    /// Time at a quantile; `None` without requests.
    pub fn quantile(&self, level: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        let at = (level * self.0.len() as f64) as usize;
        self.0.get(at.min(last)).copied().map(f64::from)
    }

    /// Mean; `None` without requests.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.0.iter().copied().map(f64::from).sum();
        (!self.0.is_empty()).then(|| sum / self.0.len() as f64)
    }
}

/// Simulates until so many requests have come from outside, the first tenth of which only fills the mesh, and gives the
/// times of each service.
pub fn run(mesh: &EventMesh, requests: usize, seed: u64) -> Vec<Times> {
    let times = Machine::new(mesh, seed).run(requests);
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable_by(f32::total_cmp);
            Times(times)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(cores: f64, rps: f64, demand: DemandShape) -> EventMesh {
        EventMesh {
            nodes: vec![EventNode { cores, others_per_second: 0.0, others: demand }],
            services: vec![EventService {
                arrivals_per_second: rps,
                replicas: vec![(0, 1.0)],
                demand,
                wait_ms: 0.0,
                calls: Vec::new(),
            }],
        }
    }

    #[test]
    fn means_are_those_of_processor_sharing() {
        let exponential = DemandShape::Exponential { mean_ms: 10.0 };
        let bursty = DemandShape::Hyperexponential { mean_ms: 10.0, scv: 3.0 };
        let cases = [
            ("half full, exponential", 1.0, 50.0, exponential, 20.0),
            ("half full, any other demand", 1.0, 50.0, bursty, 20.0),
            // M/M/2 with 0.5: all cores are busy with a probability of 1/3.
            ("two cores", 2.0, 100.0, exponential, 10.0 * (1.0 + (1.0 / 3.0))),
            ("half a core", 0.5, 25.0, exponential, 40.0),
        ];
        for (name, cores, rps, demand, want) in cases {
            let times = run(&one(cores, rps, demand), 60_000, 1);
            let mean = times[0].mean().unwrap();
            assert!((mean / want - 1.0).abs() < 0.05, "{name}: {mean}, want {want}");
        }
    }

    #[test]
    fn who_waits_takes_as_long_as_what_it_waits_for() {
        let demand = DemandShape::Exponential { mean_ms: 1.0 };
        let service = |replicas, arrivals_per_second, calls| EventService {
            arrivals_per_second,
            replicas,
            demand,
            wait_ms: 0.0,
            calls,
        };
        let call = |callee, waits| EventCall { callee, calls: 2.5, waits, distance_ms: 4.0 };
        let node = EventNode { cores: 4.0, others_per_second: 0.0, others: demand };
        let mesh = EventMesh {
            nodes: vec![node; 2],
            services: vec![
                service(vec![(0, 1.0)], 20.0, vec![call(1, true), call(2, false)]),
                service(vec![(1, 0.5), (0, 0.5)], 0.0, Vec::new()),
                service(vec![(1, 1.0)], 0.0, Vec::new()),
            ],
        };
        let times = run(&mesh, 20_000, 3);
        let mean = |service: usize| times[service].mean().unwrap();
        assert!((mean(0) - (1.0 + 2.5 * 5.0)).abs() < 0.2, "{}", mean(0));
        assert!((times[2].requests() as f64 / times[0].requests() as f64 - 2.5).abs() < 0.05);
        assert_eq!(run(&mesh, 500, 9), run(&mesh, 500, 9));
        assert_ne!(run(&mesh, 500, 9), run(&mesh, 500, 10));
    }

    #[test]
    fn what_a_move_does_not_touch_stays_as_it_was_to_the_last_request() {
        let demand = DemandShape::Exponential { mean_ms: 10.0 };
        let service = |replicas, calls| EventService {
            arrivals_per_second: 20.0,
            replicas,
            demand,
            wait_ms: 0.0,
            calls,
        };
        let mesh = |node: usize| EventMesh {
            nodes: vec![EventNode { cores: 1.0, others_per_second: 30.0, others: demand }; 3],
            services: vec![
                service(vec![(0, 1.0)], Vec::new()),
                service(
                    vec![(node, 1.0)],
                    vec![EventCall { callee: 2, calls: 1.5, waits: true, distance_ms: 1.0 }],
                ),
                service(vec![(node, 1.0)], Vec::new()),
            ],
        };
        let (here, there) = (run(&mesh(1), 5_000, 1), run(&mesh(2), 5_000, 1));
        assert_eq!(here[0], there[0]);
        assert_ne!(here[1], there[1]);
    }

    #[test]
    fn nothing_that_comes_is_nothing_that_ends() {
        let mesh = one(1.0, 0.0, DemandShape::Exponential { mean_ms: 1.0 });
        assert_eq!(run(&mesh, 100, 1)[0].quantile(0.99), None);
    }
}
