//! When requests are due, for a rate that changes over the day.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::profile::Profile;

/// Within this many seconds the rate counts as constant; far below any change of a useful profile.
const RATE_STEP: f64 = 0.01;

/// How requests lie between each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrivals {
    /// As evenly as the rate allows.
    Even,
    /// Independent of each other (a Poisson process), as those of many users are.
    Poisson,
}

/// Endless arrival times, in seconds since the start of the first day; ends at once when the rate is never above zero.
#[derive(Debug)]
pub(crate) struct ArrivalTimes {
    rate: Profile,
    arrivals: Arrivals,
    random: StdRng,
    at: f64,
}

impl ArrivalTimes {
    pub(crate) fn new(rate: Profile, arrivals: Arrivals, seed: u64, from: f64) -> Self {
        Self { rate, arrivals, random: StdRng::seed_from_u64(seed), at: from }
    }
}

impl Iterator for ArrivalTimes {
    type Item = f64;

    /// The next request is due when the integral of the rate has grown by one (even), or by an exponential number
    /// of mean one (Poisson).
    fn next(&mut self) -> Option<f64> {
        if self.rate.maximum() <= 0.0 {
            return None;
        }
        let mut missing = match self.arrivals {
            Arrivals::Even => 1.0,
            Arrivals::Poisson => -(1.0 - self.random.random::<f64>()).ln(),
        };
        loop {
            let rate = self.rate.at(self.at).max(0.0);
            if rate * RATE_STEP >= missing {
                self.at += missing / rate;
                return Some(self.at);
            }
            missing -= rate * RATE_STEP;
            self.at += RATE_STEP;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::profile::Shape;

    fn day() -> Profile {
        Profile {
            period: Duration::from_secs(20),
            base: 40.0,
            peak: 120.0,
            centre: 0.5,
            shape: Shape::Cosine,
        }
    }

    fn between(arrivals: Arrivals, seed: u64, from: f64, to: f64) -> usize {
        let times = ArrivalTimes::new(day(), arrivals, seed, 0.0);
        times.take_while(|at| *at < to).filter(|at| *at >= from).count()
    }

    #[test]
    fn counts_follow_the_rate() {
        // The mean of the pattern is 80 per second; within half a second of the peak it is 120 nearly everywhere.
        let cases = [
            ("even, ten days", Arrivals::Even, 0.0, 200.0, 16_000.0, 0.001),
            ("even, at the peak", Arrivals::Even, 9.5, 10.5, 120.0, 0.02),
            ("Poisson, ten days", Arrivals::Poisson, 0.0, 200.0, 16_000.0, 0.03),
        ];
        for (name, arrivals, from, to, want, tolerance) in cases {
            let got = between(arrivals, 5, from, to) as f64;
            assert!((got / want - 1.0).abs() < tolerance, "case {name}: {got} requests, want {want}");
        }
    }

    #[test]
    fn the_seed_decides_the_times() {
        let first =
            |seed| ArrivalTimes::new(day(), Arrivals::Poisson, seed, 3.0).take(100).collect::<Vec<_>>();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        assert!(first(1).windows(2).all(|pair| pair[0] <= pair[1]), "times run backwards");
    }

    #[test]
    fn no_rate_gives_no_request() {
        let mut times = ArrivalTimes::new(Profile::constant(0.0), Arrivals::Even, 1, 0.0);
        assert_eq!(times.next(), None);
    }
}
