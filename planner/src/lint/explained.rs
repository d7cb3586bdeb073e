//! What each rule does, for the answer.
use super::{found::Found, spans::Place, words::rule_in_words};
use serde::Serialize;

/// A rule in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The file.
    pub file: String,
    /// Where in it.
    #[serde(flatten)]
    pub place: Place,
    /// The policy.
    pub policy: String,
    /// The rule.
    pub rule: String,
    /// What it does.
    pub says: String,
}

pub(super) fn rules(found: &Found) -> Vec<Explained> {
    let rules = found.policy.rules.iter().enumerate();
    rules
        .map(|(index, rule)| Explained {
            file: found.file.clone(),
            place: found.rule(index),
            policy: found.policy.id.to_string(),
            rule: rule.name.clone(),
            says: rule_in_words(&found.policy, rule),
        })
        .collect()
}
