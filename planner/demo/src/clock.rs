//! The wall clock, read here only: hosts, load and neighbours of one world agree on the start of the day by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the wall clock")]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// Seconds from the start of the day to now; negative when the day starts later.
pub(crate) fn seconds_since(start_unix_ms: u64) -> f64 {
    (unix_ms() as f64 - start_unix_ms as f64) / 1e3
}
