//! When to freeze a window and when to send it: stop-and-wait, as a pure state machine.
//!
//! A frozen body is sent, and sent again unchanged, until it is acknowledged; only then is the next window frozen. While
//! the planner is away the live table keeps counting, so that an outage costs resolution in time, not observations. Two
//! bodies wait only when the last root context ends, where the live window must go out at once.
//!
//! Time is the proxy's wall clock in milliseconds. When it goes backwards, whatever was waited for is taken as due.
use std::collections::VecDeque;

/// Milliseconds after which the proxy gives a call up.
pub const CALL_TIMEOUT_MS: u64 = 2000;
/// Milliseconds after which an answer is not waited for any more: the root context that asked may be gone, and with it
/// the answer.
pub const LOST_ANSWER_MS: u64 = 3000;
/// Longest back-off exponent: 2^4 s is 16 s.
const MAX_BACKOFF_EXPONENT: u32 = 4;
/// Most bodies that wait.
const MAX_PENDING: usize = 2;

/// What the worker has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Nothing.
    Wait,
    /// Nothing was seen: begin the live window anew, so that it is no longer than its traffic.
    Skip,
    /// Freeze the live window, hand it to [`Push::frozen`], then send it.
    Freeze,
    /// Send the oldest body.
    Send,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The planner has it.
    Acknowledged,
    /// It is sent again later.
    Failed,
    /// The planner will never take it; it is given up, and the planner sees the gap in `cumulative`.
    Refused,
    /// It is sent again at once, not compressed.
    Uncompress,
}

/// A call without an answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flight {
    token: u32,
    root: u32,
    since_ms: u64,
}

#[derive(Debug)]
struct Pending {
    body: Vec<u8>,
    flight: Option<Flight>,
}

/// Delivery of the frozen windows of one VM.
#[derive(Debug)]
pub struct Push {
    interval_ms: u64,
    /// Subtracted from the first window, so that the workers of a proxy do not push in the same moment.
    phase_ms: u64,
    pending: VecDeque<Pending>,
    failures_in_a_row: u32,
    /// When the last failure was, and how long to wait after it.
    backoff: Option<(u64, u64)>,
    failed: u64,
    refused: u64,
    seed: u64,
    /// Whether the planner took compressed bodies so far.
    compression: bool,
    /// When traffic was last looked at, and how many observations there were.
    last_look: Option<(u64, u64)>,
}

/// Milliseconds from `since` to `now`; everything is due when the clock went backwards.
fn elapsed(now_ms: u64, since_ms: u64) -> u64 {
    now_ms.checked_sub(since_ms).unwrap_or(u64::MAX)
}

/// A well mixed number out of two (the finaliser of `SplitMix64`).
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Push {
    /// Nothing pending. `seed` makes phase and jitter differ between workers: the epoch.
    pub fn new(interval_ms: u64, seed: u64) -> Self {
        Self {
            interval_ms,
            phase_ms: mix(seed, 0).checked_rem(interval_ms.max(1)).unwrap_or(0),
            pending: VecDeque::new(),
            failures_in_a_row: 0,
            backoff: None,
            failed: 0,
            refused: 0,
            seed,
            compression: true,
            last_look: None,
        }
    }

    /// Changes the length of a window; what is pending stays pending.
    pub fn configure(&mut self, interval_ms: u64) {
        self.interval_ms = interval_ms;
    }

    /// How often to look: twice in a window, so that an early end of traffic is seen, and at most once a second, so that
    /// a drained proxy has pushed before it is killed.
    pub fn tick_ms(&self) -> u64 {
        self.interval_ms.checked_div(2).unwrap_or(0).clamp(100, 1000)
    }

    /// Pushes that were not acknowledged.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Bodies that the planner refused, and that were given up.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Bodies that are not acknowledged yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Length of the body that was frozen last, if it is still pending.
    pub fn last_body_bytes(&self) -> usize {
        self.pending.back().map_or(0, |pending| pending.body.len())
    }

    /// Whether a body may be compressed.
    pub fn may_compress(&self) -> bool {
        self.compression
    }

    /// What to do now. `live` observations are in the live window, which began at `start_ms`; `cumulative` were made in
    /// all.
    pub fn due(&mut self, now_ms: u64, start_ms: u64, live: u64, cumulative: u64) -> Todo {
        let quiet = self.look(now_ms, cumulative);
        self.give_up_lost(now_ms);
        if let Some(front) = self.pending.front() {
            let waits = self.backoff.is_some_and(|(since, delay)| elapsed(now_ms, since) < delay);
            return if front.flight.is_some() || waits { Todo::Wait } else { Todo::Send };
        }
        let over = elapsed(now_ms, start_ms) >= self.interval_ms.saturating_sub(self.phase_ms);
        match (live, over) {
            (0, true) => Todo::Skip,
            (0, false) => Todo::Wait,
            (_, true) => Todo::Freeze,
            (_, false) if quiet => Todo::Freeze,
            (_, false) => Todo::Wait,
        }
    }

    /// Whether no observation was made since the last look, at least half a tick ago (several root contexts of one VM
    /// tick, maybe at the same moment).
    fn look(&mut self, now_ms: u64, cumulative: u64) -> bool {
        let least = self.tick_ms().checked_div(2).unwrap_or(0);
        match self.last_look {
            Some((since, _)) if elapsed(now_ms, since) < least => false,
            before => {
                self.last_look = Some((now_ms, cumulative));
                before.is_some_and(|(_, then)| then == cumulative)
            }
        }
    }

    fn give_up_lost(&mut self, now_ms: u64) {
        let mut lost = 0;
        for pending in &mut self.pending {
            if pending.flight.is_some_and(|flight| elapsed(now_ms, flight.since_ms) >= LOST_ANSWER_MS) {
                pending.flight = None;
                lost = 1;
            }
        }
        if lost > 0 {
            self.fail(now_ms);
        }
    }

    fn fail(&mut self, now_ms: u64) {
        let base = 1000_u64.saturating_mul(1 << self.failures_in_a_row.min(MAX_BACKOFF_EXPONENT));
        // Three quarters to five quarters of it, so that proxies that failed together do not come back together.
        let half = base.checked_div(2).unwrap_or(0).max(1);
        let jitter = mix(self.seed, self.failed.wrapping_add(1)).checked_rem(half).unwrap_or(0);
        let delay = base.saturating_sub(half.checked_div(2).unwrap_or(0)).saturating_add(jitter);
        self.backoff = Some((now_ms, delay));
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.failed = self.failed.saturating_add(1);
    }

    /// Whether one more window may be frozen because the last root context ends.
    pub fn has_room(&self) -> bool {
        self.pending.len() < MAX_PENDING
    }

    /// Takes the body of a frozen window.
    pub fn frozen(&mut self, body: Vec<u8>) {
        self.phase_ms = 0;
        self.pending.push_back(Pending { body, flight: None });
    }

    /// The bodies that are not on their way, oldest first, with their position for [`Push::sent`].
    pub fn unsent(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let unsent = self.pending.iter().enumerate().filter(|(_, pending)| pending.flight.is_none());
        unsent.map(|(at, pending)| (at, pending.body.as_slice()))
    }

    /// Notes that the body at `at` was sent by `root`; `token` is `None` when the call could not be started.
    pub fn sent(&mut self, at: usize, root: u32, token: Option<u32>, now_ms: u64) {
        match (token, self.pending.get_mut(at)) {
            (Some(token), Some(pending)) => pending.flight = Some(Flight { token, root, since_ms: now_ms }),
            _ => self.fail(now_ms),
        }
    }

    /// Takes the answer of a call; `status` is `None` when there was no response. `None` for a call that is not waited
    /// for any more.
    pub fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        compressed: bool,
        now_ms: u64,
    ) -> Option<Outcome> {
        let is_it = |pending: &Pending| pending.flight.is_some_and(|flight| flight.token == token);
        let at = self.pending.iter().position(is_it)?;
        match status {
            Some(200..=299) => {
                self.pending.remove(at);
                self.failures_in_a_row = 0;
                self.backoff = None;
                Some(Outcome::Acknowledged)
            }
            // Something on the way may not know the encoding; the body itself may be good.
            Some(400 | 413 | 415 | 422) if compressed => {
                self.compression = false;
                self.land(at);
                Some(Outcome::Uncompress)
            }
            // The planner judged this very body, and would judge it so again. Waiting for it would block for ever.
            Some(400 | 413 | 415 | 422) => {
                self.pending.remove(at);
                self.failed = self.failed.saturating_add(1);
                self.refused = self.refused.saturating_add(1);
                self.failures_in_a_row = 0;
                self.backoff = None;
                Some(Outcome::Refused)
            }
            _ => {
                self.land(at);
                self.fail(now_ms);
                Some(Outcome::Failed)
            }
        }
    }

    fn land(&mut self, at: usize) {
        if let Some(pending) = self.pending.get_mut(at) {
            pending.flight = None;
        }
    }

    /// Stops waiting for the calls of other root contexts than `root`: these may be gone, and their answers with them.
    pub fn recall(&mut self, root: u32) {
        for pending in &mut self.pending {
            if pending.flight.is_some_and(|flight| flight.root != root) {
                pending.flight = None;
                self.failed = self.failed.saturating_add(1);
            }
        }
    }

    /// Whether a call of this root context has no answer yet.
    pub fn awaits_answer(&self, root: u32) -> bool {
        self.pending.iter().any(|pending| pending.flight.is_some_and(|flight| flight.root == root))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail by a panic")]
mod tests;
