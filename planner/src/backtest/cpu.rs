//! CPU time of the calling thread, which other threads and processes on the machine do not change.
use rustix::time::{ClockId, clock_gettime};

/// A measurement that runs.
#[derive(Clone, Copy, Debug)]
pub struct Cpu(f64);

impl Cpu {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(thread_seconds())
    }

    /// CPU time since the start, in seconds.
    pub fn seconds(self) -> f64 {
        (thread_seconds() - self.0).max(0.0)
    }
}

fn thread_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of this process, in seconds.
pub fn process_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}
