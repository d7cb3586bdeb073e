//! Processor sharing in virtual time: how requests of all services share the CPU of one emulated host.
//!
//! Every job in the queue gets the same rate, `min(1, capacity / jobs)` cores. So one number tells the progress of
//! all of them: the *virtual work*, the integral of that rate. A job of demand `d` that arrives at virtual work `v`
//! is finished at `v + d`, however many jobs come and go meanwhile. Each event costs `O(log jobs)`.
//!
//! Time is an argument everywhere, in seconds since an origin that the user chooses; it must not run backwards.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Rates below this many cores count as standing still; it keeps the next completion finite.
const STANDSTILL_CORES: f64 = 1e-9;

/// Work below this many core-seconds counts as finished: rounding of the sums must not keep a job alive.
const FINISHED_CORE_SECONDS: f64 = 1e-12;

/// A processor-sharing queue with jobs that carry a `T`.
#[derive(Debug)]
pub struct ProcessorSharing<T> {
    now: f64,
    capacity_cores: f64,
    virtual_work: f64,
    arrivals: u64,
    jobs: BinaryHeap<Job<T>>,
    classes: Vec<Class>,
    finished: Vec<Completion<T>>,
}

/// A finished job.
#[derive(Debug, PartialEq)]
pub struct Completion<T> {
    /// When it finished, in seconds since the origin.
    pub at: f64,
    /// What the job carried.
    pub job: T,
}

#[derive(Debug, Default, Clone, Copy)]
struct Class {
    active: usize,
    work: f64,
}

#[derive(Debug)]
struct Job<T> {
    finish: f64,
    number: u64,
    class: usize,
    payload: T,
}

impl<T> Job<T> {
    /// Reversed, so that the heap gives the earliest finish; the number makes ties first come, first served.
    fn key(&self, other: &Self) -> Ordering {
        other.finish.total_cmp(&self.finish).then(other.number.cmp(&self.number))
    }
}

impl<T> PartialEq for Job<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key(other) == Ordering::Equal
    }
}

impl<T> Eq for Job<T> {}

impl<T> PartialOrd for Job<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Job<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key(other)
    }
}

impl<T> ProcessorSharing<T> {
    /// An empty queue at time 0 with so many cores.
    pub fn new(capacity_cores: f64) -> Self {
        Self {
            now: 0.0,
            capacity_cores,
            virtual_work: 0.0,
            arrivals: 0,
            jobs: BinaryHeap::new(),
            classes: Vec::new(),
            finished: Vec::new(),
        }
    }

    /// Adds a job of `demand` core-seconds, in a class whose work is counted apart (see [`Self::work`]).
    pub fn arrive(&mut self, now: f64, class: usize, demand: f64, payload: T) {
        self.advance(now);
        if self.classes.len() <= class {
            self.classes.resize(class + 1, Class::default());
        }
        if let Some(class) = self.classes.get_mut(class) {
            class.active += 1;
        }
        let finish = self.virtual_work + demand.max(0.0);
        self.jobs.push(Job { finish, number: self.arrivals, class, payload });
        self.arrivals += 1;
    }

    /// Changes the capacity from `now` on, in cores.
    pub fn set_capacity(&mut self, now: f64, cores: f64) {
        self.advance(now);
        self.capacity_cores = cores.max(0.0);
    }

    /// Lets time pass up to `now`; what finished meanwhile waits in [`Self::take_finished`].
    pub fn advance(&mut self, now: f64) {
        while let Some(at) = self.next_completion().filter(|at| *at <= now) {
            self.step(at);
            let Some(job) = self.jobs.pop() else { break };
            if let Some(class) = self.classes.get_mut(job.class) {
                class.active -= 1;
            }
            self.finished.push(Completion { at, job: job.payload });
        }
        self.step(now);
    }

    /// Takes the finished jobs, in the order in which they finished.
    pub fn take_finished(&mut self) -> Vec<Completion<T>> {
        std::mem::take(&mut self.finished)
    }

    /// When the next job finishes if nothing changes, in seconds since the origin.
    pub fn next_completion(&self) -> Option<f64> {
        let rate = self.rate();
        let left = self.jobs.peek()?.finish - self.virtual_work;
        if left <= FINISHED_CORE_SECONDS {
            return Some(self.now);
        }
        (rate > STANDSTILL_CORES).then(|| self.now + left / rate)
    }

    /// Jobs in the queue.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether no job is in the queue.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Number of classes that have had a job: their numbers are below it.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Work done for a class since the origin, in core-seconds.
    pub fn work(&self, class: usize) -> f64 {
        self.classes.get(class).map_or(0.0, |class| class.work)
    }

    /// Cores that each job gets now.
    fn rate(&self) -> f64 {
        if self.jobs.is_empty() { 0.0 } else { (self.capacity_cores / self.jobs.len() as f64).min(1.0) }
    }

    fn step(&mut self, to: f64) {
        let elapsed = to - self.now;
        if elapsed <= 0.0 {
            return;
        }
        let progress = self.rate() * elapsed;
        self.virtual_work += progress;
        for class in &mut self.classes {
            class.work += progress * class.active as f64;
        }
        self.now = to;
    }
}

#[cfg(test)]
mod tests;
