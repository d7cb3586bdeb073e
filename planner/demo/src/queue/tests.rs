use super::*;
use crate::demand::Demand;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Runs jobs `(arrival, demand)` to the end and returns when each finished.
fn run(capacity: f64, jobs: &[(f64, f64)]) -> Vec<f64> {
    let mut queue = ProcessorSharing::new(capacity);
    for (index, (arrival, demand)) in jobs.iter().enumerate() {
        queue.arrive(*arrival, 0, *demand, index);
    }
    queue.advance(1e6);
    let mut at = vec![f64::NAN; jobs.len()];
    for completion in queue.take_finished() {
        at[completion.job] = completion.at;
    }
    at
}

/// Name, capacity in cores, jobs `(arrival, demand)`, and when each must finish.
type Example = (&'static str, f64, &'static [(f64, f64)], &'static [f64]);

#[test]
fn finish_times_of_small_examples() {
    let cases: &[Example] = &[
        ("one job uses one core at most", 4.0, &[(0.0, 2.0)], &[2.0]),
        ("one job on half a core", 0.5, &[(0.0, 2.0)], &[4.0]),
        ("two equal jobs share one core", 1.0, &[(0.0, 1.0), (0.0, 1.0)], &[2.0, 2.0]),
        ("two jobs on two cores do not meet", 2.0, &[(0.0, 1.0), (0.0, 3.0)], &[1.0, 3.0]),
        // Alone until 1, then half each: the first needs 2 more of 1, the second 1 of 1.
        ("a short job overtakes", 1.0, &[(0.0, 3.0), (1.0, 1.0)], &[4.0, 3.0]),
        ("no demand finishes at once", 1.0, &[(5.0, 0.0)], &[5.0]),
    ];
    for (name, capacity, jobs, want) in cases {
        let got = run(*capacity, jobs);
        let close = got.iter().zip(*want).all(|(got, want)| (got - want).abs() < 1e-9);
        assert!(close, "case {name}: got {got:?}, want {want:?}");
    }
}

#[test]
fn a_change_of_capacity_acts_from_its_time_on() {
    let mut queue = ProcessorSharing::new(1.0);
    queue.arrive(0.0, 0, 2.0, ());
    queue.set_capacity(1.0, 0.0);
    assert_eq!(queue.next_completion(), None, "nothing finishes without capacity");
    queue.set_capacity(3.0, 0.5);
    assert_eq!(queue.next_completion(), Some(5.0), "one of two core-seconds is left, at half a core");
}

#[test]
fn work_is_conserved_and_counted_per_class() {
    let mut random = StdRng::seed_from_u64(7);
    let mut queue = ProcessorSharing::new(2.0);
    let (mut now, mut demands, mut finished) = (0.0, [0.0; 3], 0);
    for job in 0..20_000_usize {
        now += random.random_range(0.0..0.02);
        if job % 100 == 0 {
            queue.set_capacity(now, random.random_range(0.5..3.0));
        }
        let demand = random.random_range(0.0..0.05);
        demands[job % 3] += demand;
        queue.arrive(now, job % 3, demand, job);
        finished += queue.take_finished().len();
    }
    queue.advance(now + 1e4);
    finished += queue.take_finished().len();
    assert_eq!(finished, 20_000);
    assert!(queue.is_empty());
    for (class, demand) in demands.iter().enumerate() {
        let work = queue.work(class);
        assert!((work - demand).abs() < 1e-6, "class {class}: {work} core-seconds done, {demand} demanded");
    }
}

/// Mean time in the queue with Poisson arrivals, in virtual time, and how many jobs were measured.
fn mean_response(demand: Demand, load: f64, jobs: usize) -> f64 {
    let mut random = StdRng::seed_from_u64(1);
    let mut queue = ProcessorSharing::new(1.0);
    let (mut now, mut sum, mut count) = (0.0, 0.0, 0_u32);
    for job in 0..jobs {
        let gap: f64 = random.random();
        now += -(1.0 - gap).ln() * demand.mean_seconds() / load;
        queue.arrive(now, 0, demand.draw(&mut random), (job, now));
        for done in queue.take_finished() {
            // The first jobs meet an empty queue and would make the mean too good.
            if done.job.0 > jobs / 20 {
                sum += done.at - done.job.1;
                count += 1;
            }
        }
    }
    sum / f64::from(count)
}

/// M/G/1-PS: the mean response is `demand / (1 - load)` whatever the distribution of the demand (Kleinrock,
/// Queueing Systems, volume 2, section 4.4).
#[test]
fn mean_response_is_that_of_theory() {
    let cases = [
        ("exponential", Demand::exponential(0.01)),
        ("log-normal, spread 0.5", Demand::log_normal(0.01, 0.5)),
    ];
    for (name, demand) in cases {
        for load in [0.3, 0.6, 0.8] {
            let want = demand.mean_seconds() / (1.0 - load);
            let got = mean_response(demand, load, 150_000);
            assert!((got / want - 1.0).abs() < 0.05, "{name} at load {load}: mean {got} s, theory {want} s");
        }
    }
}
