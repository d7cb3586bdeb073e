//! Counts and latencies of a load, per second and in total.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use tokio::sync::mpsc;

/// Most failures that are kept with their text; the count goes on.
const MAX_FAILURES: usize = 10_000;

/// Requests since the start of the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Requests that were due.
    pub offered: u64,
    /// Requests that were given to a connection.
    pub sent: u64,
    /// Requests with a 2xx answer.
    pub ok: u64,
    /// Requests with another answer or none.
    pub failed: u64,
}

impl Totals {
    /// Requests that are due and not yet ended.
    pub fn in_flight(&self) -> u64 {
        self.offered.saturating_sub(self.ok + self.failed)
    }
}

/// One second of a load; requests count in the second in which they end.
#[derive(Debug, Clone)]
pub struct Window {
    /// Full seconds from the start of the first day to the start of this window.
    pub second: u64,
    /// Requests that were due.
    pub offered: u64,
    /// Requests that were given to a connection.
    pub sent: u64,
    /// Requests with a 2xx answer.
    pub ok: u64,
    /// Requests with another answer or none.
    pub failed: u64,
    /// Requests that had not ended at the end of the window.
    pub in_flight: u64,
    /// Latencies of the `ok` requests in microseconds, within 1 %.
    pub latency_us: Histogram<u32>,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// When, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// How long after it was due, in milliseconds.
    pub latency_ms: u64,
    /// Status, or what went wrong.
    pub text: String,
}

/// What a load did.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// All requests.
    pub totals: Totals,
    /// Latencies of the `ok` requests in microseconds, within 0.1 %.
    pub latency_us: Histogram<u32>,
    /// The first failures, at most 10 000.
    pub failures: Vec<Failure>,
}

impl Window {
    /// A quantile of the latency in milliseconds, such as `0.99`; `None` when no request succeeded.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        quantile_ms(&self.latency_us, quantile)
    }

    /// Whether a quantile of this second, such as 0.95, is over an objective in milliseconds.
    ///
    /// A failed request counts as one that took for ever. A second in which nothing ended although requests were
    /// waiting misses as well; a second without any request does not.
    pub fn misses(&self, quantile: f64, objective_ms: f64) -> bool {
        let ended = self.ok + self.failed;
        if ended == 0 {
            return self.in_flight > 0;
        }
        let limit = (objective_ms * 1e3) as u64;
        let slow = self.latency_us.count_between(limit.saturating_add(1), u64::MAX);
        (slow + self.failed) as f64 > (1.0 - quantile) * ended as f64
    }
}

impl LoadReport {
    /// A quantile of the latency in milliseconds, such as `0.99`; `None` when no request succeeded.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        quantile_ms(&self.latency_us, quantile)
    }

    /// Requests that never got a connection; they are among the failed ones.
    pub fn unsent(&self) -> u64 {
        self.totals.offered.saturating_sub(self.totals.sent)
    }
}

fn quantile_ms(latency_us: &Histogram<u32>, quantile: f64) -> Option<f64> {
    (!latency_us.is_empty()).then(|| latency_us.value_at_quantile(quantile) as f64 / 1e3)
}

/// Counts as requests go.
#[derive(Debug)]
pub(super) struct Recorder {
    state: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    totals: Totals,
    /// Totals that closed windows have reported.
    reported: Totals,
    second: u64,
    window: Histogram<u32>,
    total: Histogram<u32>,
    failures: Vec<Failure>,
    windows: Option<mpsc::UnboundedSender<Window>>,
}

impl Recorder {
    pub(super) fn new() -> Result<Self, CreationError> {
        let counts = Counts {
            totals: Totals::default(),
            reported: Totals::default(),
            second: 0,
            window: Histogram::new(2)?,
            total: Histogram::new(3)?,
            failures: Vec::new(),
            windows: None,
        };
        Ok(Self { state: Mutex::new(counts) })
    }

    pub(super) fn offered(&self) {
        self.lock().totals.offered += 1;
    }

    pub(super) fn sent(&self) {
        self.lock().totals.sent += 1;
    }

    /// Takes back one [`Self::sent`]: the connection gave the request back unwritten, and no other could be had.
    pub(super) fn unsent(&self) {
        let totals = &mut self.lock().totals;
        totals.sent = totals.sent.saturating_sub(1);
    }

    pub(super) fn succeeded(&self, latency: Duration) {
        let mut counts = self.lock();
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        counts.totals.ok += 1;
        record(&mut counts.window, us);
        record(&mut counts.total, us);
    }

    pub(super) fn failed(&self, at_unix_ms: u64, latency: Duration, text: String) {
        let mut counts = self.lock();
        counts.totals.failed += 1;
        if counts.failures.len() < MAX_FAILURES {
            let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
            counts.failures.push(Failure { at_unix_ms, latency_ms, text });
        }
    }

    /// Sends closed windows to a receiver; the first one starts at a second of the day.
    pub(super) fn publish_to(&self, windows: mpsc::UnboundedSender<Window>, first_second: u64) {
        let mut counts = self.lock();
        counts.windows = Some(windows);
        counts.second = first_second;
    }

    pub(super) fn close_window(&self) {
        self.lock().close_window();
    }

    /// Counts what has not ended as failed, publishes the last window and gives the report.
    pub(super) fn finish(&self, now_unix_ms: u64) -> LoadReport {
        let mut counts = self.lock();
        let cut_off = counts.totals.in_flight();
        for _ in 0..cut_off {
            counts.totals.failed += 1;
            if counts.failures.len() < MAX_FAILURES {
                let text = "cut off when the load ended".to_owned();
                counts.failures.push(Failure { at_unix_ms: now_unix_ms, latency_ms: 0, text });
            }
        }
        if counts.totals != counts.reported {
            counts.close_window();
        }
        // The receiver learns that no window follows.
        counts.windows = None;
        LoadReport {
            totals: counts.totals,
            latency_us: counts.total.clone(),
            failures: std::mem::take(&mut counts.failures),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn close_window(&mut self) {
        let (now, before) = (self.totals, self.reported);
        let fresh = Histogram::new_from(&self.window);
        let window = Window {
            second: self.second,
            offered: now.offered - before.offered,
            sent: now.sent.saturating_sub(before.sent),
            ok: now.ok - before.ok,
            failed: now.failed - before.failed,
            in_flight: now.in_flight(),
            latency_us: std::mem::replace(&mut self.window, fresh),
        };
        self.reported = now;
        self.second += 1;
        if let Some(windows) = &self.windows {
            // A receiver that is gone does not want windows; the report is still made.
            drop(windows.send(window));
        }
    }
}

fn record(histogram: &mut Histogram<u32>, us: u64) {
    // It resizes itself and a count of 2^32 is out of reach, so nothing is refused.
    if let Err(error) = histogram.record(us) {
        tracing::warn!(%error, us, "latency not recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One window of requests that ended after so many milliseconds, `None` for a failure, and of some that wait.
    fn window(ended: &[Option<u32>], waiting: usize) -> Window {
        let recorder = Recorder::new().unwrap();
        let (windows, mut received) = mpsc::unbounded_channel();
        recorder.publish_to(windows, 7);
        for _ in 0..ended.len() + waiting {
            recorder.offered();
            recorder.sent();
        }
        for ended in ended {
            match ended {
                Some(ms) => recorder.succeeded(MS * *ms),
                None => recorder.failed(1, MS, "status 503".to_owned()),
            }
        }
        recorder.close_window();
        received.try_recv().unwrap()
    }

    #[test]
    fn a_window_misses_when_more_than_one_percent_is_slow_or_failed() {
        let of = |slow: usize, failed: usize, fast: usize| {
            let slow = std::iter::repeat_n(Some(300), slow);
            let failed = std::iter::repeat_n(None, failed);
            slow.chain(failed).chain(std::iter::repeat_n(Some(20), fast)).collect::<Vec<_>>()
        };
        let cases = [
            ("all fast", of(0, 0, 100), 0, false),
            ("1 of 100 slow", of(1, 0, 99), 0, false),
            ("2 of 100 slow", of(2, 0, 98), 0, true),
            ("2 of 100 failed", of(0, 2, 98), 0, true),
            ("one slow, one failed", of(1, 1, 98), 0, true),
            ("nothing ended, some wait", vec![], 3, true),
            ("nothing at all", vec![], 0, false),
        ];
        for (name, ended, waiting, want) in cases {
            assert_eq!(window(&ended, waiting).misses(0.99, 250.0), want, "case {name}");
        }
    }

    #[test]
    fn a_window_counts_what_ended_in_it() {
        let window = window(&[Some(10), Some(30), None], 2);
        assert_eq!((window.second, window.offered, window.sent), (7, 5, 5));
        assert_eq!((window.ok, window.failed, window.in_flight), (2, 1, 2));
        let p99 = window.quantile_ms(0.99).unwrap();
        assert!((p99 / 30.0 - 1.0).abs() < 0.02, "P99 is {p99} ms");
    }

    #[test]
    fn the_end_counts_every_request_once() {
        let recorder = Recorder::new().unwrap();
        let (windows, mut received) = mpsc::unbounded_channel();
        recorder.publish_to(windows, 0);
        for _ in 0..5 {
            recorder.offered();
        }
        for _ in 0..4 {
            recorder.sent();
        }
        recorder.succeeded(MS);
        recorder.close_window();
        recorder.failed(1, MS, "no connection".to_owned());
        let report = recorder.finish(2);
        assert_eq!(report.totals, Totals { offered: 5, sent: 4, ok: 1, failed: 4 });
        assert_eq!((report.unsent(), report.failures.len()), (1, 4));
        let mut windows = Vec::new();
        while let Ok(window) = received.try_recv() {
            windows.push(window);
        }
        let sum = |of: fn(&Window) -> u64| windows.iter().map(of).sum::<u64>();
        assert_eq!((sum(|w| w.offered), sum(|w| w.ok), sum(|w| w.failed)), (5, 1, 4));
    }
}
