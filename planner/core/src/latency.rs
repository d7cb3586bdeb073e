//! Latency that may have no bound: requests to a saturated node wait for ever longer, so no number says how long.
//!
//! In memory such a latency is infinite. JSON has no infinite numbers, so there it is `null`; in words it is `saturated`.
use serde::{Deserialize, Deserializer, Serializer};

/// Milliseconds in words, `saturated` when they are without bound.
pub fn in_ms(ms: f64) -> String {
    if ms == f64::INFINITY { "saturated".to_owned() } else { format!("{ms:.1} ms") }
}

/// What a service comes to, in words: `reach 12.0 ms`, or `be saturated`.
pub fn reach(ms: f64) -> String {
    let words = in_ms(ms);
    if ms == f64::INFINITY { format!("be {words}") } else { format!("reach {words}") }
}

/// The number, or `None` when it is without bound: what answers and records show.
pub fn bounded(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Writes a number, and `null` for one without bound; for `#[serde(with = "crate::latency")]`.
///
/// # Errors
/// Those of the writer.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(crate) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    match bounded(*value) {
        Some(value) => to.serialize_f64(value),
        None => to.serialize_none(),
    }
}

/// Reads what [`serialize`] wrote.
///
/// # Errors
/// Those of the reader.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Quantity;

    #[test]
    fn what_has_no_bound_is_null_in_json_and_saturated_in_words() {
        for (ms, json, words) in [
            (403.76, r#"{"value":403.76,"unit":"milliseconds"}"#, "403.8 ms"),
            (f64::INFINITY, r#"{"value":null,"unit":"milliseconds"}"#, "saturated"),
        ] {
            let quantity = Quantity::ms(ms);
            assert_eq!(serde_json::to_string(&quantity).unwrap(), json);
            assert_eq!(serde_json::from_str::<Quantity>(json).unwrap(), quantity);
            assert_eq!((in_ms(ms), quantity.to_string()), (words.to_owned(), words.to_owned()));
            assert!(reach(ms).ends_with(words), "{}", reach(ms));
            assert_eq!(bounded(ms), ms.is_finite().then_some(ms));
        }
    }
}
