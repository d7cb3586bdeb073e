//! Times in answers: RFC 3339 in UTC.
use foremesh_core::time::Timestamp;

/// A time as people and programs write it, such as `2026-11-24T09:30:00.5Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.unix_ms())
        .map_or_else(|_| at.unix_ms().to_string(), |at| at.to_string())
}

/// Reads what [`rfc3339`] writes.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp::from_unix_ms(at.as_millisecond()))
}
