//! What all documents of operators have in common, policies and calendars: a version, a kind, a name, and a check that
//! finds every problem at once.
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The only version that is understood.
pub const API_VERSION: &str = "foremesh.dev/v1alpha1";

/// Name of a document, and what other tools write beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its name, unique among the documents of its kind.
    pub name: String,
    /// For other tools; not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For other tools; not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Something in a document that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{path} is {value}, but {limit}; {remedy}")]
pub struct SpecProblem {
    /// The field, such as `spec.rules[0].predictedLatency.above`.
    pub path: String,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub limit: String,
    /// What to do.
    pub remedy: String,
}

/// A kind of document, and the words for a head that is not of it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As it is written in `kind`.
    pub name: &'static str,
    /// Said of another kind.
    pub other: &'static str,
    /// Said of a document without a name.
    pub unnamed: &'static str,
    /// How such a document is named.
    pub naming: &'static str,
    /// How a text of the document is quoted in a problem.
    pub quoted: fn(&str) -> String,
}

/// Problems found so far, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<SpecProblem>);

impl Problems {
    /// Adds a problem: the field, what was given, what is allowed, what to do.
    pub fn add(&mut self, path: &str, value: impl fmt::Display, limit: &str, remedy: &str) {
        self.0.push(SpecProblem {
            path: path.to_owned(),
            value: value.to_string(),
            limit: limit.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// Adds problems that were found elsewhere.
    pub fn extend(&mut self, found: impl IntoIterator<Item = SpecProblem>) {
        self.0.extend(found);
    }

    /// Checks what every document begins with.
    pub fn head(&mut self, api_version: &str, kind: &str, metadata: &Metadata, wanted: &Kind) {
        if api_version != API_VERSION {
            let remedy = format!("write `apiVersion: {API_VERSION}`");
            self.add("apiVersion", (wanted.quoted)(api_version), "no other version is known", &remedy);
        }
        if kind != wanted.name {
            let remedy = format!("write `kind: {}`", wanted.name);
            self.add("kind", (wanted.quoted)(kind), wanted.other, &remedy);
        }
        if metadata.name.trim().is_empty() {
            self.add("metadata.name", "empty", wanted.unnamed, wanted.naming);
        }
    }

    /// What was read, when nothing is wrong with it.
    ///
    /// # Errors
    /// All problems otherwise.
    pub fn or<T>(self, read: impl FnOnce() -> T) -> Result<T, Vec<SpecProblem>> {
        if self.0.is_empty() { Ok(read()) } else { Err(self.0) }
    }
}
