//! Who has said that a workload is not to be moved: its owners, or tools that disrupt pods too.
use crate::objects::Meta;
use foremesh_core::topology::Tier;

/// Our own word for it; its value is the reason.
const PINNED: &str = "foremesh.dev/pinned";
/// How important a workload is.
const TIER: &str = "foremesh.dev/tier";

/// Annotations of other tools that forbid a disruption, and the value that lifts it or that is needed.
const OTHERS: [(&str, Forbids); 7] = [
    ("karpenter.sh/do-not-disrupt", Forbids::UnlessFalse),
    ("karpenter.sh/do-not-evict", Forbids::UnlessFalse),
    ("karpenter.sh/do-not-consolidate", Forbids::UnlessFalse),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", Forbids::When("false")),
    ("descheduler.alpha.kubernetes.io/prefer-no-eviction", Forbids::UnlessFalse),
    ("descheduler.alpha.kubernetes.io/do-not-evict", Forbids::UnlessFalse),
    // The highest cost means never.
    ("scheduling.koordinator.sh/eviction-cost", Forbids::When("2147483647")),
];

enum Forbids {
    UnlessFalse,
    When(&'static str),
}

/// Why not, by the annotations of one object, which is named in the reason.
pub(super) fn opted_out(what: &str, meta: &Meta) -> Option<String> {
    if let Some(value) = meta.annotations.get(PINNED).filter(|value| *value != "false") {
        let why = if value.is_empty() || value == "true" { String::new() } else { format!(": {value}") };
        return Some(format!("annotation {PINNED} of its {what}{why}"));
    }
    OTHERS.iter().find_map(|(name, forbids)| {
        let value = meta.annotations.get(*name)?;
        let forbidden = match forbids {
            Forbids::UnlessFalse => value != "false",
            Forbids::When(forbidding) => value == forbidding,
        };
        forbidden.then(|| format!("annotation {name}={value} of its {what}"))
    })
}

/// How important a workload is said to be.
///
/// # Errors
/// When the word is not known: then nobody knows how much may be risked.
pub(super) fn tier(meta: &Meta) -> Result<Tier, String> {
    match meta.annotations.get(TIER).map(String::as_str) {
        None => Ok(Tier::default()),
        Some("critical") => Ok(Tier::Critical),
        Some("standard") => Ok(Tier::Standard),
        Some("best-effort" | "best_effort") => Ok(Tier::BestEffort),
        Some(other) => {
            Err(format!("annotation {TIER} is `{other}`, and not critical, standard or best-effort"))
        }
    }
}
