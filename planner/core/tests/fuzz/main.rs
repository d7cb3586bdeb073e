//! Days of random small meshes under the planner, with everything going wrong that can. Each day follows from its seed.
//!
//! `FOREMESH_FUZZ_DAYS` says how many days to run, `FOREMESH_FUZZ_SEED` which one is the first. A day that fails names its
//! seed, and `FOREMESH_FUZZ_SEED=… FOREMESH_FUZZ_DAYS=1` runs it alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows only functions marked as tests, not what they share"
)]

mod bounds;
mod cluster;
mod day;
mod faults;
mod generate;
mod invariants;
mod planner;
mod policies;
mod random;
mod rollouts;
mod signal;
mod store;
mod tally;

use std::panic::{AssertUnwindSafe, catch_unwind};
use tally::Tally;

/// Days that are run when nobody says how many: what takes about half a minute without optimisation.
const USUAL_DAYS: u64 = 3;

/// What must be met at least so often in a hundred days, or the days test nothing.
const LEAST: [(&str, u64); 2] = [("decisions", 20_000), ("verdict: breach", 2_000)];
/// The same of what is too rare for a few days.
const LEAST_OF_MANY: [(&str, u64); 20] = [
    ("moves", 40),
    ("moves over: Succeeded", 30),
    ("moves over: RolledBack", 2),
    ("moved by: predictedLatency", 30),
    ("moved by: predictedUsage", 3),
    ("moved for another", 3),
    ("stays: cooldown", 100),
    ("stays: cured_by", 10),
    ("stays: immovable/changing", 20),
    ("stays: not_permitted/budget", 100),
    ("stays: not_permitted/concurrent", 20),
    ("stays: not_permitted/frozen", 50),
    ("stays: not_ready", 20),
    ("stays: pinned", 40),
    ("stays: rollout_in_progress", 50),
    ("stays: snapshot_stale", 50),
    ("stays: too_late", 500),
    ("refused node: not_apart", 200),
    ("refused node: not_enough_cpu", 200),
    ("refused node: would_harm", 100),
];
/// Days after which a long run says how far it is.
const REPORTED_DAYS: u64 = 50;
/// How many days are many.
const MANY_DAYS: u64 = 100;

#[test]
fn no_day_breaks_an_invariant() {
    let (first, days) = (setting("FOREMESH_FUZZ_SEED", 1), setting("FOREMESH_FUZZ_DAYS", USUAL_DAYS));
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for seed in first..first + days {
        let mut of_day = Tally::default();
        let run = catch_unwind(AssertUnwindSafe(|| day::run(seed, &mut of_day)));
        tally.merge(&of_day);
        if (seed + 1 - first).is_multiple_of(REPORTED_DAYS) {
            println!("{} days from seed {first} so far:\n{tally}", seed + 1 - first);
        }
        let wrong = match run {
            Ok(Ok(())) => continue,
            Ok(Err(wrong)) => wrong,
            Err(_) => "it panicked; the message is above".to_owned(),
        };
        let wrong = format!("FOREMESH_FUZZ_SEED={seed} FOREMESH_FUZZ_DAYS=1: {wrong}");
        println!("{wrong}");
        failed.push(wrong);
        if failed.len() >= 10 {
            break;
        }
    }
    println!("{days} days from seed {first}:\n{tally}");
    assert!(failed.is_empty(), "{} days failed:\n{}", failed.len(), failed.join("\n"));
    let usual = if days >= USUAL_DAYS { &LEAST[..] } else { &[] };
    let many = if days >= MANY_DAYS { &LEAST_OF_MANY[..] } else { &[] };
    for (what, least) in usual.iter().chain(many) {
        let (count, least) = (tally.of(what), (least * days).div_ceil(100));
        assert!(count >= least, "{what} was met {count} times in {days} days, at least {least} are expected");
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place of this test that reads its settings")]
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
