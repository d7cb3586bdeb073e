//! Conditions on labels, and on nodes.
use foremesh_core::topology::{Operator, Requirement};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Conditions on labels, all of which must hold. Without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "WrittenSelector")]
pub(crate) struct Selector {
    all: Vec<Requirement>,
}

impl Selector {
    /// Labels with these values, as a Service selects.
    pub(crate) fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        Self { all: labels.iter().map(|(key, value)| equals(key, value)).collect() }
    }

    /// Whether it selects what has these labels.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.all.iter().all(|requirement| requirement.holds(labels.get(&requirement.key)))
    }
}

/// The condition that a label has one value.
pub(crate) fn equals(key: &str, value: &str) -> Requirement {
    Requirement { key: key.to_owned(), operator: Operator::In, values: BTreeSet::from([value.to_owned()]) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

impl From<WrittenSelector> for Selector {
    fn from(written: WrittenSelector) -> Self {
        let mut selector = Self::of_labels(&written.match_labels);
        selector.all.extend(written.match_expressions.into_iter().map(Requirement::from));
        selector
    }
}

/// One condition as it is written.
#[derive(Clone, Debug, Deserialize)]
struct Expression {
    key: String,
    operator: WrittenOperator,
    #[serde(default)]
    values: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum WrittenOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

impl From<Expression> for Requirement {
    fn from(Expression { key, operator, values }: Expression) -> Self {
        let operator = match operator {
            WrittenOperator::In => Operator::In,
            WrittenOperator::NotIn => Operator::NotIn,
            WrittenOperator::Exists => Operator::Exists,
            WrittenOperator::DoesNotExist => Operator::DoesNotExist,
            WrittenOperator::Gt => Operator::Above,
            WrittenOperator::Lt => Operator::Below,
        };
        Self { key, operator, values }
    }
}

/// One way to be the right node: by its labels and by its name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "WrittenTerm")]
pub(crate) struct NodeTerm {
    pub(crate) labels: Vec<Requirement>,
    /// Conditions on the node's name.
    pub(crate) names: Vec<Requirement>,
}

impl NodeTerm {
    /// Whether a node is a right one. A term without conditions selects nothing, as the scheduler has it.
    pub(crate) fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let name = name.to_owned();
        !(self.labels.is_empty() && self.names.is_empty())
            && self.labels.iter().all(|requirement| requirement.holds(labels.get(&requirement.key)))
            && self.names.iter().all(|requirement| requirement.holds(Some(&name)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenTerm {
    #[serde(default)]
    match_expressions: Vec<Expression>,
    #[serde(default)]
    match_fields: Vec<Expression>,
}

impl From<WrittenTerm> for NodeTerm {
    fn from(written: WrittenTerm) -> Self {
        let all = |written: Vec<Expression>| written.into_iter().map(Requirement::from).collect();
        // The only field that can be selected by is `metadata.name`.
        Self { labels: all(written.match_expressions), names: all(written.match_fields) }
    }
}
