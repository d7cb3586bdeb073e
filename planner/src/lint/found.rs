//! A policy with the place that it was read from.
use super::spans::{Marked, Place};
use foremesh_core::policy::RelocationPolicy;

/// A policy, and where its parts are.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) file: String,
    pub(super) policy: RelocationPolicy,
    pub(super) document: Marked,
}

impl Found {
    /// Where a field is.
    pub(super) fn place(&self, path: &str) -> Place {
        self.document.find(path)
    }

    /// Where a rule is.
    pub(super) fn rule(&self, index: usize) -> Place {
        self.place(&format!("spec.rules[{index}].name"))
    }

    /// Where a field of a part of a rule is. `part` is its number in an `all`.
    pub(super) fn in_rule(&self, rule: usize, part: Option<usize>, rest: &str) -> Place {
        let part = part.map(|part| format!(".all[{part}]")).unwrap_or_default();
        self.place(&format!("spec.rules[{rule}]{part}.{rest}"))
    }
}
