//! Lengths of time in settings files, written as people write them (`250ms`, `30s`, `2m`) and kept as milliseconds.
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::Duration;

/// Reads a length of time.
///
/// # Errors
/// When the text is not one.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format!("`{text}` is not a duration ({error}); write it like 250ms, 30s or 2m"))
    })?;
    i64::try_from(duration.as_millis())
        .map_err(|_| D::Error::custom(format!("`{text}` is too long; the limit is 292 million years")))
}

/// Writes a length of time in the same form.
pub fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(of_ms(*ms)))
}

/// Milliseconds as a duration; a negative number is none.
pub fn of_ms(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
