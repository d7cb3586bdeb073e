//! Constraints of a service as conditions on the labels of nodes.
use foremesh_core::topology::{Operator, Requirement};

/// One constraint, such as `node.labels.disk==ssd`.
///
/// # Errors
/// When it is about something that the planner does not know, or cannot compare.
pub(super) fn requirement(written: &str) -> Result<Requirement, String> {
    let (key, operator, value) = if let Some((key, value)) = written.split_once("==") {
        (key, Operator::In, value)
    } else if let Some((key, value)) = written.split_once("!=") {
        (key, Operator::NotIn, value)
    } else {
        return Err(format!("the constraint `{written}` has neither == nor !="));
    };
    let (key, value) = (key.trim(), value.trim());
    let lower = key.to_lowercase();
    let own = ["node.id", "node.hostname", "node.role", "node.platform.os", "node.platform.arch"];
    // Names of labels are told apart by case, all else is not.
    let key = if own.contains(&lower.as_str()) {
        lower
    } else if let Some(label) = rest(key, "node.labels.") {
        format!("node.labels.{label}")
    } else if let Some(label) = rest(key, "engine.labels.") {
        format!("engine.labels.{label}")
    } else {
        return Err(format!("the planner does not know what the constraint `{written}` is about"));
    };
    let value = if key == "node.platform.arch" { super::nodes::architecture(value) } else { value };
    Ok(Requirement { key, operator, values: [value.to_lowercase()].into() })
}

fn rest<'k>(key: &'k str, prefix: &str) -> Option<&'k str> {
    let begins = key.get(..prefix.len())?.eq_ignore_ascii_case(prefix);
    begins.then(|| &key[prefix.len()..])
}
