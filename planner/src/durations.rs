//! Lengths of time in settings files, written as people write them (`250ms`, `30s`, `2m`) and kept as milliseconds.
use foremesh_core::duration::{format_ms, parse_ms};
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::Duration;

/// Reads a length of time.
///
/// # Errors
/// When the text is not one.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    parse_ms(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Writes a length of time in the same form.
///
/// # Errors
/// When the writer fails.
pub fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_ms(*ms))
}

/// Milliseconds as a duration; a negative number is none.
pub fn of_ms(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
