//! What was met on the way, so that a fuzz that meets nothing is noticed.
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(crate) fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, count)| writeln!(f, "{count:>10}  {what}"))
    }
}

/// The name that a tagged value is written with, those of the values in it included: `not_permitted/budget`.
pub(crate) fn name_of(value: &Value) -> String {
    match value {
        Value::String(name) => name.clone(),
        Value::Object(fields) => {
            let tag = ["kind", "verdict", "decision"].iter().find_map(|tag| fields.get(*tag)?.as_str());
            let Some(tag) = tag else {
                return fields.keys().next().cloned().unwrap_or_default();
            };
            match fields.get("why").filter(|why| why.is_object()) {
                Some(why) => format!("{tag}/{}", name_of(why)),
                None => tag.to_owned(),
            }
        }
        _ => String::new(),
    }
}
