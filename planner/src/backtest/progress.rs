//! How far a long run is: a bar on a terminal, a plain line every few seconds elsewhere, always on stderr.
use std::{
    io::{IsTerminal, Write as _, stderr},
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Characters of the bar.
const WIDTH: usize = 30;

/// Shows how many of a number of things are done. Shared by threads.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: usize,
    terminal: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: usize,
    started: Instant,
    shown: Instant,
}

impl Progress {
    /// Nothing of `total` is done.
    pub fn new(what: &'static str, total: usize) -> Self {
        let now = Instant::now();
        let state = State { done: 0, started: now, shown: now };
        Self { what, total, terminal: stderr().is_terminal(), state: Mutex::new(state) }
    }

    /// One more is done.
    pub fn one_more(&self) {
        if let Ok(state) = self.state.lock() {
            self.show(state, 1);
        }
    }

    /// So many are done; it may be told more than once.
    pub fn reached(&self, done: usize) {
        if let Ok(state) = self.state.lock()
            && done.min(self.total) > state.done
        {
            let more = done.min(self.total) - state.done;
            self.show(state, more);
        }
    }

    fn show(&self, mut state: MutexGuard<'_, State>, more: usize) {
        state.done += more;
        let (done, total, now) = (state.done, self.total, Instant::now());
        let passed = now.duration_since(state.started).as_secs_f64();
        let left = passed / done as f64 * (total - done.min(total)) as f64;
        // Progress that cannot be shown is no reason to stop.
        if self.terminal {
            let filled = WIDTH * done / total.max(1);
            let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled.min(WIDTH)));
            let end = if done == total { "\n" } else { "" };
            let _ = write!(stderr(), "\r{bar} {done}/{total} {}, about {left:.0} s left  {end}", self.what);
        } else if done == total || now.duration_since(state.shown) >= PLAIN_EVERY {
            let _ = writeln!(stderr(), "{done} of {total} {} after {passed:.0} s", self.what);
            state.shown = now;
        }
    }
}
