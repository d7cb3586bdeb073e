//! Network distance between zones, as a delay: the kernel of a small machine cannot add one to its links.

use std::str::FromStr;
use std::time::Duration;

/// What a call between two zones takes longer, there and back; the same in both directions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Distance {
    zones: (String, String),
    delay: Duration,
}

impl FromStr for Distance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no distance, such as zone-a/zone-b=4 (milliseconds)");
        let (zones, ms) = text.split_once('=').ok_or_else(wrong)?;
        let (one, other) =
            zones.split_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty()).ok_or_else(wrong)?;
        let ms: f64 = ms.parse().map_err(|_| wrong())?;
        let delay = Duration::try_from_secs_f64(ms / 1e3).map_err(|_| wrong())?;
        Ok(Self { zones: (one.to_owned(), other.to_owned()), delay })
    }
}

/// The delay of a call from `peer` to `own`; none when a zone or the distance is not known.
pub(crate) fn between(distances: &[Distance], own: &str, peer: &str) -> Duration {
    let is = |distance: &&Distance| {
        let (one, other) = &distance.zones;
        (one == own && other == peer) || (one == peer && other == own)
    };
    distances.iter().find(is).map_or(Duration::ZERO, |distance| distance.delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_hold_both_ways() {
        let distances: Vec<Distance> =
            ["zone-a/zone-b=4", "zone-a/zone-c=0.5"].iter().map(|text| text.parse().unwrap()).collect();
        let cases = [
            ("zone-a", "zone-b", 4_000),
            ("zone-b", "zone-a", 4_000),
            ("zone-c", "zone-a", 500),
            ("zone-b", "zone-c", 0),
            ("zone-a", "zone-a", 0),
            ("zone-a", "", 0),
        ];
        for (own, peer, us) in cases {
            assert_eq!(between(&distances, own, peer), Duration::from_micros(us), "{own} from {peer}");
        }
    }

    #[test]
    fn what_is_no_distance_is_refused() {
        for text in ["", "zone-a=4", "zone-a/zone-b", "zone-a/zone-b=near", "zone-a/zone-b=-1", "/zone-b=1"] {
            assert!(text.parse::<Distance>().is_err(), "`{text}` is taken");
        }
    }
}
