//! Lengths of time as people write them in policies: `250ms`, `30s`, `15m`, `2h`, `1d`.

/// Milliseconds of each unit, the longest first.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A text that is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d")]
pub struct DurationError(String);

/// Reads a whole number with a unit as milliseconds.
///
/// # Errors
/// When the text is anything else, or too long for 64 bits.
pub fn parse_ms(text: &str) -> Result<i64, DurationError> {
    let error = || DurationError(text.to_owned());
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
    let (number, unit) = text.split_at(unit_at);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
    number.parse::<i64>().ok().and_then(|number| number.checked_mul(*unit_ms)).ok_or_else(error)
}

/// Writes milliseconds with the longest unit that divides them.
pub fn format_ms(ms: i64) -> String {
    let (name, unit_ms) =
        UNITS.iter().find(|(_, unit_ms)| ms != 0 && ms % unit_ms == 0).unwrap_or(&("ms", 1));
    format!("{}{name}", ms / unit_ms)
}

/// Writes milliseconds for a sentence, rounded to two units at most: `12 min 30 s`.
pub fn in_words(ms: i64) -> String {
    let seconds = (ms as f64 / 1e3).round() as i64;
    match seconds {
        ..0 => format!("-{}", in_words(ms.saturating_neg())),
        0..60 if ms % 1000 != 0 && ms < 10_000 => format!("{:.1} s", ms as f64 / 1e3),
        0..60 => format!("{seconds} s"),
        60..3600 if seconds % 60 == 0 => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, ms) in
            [("250ms", 250), ("30s", 30_000), ("15m", 900_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse_ms(text), Ok(ms));
            assert_eq!(format_ms(ms), text);
        }
        assert_eq!(format_ms(90_000), "90s");
        assert_eq!(format_ms(0), "0ms");
    }

    #[test]
    fn what_is_no_duration_is_named() {
        for text in ["", "5", "m", "1.5h", "-3s", "3 s", "9999999999999999d"] {
            assert!(parse_ms(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_ms("soon").unwrap_err().to_string(),
            "`soon` is not a duration; write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d"
        );
    }

    #[test]
    fn words_round() {
        for (ms, want) in [
            (1_500, "1.5 s"),
            (45_000, "45 s"),
            (750_000, "12 min 30 s"),
            (7_290_000, "2 h 1 min"),
            (-60_000, "-1 min"),
        ] {
            assert_eq!(in_words(ms), want);
        }
    }
}
