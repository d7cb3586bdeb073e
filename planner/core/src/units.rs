//! Numbers that are only meaningful in a range or with a unit.
use serde::{Deserialize, Serialize};

/// A number outside the range of its type.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{what} must be {range}, but {value} was given")]
pub struct RangeError {
    what: &'static str,
    range: &'static str,
    value: f64,
}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident, $what:literal, $range:literal, |$v:ident| $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Checks the range.
            ///
            /// # Errors
            /// When the value is outside the range, or not a number.
            pub fn new($v: f64) -> Result<Self, RangeError> {
                if $ok { Ok(Self($v)) } else { Err(RangeError { what: $what, range: $range, value: $v }) }
            }

            /// The plain number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = RangeError;

            fn try_from(value: f64) -> Result<Self, RangeError> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }
    };
}

ranged!(
    /// A quantile level between 0 and 1, both excluded: 0.99 for P99.
    Quantile, "a quantile", "between 0 and 1, both excluded (0.99 for P99)", |v| v > 0.0 && v < 1.0
);
impl Default for Probability {
    /// Impossible.
    fn default() -> Self {
        Self(0.0)
    }
}

ranged!(
    /// A probability from 0 to 1.
    Probability, "a probability", "from 0 to 1", |v| (0.0..=1.0).contains(&v)
);
ranged!(
    /// CPU in thousandths of one core: 1500 is one core and a half.
    Millicores, "CPU in millicores", "0 or more", |v| v >= 0.0 && v.is_finite()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_name_what_was_given() {
        assert_eq!(
            Quantile::new(99.0).unwrap_err().to_string(),
            "a quantile must be between 0 and 1, both excluded (0.99 for P99), but 99 was given"
        );
        assert!(Probability::new(f64::NAN).is_err());
        assert!(Millicores::new(-1.0).is_err());
    }
}
