//! What the API server itself refuses: limits, and rules in CEL that say what to write instead.
//!
//! They repeat the checks that files meet, as far as CEL can say them within its limits of cost. What it cannot say is said in
//! the status of the object.
use foremesh_core::duration::format_ms;
use serde_json::{Map, Value, json};

/// Letters at most of durations, amounts and other short texts: anything longer is none.
const SHORT: usize = 64;

/// A duration of whole numbers; ten digits are more than any limit.
const DURATION: &str = "self.matches('^[0-9]{1,10}(ms|s|m|h|d)$')";
const DURATION_MS: &str = "int(self.find('^[0-9]+')) * (self.endsWith('ms') ? 1 : self.endsWith('s') ? 1000 : \
                           self.endsWith('m') ? 60000 : self.endsWith('h') ? 3600000 : 86400000)";

/// What is added to the schema of a field.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// Where in the schema: names joined by points, `[]` for what is in a list. Empty for the whole.
    at: String,
    /// Keywords.
    keywords: Map<String, Value>,
}

/// Keywords, or rules, for a field.
pub(super) fn limit(at: impl Into<String>, keywords: Value) -> Limit {
    let keywords = if let Value::Object(keywords) = keywords { keywords } else { Map::new() };
    Limit { at: at.into(), keywords }
}

/// Rules for a field; each in CEL, and what to say where it does not hold.
pub(super) fn rules(at: impl Into<String>, rules: &[(&str, &str)]) -> Limit {
    limit(at, json!({"x-kubernetes-validations": written(rules)}))
}

fn written(rules: &[(&str, &str)]) -> Value {
    rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect()
}

/// Rules for a mapping; each in CEL, what to say where it does not hold, and of which of its fields.
pub(super) fn rules_of_fields(at: impl Into<String>, rules: &[(&str, &str, &str)]) -> Limit {
    let rules: Value = rules
        .iter()
        .map(|(rule, field, message)| json!({"rule": rule, "message": message, "fieldPath": format!(".{field}")}))
        .collect();
    limit(at, json!({"x-kubernetes-validations": rules}))
}

/// Rules for a short text.
pub(super) fn short(at: impl Into<String>, said: &[(&str, &str)]) -> Limit {
    limit(at, json!({"maxLength": SHORT, "x-kubernetes-validations": written(said)}))
}

/// A text that must not be blank.
pub(super) fn named(at: impl Into<String>, most: usize, message: &str) -> Limit {
    let rule = written(&[("self.trim() != ''", message)]);
    limit(at, json!({"maxLength": most, "x-kubernetes-validations": rule}))
}

/// A duration, in milliseconds from one to another.
pub(super) fn duration(at: impl Into<String>, least_ms: i64, most_ms: i64) -> Limit {
    let range = format!("!{DURATION} || ({DURATION_MS} >= {least_ms} && {DURATION_MS} <= {most_ms})");
    let (least, most) = (format_ms(least_ms), format_ms(most_ms));
    short(
        at,
        &[
            (
                DURATION,
                "it must be a duration; write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d",
            ),
            (&range, &format!("it must be from {least} to {most}; choose a length in this range")),
        ],
    )
}

/// One of some words.
pub(super) fn words(at: impl Into<String>, words: &[&str]) -> Limit {
    limit(at, json!({"enum": words}))
}

/// Adds limits to a schema; gives those back for which there is no such field.
pub(super) fn apply(schema: &mut Value, limits: Vec<Limit>) -> Vec<String> {
    let mut missing = Vec::new();
    for Limit { at, keywords } in limits {
        match find(schema, &at) {
            Some(field) => keywords.into_iter().for_each(|(keyword, value)| add(field, keyword, value)),
            None => missing.push(at),
        }
    }
    missing
}

/// Rules come beside those that are there; other keywords in their place.
fn add(field: &mut Map<String, Value>, keyword: String, value: Value) {
    match (field.get_mut(&keyword), value) {
        (Some(Value::Array(before)), Value::Array(more)) if keyword == "x-kubernetes-validations" => {
            before.extend(more);
        }
        (_, value) => drop(field.insert(keyword, value)),
    }
}

fn find<'a>(schema: &'a mut Value, at: &str) -> Option<&'a mut Map<String, Value>> {
    let mut here = schema;
    for name in at.split('.').filter(|name| !name.is_empty()) {
        let field = name.trim_end_matches("[]");
        here = here.get_mut("properties")?.get_mut(field)?;
        for _ in 0..(name.len() - field.len()) / 2 {
            here = here.get_mut("items")?;
        }
    }
    here.as_object_mut()
}
