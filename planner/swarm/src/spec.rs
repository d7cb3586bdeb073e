//! The spec of a service as dockerd has given it, byte for byte, and changes of a few named places in it.
//!
//! A spec is never read into types and written again: what the planner does not know of it, such as a field that a later
//! dockerd has, would be lost by that, and with it something that somebody has set. Here the text stays the text. What is
//! replaced, added or taken away is cut out of it by its place, and all other bytes are the same as before.
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, ops::Range};

/// A JSON object as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec(String);

/// Why a text could not be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spec is not as expected at `{at}`: {problem}")]
pub struct SpecError {
    /// The place in it.
    pub at: String,
    /// What is wrong.
    pub problem: String,
}

impl Spec {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn new(text: impl Into<String>) -> Result<Self, SpecError> {
        let spec = Self(text.into());
        members(&spec.0).map_err(|problem| SpecError { at: String::new(), problem })?;
        Ok(spec)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of a value, by the names on the way to it; none when it is not there, or `null`.
    ///
    /// # Errors
    /// When something on the way is no object.
    pub fn get(&self, path: &[&str]) -> Result<Option<&str>, SpecError> {
        Ok(match self.find(path)? {
            Found::There { value, .. } if &self.0[value.clone()] != "null" => Some(&self.0[value]),
            _ => None,
        })
    }

    /// A value, read.
    ///
    /// # Errors
    /// When it is of another form, or something on the way is no object.
    pub fn read<'s, T: Deserialize<'s>>(&'s self, path: &[&str]) -> Result<Option<T>, SpecError> {
        let Some(text) = self.get(path)? else { return Ok(None) };
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| SpecError { at: path.join("."), problem: error.to_string() })
    }

    /// The same spec with another value at a place; none takes it away. What is on the way to it and not there is made.
    ///
    /// # Errors
    /// When something on the way is no object.
    pub fn with(&self, path: &[&str], value: Option<&str>) -> Result<Self, SpecError> {
        let text = &self.0;
        Ok(Self(match (self.find(path)?, value) {
            (Found::There { value: at, .. }, Some(value)) => spliced(text, at, value),
            (Found::There { member, .. }, None) => spliced(text, member, ""),
            (Found::Missing { .. }, None) => text.clone(),
            (Found::Missing { at, left, comma, replaces }, Some(value)) => {
                let mut written = value.to_owned();
                for name in path[path.len() - left..].iter().rev() {
                    written = format!("{{{}:{written}}}", quoted(name));
                }
                if replaces {
                    spliced(text, at, &written)
                } else {
                    // Into an object that is there: without the braces of its own.
                    let inner = &written[1..written.len() - 1];
                    let comma = if comma { "," } else { "" };
                    spliced(text, at, &format!("{comma}{inner}"))
                }
            }
        }))
    }

    fn find(&self, path: &[&str]) -> Result<Found, SpecError> {
        let wrong = |depth: usize, problem| SpecError { at: path[..depth].join("."), problem };
        let mut object = 0..self.0.len();
        for (depth, name) in path.iter().enumerate() {
            let all = members(&self.0[object.clone()]).map_err(|problem| wrong(depth, problem))?;
            let start = object.start;
            let Some(index) = all.list.iter().position(|(key, _)| key == name) else {
                let end = start + all.end;
                return Ok(Found::Missing {
                    at: end..end,
                    left: path.len() - depth,
                    comma: !all.list.is_empty(),
                    replaces: false,
                });
            };
            let value = shifted(&all.list[index].1, start);
            if depth + 1 == path.len() {
                let member = shifted(&all.member(&self.0[object], index), start);
                return Ok(Found::There { value, member });
            }
            if &self.0[value.clone()] == "null" {
                let left = path.len() - depth - 1;
                return Ok(Found::Missing { at: value, left, comma: false, replaces: true });
            }
            object = value;
        }
        Ok(Found::There { value: object.clone(), member: object })
    }
}

enum Found {
    There {
        value: Range<usize>,
        /// With its name and the comma that it does not need any more once it is gone.
        member: Range<usize>,
    },
    Missing {
        at: Range<usize>,
        /// How many names of the path are not there.
        left: usize,
        /// Whether something is before it.
        comma: bool,
        /// It is there as `null`.
        replaces: bool,
    },
}

/// The members of an object, in the order in which they are written.
struct Members<'t> {
    list: Vec<(Cow<'t, str>, Range<usize>)>,
    /// Where the last one ends; just behind the brace when there is none.
    end: usize,
}

impl Members<'_> {
    /// What goes when a member goes.
    fn member(&self, object: &str, index: usize) -> Range<usize> {
        let value = &self.list[index].1;
        if index > 0 {
            return self.list[index - 1].1.end..value.end;
        }
        let begin = object.find('{').map_or(0, |brace| brace + 1);
        let rest = object[value.end..].trim_start();
        let comma = rest.starts_with(',').then(|| object.len() - rest.len() + 1);
        begin..comma.unwrap_or(value.end)
    }
}

fn members(object: &str) -> Result<Members<'_>, String> {
    let Raw(list) = serde_json::from_str(object).map_err(|error| error.to_string())?;
    // The texts of the values are parts of the object's text.
    let place = |value: &RawValue| {
        let begin = value.get().as_ptr() as usize - object.as_ptr() as usize;
        begin..begin + value.get().len()
    };
    let list: Vec<_> = list.into_iter().map(|(name, value)| (name, place(value))).collect();
    let end = list.last().map_or_else(|| object.find('{').map_or(0, |brace| brace + 1), |(_, last)| last.end);
    Ok(Members { list, end })
}

struct Raw<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

#[derive(Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    list.push((name, map.next_value()?));
                }
                Ok(Raw(list))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

fn spliced(text: &str, at: Range<usize>, with: &str) -> String {
    format!("{}{with}{}", &text[..at.start], &text[at.end..])
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
