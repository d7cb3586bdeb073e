//! Durations as scenario files write them.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};

/// Whole minutes, written like `90m`, `2d` or `1d6h30m`; a leading `-` goes for all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minutes(pub i64);

impl Minutes {
    /// What `text` says, or none when it is not a duration.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (mut total, mut digits) = (0_i64, String::new());
        for character in rest.chars() {
            if character.is_ascii_digit() && digits.len() < 6 {
                digits.push(character);
                continue;
            }
            let unit = match character {
                'd' => 1440,
                'h' => 60,
                'm' => 1,
                _ => return None,
            };
            total += digits.parse::<i64>().ok()? * unit;
            digits.clear();
        }
        (digits.is_empty() && !rest.is_empty()).then_some(Self(sign * total))
    }
}

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", self.0)
    }
}

impl<'de> Deserialize<'de> for Minutes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is not a duration; write days, hours and minutes like `1d6h30m`"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Minutes;

    #[test]
    fn durations_are_whole_minutes() {
        for (text, minutes) in [
            ("90m", Some(90)),
            ("2d", Some(2880)),
            ("1d6h30m", Some(1830)),
            ("-2d10h", Some(-3480)),
            ("0m", Some(0)),
            ("", None),
            ("-", None),
            ("5", None),
            ("5s", None),
            ("h", None),
            ("1.5h", None),
            ("9999999d", None),
        ] {
            assert_eq!(Minutes::parse(text).map(|read| read.0), minutes, "{text}");
        }
    }
}
