//! The virtual CPU of a host in real time: a queue, a neighbour, and a task that lets time pass.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::HostArgs;
use crate::clock;
use crate::profile::Profile;
use crate::queue::ProcessorSharing;

/// How often the neighbour's share is looked up; far below the ramps of the shortest useful day.
const NEIGHBOUR_TICK: Duration = Duration::from_millis(20);

/// Length of the moving average of the usage.
const USAGE_WINDOW: Duration = Duration::from_secs(1);

/// The CPU of one host.
#[derive(Debug)]
pub(super) struct Cpu {
    capacity_cores: f64,
    neighbour: Profile,
    origin: Instant,
    /// Seconds from the start of the day to `origin`.
    origin_in_day: f64,
    state: Mutex<State>,
    earlier: Notify,
}

#[derive(Debug)]
struct State {
    queue: ProcessorSharing<oneshot::Sender<()>>,
    /// Share of the capacity that the neighbour has had since `sampled_at`.
    share: f64,
    /// Core-seconds that the neighbour has used since the origin.
    neighbour_work: f64,
    sampled_at: f64,
    /// When the clock task looks next, in seconds since the origin.
    wakes_at: f64,
    samples: VecDeque<Sample>,
}

/// Core-seconds used up to a time.
#[derive(Debug, Clone)]
struct Sample {
    at: f64,
    neighbour: f64,
    classes: Vec<f64>,
}

/// CPU in use, as an average over about one second.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Usage {
    /// Of everything on the host, the neighbour included, in millicores.
    pub(super) total_millicores: f64,
    /// Of each class of the queue, in millicores.
    pub(super) class_millicores: Vec<f64>,
}

impl Cpu {
    pub(super) fn new(args: &HostArgs) -> Self {
        let capacity_cores = f64::from(args.capacity_millicores) / 1e3;
        let origin_in_day = clock::seconds_since(args.day_start_unix_ms);
        let neighbour = args.neighbour();
        let share = neighbour.at(origin_in_day);
        Self {
            capacity_cores,
            neighbour,
            origin: Instant::now(),
            origin_in_day,
            state: Mutex::new(State {
                queue: ProcessorSharing::new(capacity_cores * (1.0 - share)),
                share,
                neighbour_work: 0.0,
                sampled_at: 0.0,
                wakes_at: 0.0,
                samples: VecDeque::new(),
            }),
            earlier: Notify::new(),
        }
    }

    /// Capacity of the host in millicores.
    pub(super) fn capacity_millicores(&self) -> f64 {
        self.capacity_cores * 1e3
    }

    /// Uses `demand` core-seconds in a class; returns when the work is done. Dropping the future does not take the
    /// work back, as a service notices a client that left only when it answers.
    pub(super) async fn use_core_seconds(&self, class: usize, demand: f64) {
        let (done, finished) = oneshot::channel();
        {
            let mut state = self.lock();
            let now = self.now();
            state.queue.arrive(now, class, demand, done);
            release(&mut state.queue);
            let next = state.queue.next_completion().unwrap_or(f64::INFINITY);
            if next < state.wakes_at {
                self.earlier.notify_one();
            }
        }
        // The sender lives in the queue until the work is done, so an error means that the host ends.
        drop(finished.await);
    }

    /// Average use over the last second; zero before the first two samples.
    pub(super) fn usage(&self, classes: usize) -> Usage {
        let state = self.lock();
        let nothing = Usage { total_millicores: 0.0, class_millicores: vec![0.0; classes] };
        let (Some(first), Some(last)) = (state.samples.front(), state.samples.back()) else { return nothing };
        let elapsed = last.at - first.at;
        if elapsed <= 0.0 {
            return nothing;
        }
        let per_class = |class: usize| {
            let work = |sample: &Sample| sample.classes.get(class).copied().unwrap_or(0.0);
            (work(last) - work(first)) / elapsed * 1e3
        };
        let class_millicores: Vec<f64> = (0..classes).map(per_class).collect();
        let neighbour = (last.neighbour - first.neighbour) / elapsed * 1e3;
        Usage { total_millicores: neighbour + class_millicores.iter().sum::<f64>(), class_millicores }
    }

    /// Lets time pass: ends work that is done and follows the neighbour. Never returns.
    pub(super) async fn run(self: std::sync::Arc<Self>) {
        loop {
            let wake = {
                let mut state = self.lock();
                let now = self.now();
                state.queue.advance(now);
                release(&mut state.queue);
                self.follow_neighbour(&mut state, now);
                let tick = now + NEIGHBOUR_TICK.as_secs_f64();
                state.wakes_at = state.queue.next_completion().map_or(tick, |next| next.min(tick));
                self.origin + Duration::from_secs_f64(state.wakes_at)
            };
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {},
                () = self.earlier.notified() => {},
            }
        }
    }

    fn follow_neighbour(&self, state: &mut State, now: f64) {
        if now - state.sampled_at < NEIGHBOUR_TICK.as_secs_f64() {
            return;
        }
        state.neighbour_work += state.share * self.capacity_cores * (now - state.sampled_at);
        state.sampled_at = now;
        state.share = self.neighbour.at(self.origin_in_day + now);
        state.queue.set_capacity(now, self.capacity_cores * (1.0 - state.share));
        let classes = (0..state.queue.classes()).map(|class| state.queue.work(class)).collect();
        let sample = Sample { at: now, neighbour: state.neighbour_work, classes };
        state.samples.push_back(sample);
        let oldest = now - USAGE_WINDOW.as_secs_f64();
        while state.samples.get(1).is_some_and(|second| second.at <= oldest) {
            state.samples.pop_front();
        }
    }

    fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock can panic half way, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn release(queue: &mut ProcessorSharing<oneshot::Sender<()>>) {
    for completion in queue.take_finished() {
        // A client that left does not wait for its answer.
        let _ = completion.job.send(());
    }
}
