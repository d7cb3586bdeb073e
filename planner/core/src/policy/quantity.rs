//! Numbers with the unit that a rule judges them in.
use crate::latency::in_ms;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The unit of a rule's threshold and of what it compares with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Milliseconds of latency.
    Milliseconds,
    /// A share from 0 to 1 (or above, where more is asked for than there is).
    Share,
    /// CPU in thousandths of one core.
    Millicores,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// The operator's money per hour.
    MoneyPerHour,
}

impl Unit {
    /// Its name in answers and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "milliseconds",
            Self::Share => "share",
            Self::Millicores => "millicores",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes_per_second",
            Self::MoneyPerHour => "money_per_hour",
        }
    }
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// The number; infinite, in JSON `null`, for a latency without bound because a node saturates.
    #[serde(with = "crate::latency")]
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
}

impl Quantity {
    /// So many of a unit.
    pub const fn new(value: f64, unit: Unit) -> Self {
        Self { value, unit }
    }

    /// So many milliseconds.
    pub const fn ms(value: f64) -> Self {
        Self::new(value, Unit::Milliseconds)
    }

    /// A share, 0.2 for 20 %.
    pub const fn share(value: f64) -> Self {
        Self::new(value, Unit::Share)
    }

    /// The milliseconds, when it is a time.
    pub fn as_ms(self) -> Option<f64> {
        (self.unit == Unit::Milliseconds).then_some(self.value)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.unit {
            Unit::Milliseconds => f.write_str(&in_ms(value)),
            Unit::Share => write!(f, "{} %", percent(value)),
            Unit::Millicores => write!(f, "{value:.0} millicores"),
            Unit::Bytes => write!(f, "{:.1} MiB", value / f64::from(1 << 20)),
            Unit::BytesPerSecond => write!(f, "{:.1} MB/s", value / 1e6),
            Unit::MoneyPerHour => write!(f, "{value:.2} per hour"),
        }
    }
}

/// A share in percent with as many digits as tell it from all and nothing: availability of 99.9995 % is not 100 %.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let distance = percent.abs().min((100.0 - percent).abs());
    let digits = [2, 3, 4, 5].into_iter().find(|digits| distance <= 0.0 || distance >= 0.1_f64.powi(*digits));
    let text = format!("{percent:.*}", digits.unwrap_or(6) as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_with_their_units() {
        for (value, unit, want) in [
            (403.76, Unit::Milliseconds, "403.8 ms"),
            (0.9995, Unit::Share, "99.95 %"),
            (0.999_999, Unit::Share, "99.9999 %"),
            (0.8, Unit::Share, "80 %"),
            (1.0, Unit::Share, "100 %"),
            (0.0, Unit::Share, "0 %"),
            (1.2, Unit::Share, "120 %"),
            (800.0, Unit::Millicores, "800 millicores"),
            (536_870_912.0, Unit::Bytes, "512.0 MiB"),
            (5e7, Unit::BytesPerSecond, "50.0 MB/s"),
            (0.25, Unit::MoneyPerHour, "0.25 per hour"),
        ] {
            assert_eq!(Quantity::new(value, unit).to_string(), want);
        }
        assert_eq!(Quantity::ms(3.0).as_ms(), Some(3.0));
        assert_eq!(Quantity::share(3.0).as_ms(), None);
    }
}
