//! Trials of copies whose truth is known: two queues that get the same arrivals, each with service times of its own.
//!
//! Waits are shared by neighbouring requests, so this is the correlation that makes naive intervals too narrow.
use super::*;
use crate::splitmix::SplitMix;

/// Trials of each kind.
const TRIALS: u64 = 150;

struct Truth {
    /// Share of failures, at the source and at the target.
    failing: (f64, f64),
    /// Latency of the target over the source's.
    times: f64,
    /// The objective over the true latency of the source at the quantile.
    objective: f64,
    quantile: f64,
}

/// A queue half of whose time is used, served in 10 ms on average, log-normal.
struct Queue {
    free_at_ms: f64,
}

impl Queue {
    fn latency_ms(&mut self, at_ms: f64, random: &mut SplitMix) -> f64 {
        let service_ms = 10.0 * (0.6 * random.normal() - 0.18).exp();
        self.free_at_ms = self.free_at_ms.max(at_ms) + service_ms;
        self.free_at_ms - at_ms
    }
}

fn pairs(count: u64, truth: &Truth, random: &mut SplitMix) -> Vec<Pair> {
    let (mut source, mut target, mut at_ms) = (Queue { free_at_ms: 0.0 }, Queue { free_at_ms: 0.0 }, 0.0);
    (0..count)
        .map(|_| {
            at_ms -= 20.0 * (1.0 - random.unit()).ln();
            let (s, t) = (source.latency_ms(at_ms, random), target.latency_ms(at_ms, random));
            Pair {
                source: Answer { ok: random.unit() >= truth.failing.0, latency_ms: s },
                target: Answer { ok: random.unit() >= truth.failing.1, latency_ms: t * truth.times },
            }
        })
        .collect()
}

/// As a trial goes: look after look, until there is a verdict.
fn tried(truth: &Truth, objective_ms: f64, seed: u64) -> TrialVerdict {
    let order = TrialOrder { seed, ..order_of(truth.quantile, objective_ms) };
    let all = pairs(order.most_pairs, truth, &mut SplitMix::new(seed));
    for look in order.looks() {
        let samples = TrialSamples {
            pairs: all[..look as usize].to_vec(),
            late: 0,
            seconds: 1.0,
            source_node: "a".to_owned(),
            notes: Vec::new(),
        };
        let verdict = judge(&order, &samples, Timestamp::from_unix_ms(0)).verdict;
        if verdict != TrialVerdict::Inconclusive {
            return verdict;
        }
    }
    TrialVerdict::Inconclusive
}

/// Shares of passes and of failures.
fn shares(truth: &Truth) -> (f64, f64) {
    let quantile = Quantile::new(truth.quantile).unwrap();
    let long = pairs(50_000, &Truth { failing: (0.0, 0.0), ..*truth }, &mut SplitMix::new(99));
    let long = TrialSamples { pairs: long, ..TrialSamples::default() };
    let objective_ms = truth.objective * long.end(|pair| pair.source, quantile).latency_ms;
    let verdicts: Vec<_> = (0..TRIALS).map(|seed| tried(truth, objective_ms, seed + 1)).collect();
    let share = |of| verdicts.iter().filter(|verdict| **verdict == of).count() as f64 / TRIALS as f64;
    (share(TrialVerdict::Pass), share(TrialVerdict::Fail))
}

#[test]
fn equal_copies_hardly_ever_fail() {
    for (quantile, objective) in [(0.95, 0.1), (0.95, 1.0), (0.95, 2.0), (0.5, 1.0), (0.99, 0.1), (0.99, 1.0)]
    {
        for failing in [0.0, 0.01] {
            let truth = Truth { failing: (failing, failing), times: 1.0, objective, quantile };
            let (passed, failed) = shares(&truth);
            assert!(
                failed < 0.02,
                "{failed} failed and {passed} passed at {quantile}, {objective}, {failing}"
            );
            // One that is good by a distance passes.
            assert!(objective < 2.0 || passed > 0.9, "{passed} passed at {quantile}, {objective}, {failing}");
        }
    }
}

#[test]
fn a_target_that_fails_or_is_slow_is_caught() {
    let truths = [
        ("5 % fail", Truth { failing: (0.0, 0.05), times: 1.0, objective: 2.0, quantile: 0.95 }),
        (
            "5 % fail beside 0.5 %",
            Truth { failing: (0.005, 0.055), times: 1.0, objective: 2.0, quantile: 0.95 },
        ),
        (
            "5 % fail, far quantile",
            Truth { failing: (0.0, 0.05), times: 1.0, objective: 2.0, quantile: 0.99 },
        ),
        ("twice as slow", Truth { failing: (0.0, 0.0), times: 2.0, objective: 1.0, quantile: 0.95 }),
        (
            "twice as slow as a slow source",
            Truth { failing: (0.0, 0.0), times: 2.0, objective: 0.1, quantile: 0.95 },
        ),
        ("twice as slow, median", Truth { failing: (0.0, 0.0), times: 2.0, objective: 1.0, quantile: 0.5 }),
        (
            "twice as slow, far quantile",
            Truth { failing: (0.0, 0.0), times: 2.0, objective: 1.0, quantile: 0.99 },
        ),
    ];
    for (name, truth) in truths {
        let (passed, failed) = shares(&truth);
        assert!(failed >= 0.95 && passed <= 0.001, "{name}: {failed} failed, {passed} passed");
    }
}
