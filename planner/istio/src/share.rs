//! Shares of the traffic by location.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// On which side of a move a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// Where the replica comes from.
    Source,
    /// Where it goes to.
    Target,
    /// Replicas that are not moved.
    Stay,
}

impl Location {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Source, Self::Target, Self::Stay];

    /// Value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::Stay => "stay",
        }
    }

    /// What a label says.
    pub fn of(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|location| location.as_str() == label)
    }

    /// Name of the subset of a user's subset, or of all pods, at this location.
    pub(crate) fn subset(self, of: Option<&str>) -> String {
        format!("{}-{}", of.unwrap_or("foremesh"), self.as_str())
    }
}

/// Shares of a service's traffic; only their ratios count. A location that is missing is not routed to.
pub type Shares = BTreeMap<Location, u32>;

/// A weight in integers by shares, by the largest remainder, the earlier location first among equals. The sum is the
/// weight. Shares that are all zero give nothing.
pub(crate) fn divide(weight: u64, shares: &Shares) -> Vec<(Location, u64)> {
    let total: u64 = shares.values().map(|share| u64::from(*share)).sum();
    if total == 0 {
        return Vec::new();
    }
    let exact = |share: u32| u128::from(weight) * u128::from(share);
    let total = u128::from(total);
    let mut parts: Vec<(Location, u64)> = shares
        .iter()
        .map(|(location, share)| (*location, u64::try_from(exact(*share) / total).unwrap_or(u64::MAX)))
        .collect();
    let given: u64 = parts.iter().map(|(_, part)| part).sum();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let remainder: Vec<u128> = shares.values().map(|share| exact(*share) % total).collect();
    order.sort_by_key(|index| std::cmp::Reverse(remainder[*index]));
    for index in order.into_iter().take(usize::try_from(weight - given).unwrap_or(0)) {
        parts[index].1 += 1;
    }
    parts
}
