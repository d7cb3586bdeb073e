//! Schemas of types as Kubernetes takes them: structural, without references, and with one type for each field.
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The schema of a type.
pub fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    rewrite(&mut schema);
    schema
}

fn rewrite(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    object.remove("title");
    match object.get_mut("additionalProperties") {
        // Unknown fields are cut off or refused by the API server, as who sends them asks.
        Some(Value::Bool(_)) => drop(object.remove("additionalProperties")),
        Some(values) => rewrite(values),
        None => {}
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    // A field may be left out. That it may be `null` as well is an accident of the parser.
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = &**types {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(mut forms)) = object.remove("anyOf") {
        forms.retain(|form| form.get("type").is_none_or(|kind| kind != "null"));
        match <[Value; 1]>::try_from(forms) {
            Ok([Value::Object(only)]) => {
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
                return rewrite(schema);
            }
            Ok(_) => {}
            Err(forms) => either(object, forms),
        }
    }
    if let Some(Value::Object(fields)) = object.get_mut("properties") {
        fields.values_mut().for_each(rewrite);
    }
    if let Some(items) = object.get_mut("items") {
        rewrite(items);
    }
    // `kubectl explain` does not show defaults.
    let default = object.get("default").filter(|default| !default.is_object()).map(said);
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = unwrapped(text);
        if let Some(default) = default {
            text.push_str(&default);
        }
    }
}

/// A text or a mapping: Kubernetes knows no such type. So it takes anything, and checks the parts of a mapping.
fn either(object: &mut Map<String, Value>, forms: Vec<Value>) {
    object.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    for form in forms {
        if let Some(fields) = form.get("properties") {
            object.insert("properties".to_owned(), fields.clone());
        }
    }
}

/// The lines of a comment as lines of paragraphs: `kubectl explain` wraps them anew.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn said(default: &Value) -> String {
    let text = default.as_str().map_or_else(|| default.to_string().replace(',', ", "), str::to_owned);
    format!(" When left out: `{text}`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Outer {
        /// A number
        /// of things.
        count: Option<i64>,
        /// What is inside.
        inner: Option<Inner>,
        /// One or the other.
        either: Either,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        texts: std::collections::BTreeMap<String, String>,
        /// Some steps.
        #[serde(default = "steps")]
        steps: Vec<i64>,
    }

    fn steps() -> Vec<i64> {
        vec![10, 100]
    }

    /// Said of the type.
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Inner {
        name: String,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Either {
        Word(String),
        Whole(Inner),
    }

    #[test]
    fn each_field_has_one_type_and_says_what_it_is() {
        let inner = |description: &str| {
            json!({
                "description": description, "type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}},
            })
        };
        let want = json!({
            "type": "object",
            "required": ["either"],
            "properties": {
                "count": {"description": "A number of things.", "type": "integer", "format": "int64"},
                "inner": inner("What is inside."),
                "either": {
                    "description": "One or the other.",
                    "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"name": {"type": "string"}},
                },
                "texts": {"type": "object", "default": {}, "additionalProperties": {"type": "string"}},
                "steps": {
                    "description": "Some steps. When left out: `[10, 100]`.", "type": "array", "default": [10, 100],
                    "items": {"type": "integer", "format": "int64"},
                },
                "list": {"type": "array", "items": inner("Said of the type.")},
            },
        });
        assert_eq!(structural::<Outer>(), want);
    }
}
