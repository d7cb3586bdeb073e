//! Amounts as Kubernetes writes them: `250m`, `1.5`, `128Mi`, `1e3`.
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// An amount in its plain unit: cores, bytes, pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(crate) struct Quantity(f64);

impl Quantity {
    /// Of this text, or `None` when it is no amount.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // A number may have an exponent, `1e3`, and `E` alone is the suffix for 10^18.
        let number = text.parse::<f64>().ok().filter(|_| !text.ends_with(|last: char| last.is_alphabetic()));
        if let Some(number) = number {
            return number.is_finite().then_some(Self(number));
        }
        let split = text.find(|c: char| c.is_alphabetic())?;
        let (number, suffix) = text.split_at(split);
        let number: f64 = number.parse().ok()?;
        let factor = match suffix {
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1_048_576.0,
            "Gi" => 1_073_741_824.0,
            "Ti" => 1_099_511_627_776.0,
            "Pi" => 1_125_899_906_842_624.0,
            "Ei" => 1_152_921_504_606_846_976.0,
            _ => return None,
        };
        Some(Self(number * factor))
    }

    /// In cores, bytes or pieces.
    pub(crate) const fn get(self) -> f64 {
        self.0
    }

    /// Cores in thousandths, whole ones exactly: nothing finer than a billionth of a core is ever written.
    pub(crate) fn millicores(self) -> f64 {
        (self.0 * 1e9).round() / 1e6
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;

        impl de::Visitor<'_> for Amount {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as `250m` or `128Mi`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number as f64))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number as f64))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity(number))
            }
        }

        deserializer.deserialize_any(Amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_means_them() {
        let mega = 1_048_576.0;
        for (text, want) in [
            ("0", Some(0.0)),
            ("1", Some(1.0)),
            ("1.5", Some(1.5)),
            ("250m", Some(0.25)),
            ("15423n", Some(15_423e-9)),
            ("128Mi", Some(128.0 * mega)),
            ("1Gi", Some(1024.0 * mega)),
            ("500M", Some(5e8)),
            ("2k", Some(2e3)),
            ("1e3", Some(1e3)),
            ("1E3", Some(1e3)),
            ("2E", Some(2e18)),
            ("110", Some(110.0)),
            ("", None),
            ("much", None),
            ("5 apples", None),
            ("inf", None),
            ("NaN", None),
        ] {
            let got = Quantity::parse(text).map(Quantity::get);
            let same = match (got, want) {
                (Some(got), Some(want)) => (got - want).abs() <= want.abs() * 1e-12,
                (got, want) => got == want,
            };
            assert!(same, "`{text}` was read as {got:?}, not {want:?}");
        }
    }
}
