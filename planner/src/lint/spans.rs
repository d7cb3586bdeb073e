//! Where in a YAML text a field is.
use saphyr_parser::{Event, Parser, ScanError, Span as YamlSpan};
use serde::Serialize;

/// A piece of one line of a text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// Characters, at least 1.
    #[serde(skip)]
    pub length: usize,
}

impl Place {
    fn of(span: YamlSpan) -> Self {
        let (start, end) = (span.start, span.end);
        let length = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Self { line: start.line(), column: start.col() + 1, length: length.max(1) }
    }
}

/// A value and where it is.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    place: Place,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Scalar(String),
    List(Vec<Marked>),
    /// Keys with their places.
    Map(Vec<(String, Place, Marked)>),
}

/// A list or map that is being read, with the key that waits for its value.
struct Open {
    place: Place,
    items: Vec<Marked>,
    /// `None` for a list.
    keys: Option<Vec<(String, Place)>>,
    /// Whether the next value is a key.
    at_key: bool,
}

/// The documents of a text.
///
/// # Errors
/// When the text is not YAML: what is wrong, and where.
pub(super) fn documents(text: &str) -> Result<Vec<Marked>, (String, Place)> {
    let mut open: Vec<Open> = Vec::new();
    let mut documents = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        let place = Place::of(span);
        let done = match event {
            Event::Scalar(text, ..) => Some(Marked { place, value: Value::Scalar(text.into_owned()) }),
            Event::Alias(_) => Some(Marked { place, value: Value::Scalar(String::new()) }),
            Event::SequenceStart(..) => {
                open.push(Open { place, items: Vec::new(), keys: None, at_key: false });
                None
            }
            Event::MappingStart(..) => {
                open.push(Open { place, items: Vec::new(), keys: Some(Vec::new()), at_key: true });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(closed),
            _ => None,
        };
        if let Some(value) = done {
            match open.last_mut() {
                None => documents.push(value),
                Some(parent) => put(parent, value),
            }
        }
    }
    Ok(documents)
}

fn syntax(error: &ScanError) -> (String, Place) {
    let marker = error.marker();
    (error.info().to_owned(), Place { line: marker.line(), column: marker.col() + 1, length: 1 })
}

fn put(parent: &mut Open, value: Marked) {
    let Some(keys) = &mut parent.keys else { return parent.items.push(value) };
    if parent.at_key {
        let name = match value.value {
            Value::Scalar(name) => name,
            Value::List(_) | Value::Map(_) => String::new(),
        };
        keys.push((name, value.place));
    } else {
        parent.items.push(value);
    }
    parent.at_key = !parent.at_key;
}

fn closed(open: Open) -> Marked {
    let value = match open.keys {
        None => Value::List(open.items),
        Some(keys) => {
            let pairs = keys.into_iter().zip(open.items);
            Value::Map(pairs.map(|((key, place), value)| (key, place, value)).collect())
        }
    };
    Marked { place: open.place, value }
}

impl Marked {
    /// The text of a field of the document itself, such as `kind`.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        match &self.get(field)?.1.value {
            Value::Scalar(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    fn get(&self, key: &str) -> Option<(Place, &Self)> {
        let Value::Map(pairs) = &self.value else { return None };
        pairs.iter().find(|(name, ..)| name == key).map(|(_, place, value)| (*place, value))
    }

    /// Where the field with this path is, such as `spec.rules[1].predictedLatency.above`: its value when that is a word,
    /// its key when it is more; where a part of the path is missing, the part before.
    pub(super) fn find(&self, path: &str) -> Place {
        let (mut place, mut here) = (self.place, self);
        for step in steps(path) {
            let next = match (step, &here.value) {
                (Step::Key(key), _) => here.get(key),
                (Step::Item(index), Value::List(items)) => items.get(index).map(|item| (item.place, item)),
                (Step::Item(_), _) => None,
            };
            let Some((found, value)) = next else { break };
            place = if matches!(value.value, Value::Scalar(_)) { value.place } else { found };
            here = value;
        }
        place
    }

    /// Where the key of a field is.
    pub(super) fn find_key(&self, path: &str, key: &str) -> Option<Place> {
        let mut here = self;
        for step in steps(path) {
            here = match (step, &here.value) {
                (Step::Key(key), _) => here.get(key)?.1,
                (Step::Item(index), Value::List(items)) => items.get(index)?,
                (Step::Item(_), _) => return None,
            };
        }
        here.get(key).map(|(place, _)| place)
    }
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Item(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        let item = part.strip_suffix(']').and_then(|digits| digits.parse().ok());
        item.map_or(Step::Key(part), Step::Item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: Policy\nspec:\n  rules:\n    - name: a\n    - {name: b, deep: {above: \"ä 5\"}}\n---\nkind: Other\n";

    #[test]
    fn fields_are_found_where_they_are() {
        let documents = documents(TEXT).unwrap();
        assert_eq!(documents.len(), 2);
        for (path, want) in [
            ("kind", (1, 7, 6)),
            ("spec.rules[0].name", (4, 13, 1)),
            ("spec.rules[1].name", (5, 14, 1)),
            ("spec.rules[1].deep", (5, 17, 4)),
            ("spec.rules[1].deep.above", (5, 31, 5)),
            ("spec.rules[1].deep.missing", (5, 17, 4)),
            ("spec.rules[7]", (3, 3, 5)),
        ] {
            let Place { line, column, length } = documents[0].find(path);
            assert_eq!((line, column, length), want, "{path}");
        }
        assert_eq!(documents[1].text("kind"), Some("Other"));
        assert_eq!(documents[0].find_key("spec.rules[1]", "deep").map(|place| place.column), Some(17));
        assert_eq!(documents[0].find_key("spec.rules[1]", "shallow"), None);
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        let (_, place) = super::documents("a: [1\nb: 2\n").unwrap_err();
        assert!(place.line >= 1, "{place:?}");
    }
}
