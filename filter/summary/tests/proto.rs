//! Holds `summary.proto` and `src/wire.rs` in step: same messages, same fields, same types, same numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panics")]

use std::collections::BTreeMap;

/// Message or enum name to its fields: (name, type, number), in order.
type Schema = BTreeMap<String, Vec<(String, String, u32)>>;

fn schema_of_proto(text: &str) -> Schema {
    let mut schema = Schema::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(|line| line.split("//").next().unwrap().trim()) {
        let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
        match (open.clone(), &words[..]) {
            (None, ["message" | "enum", name, "{"]) => {
                schema.insert((*name).to_owned(), Vec::new());
                open = Some((*name).to_owned());
            }
            (_, []) | (None, _) => {}
            (Some(_), ["}"]) => open = None,
            (Some(message), [kind @ .., name, "=", number]) => {
                let kind = kind.join(" ");
                schema.get_mut(&message).unwrap().push(((*name).into(), kind, number.parse().unwrap()));
            }
            (Some(message), other) => panic!("summary.proto, {message}: cannot read {other:?}"),
        }
    }
    schema
}

/// The proto type of a prost attribute such as `enumeration = "Direction", tag = "1"` on a field of `rust` type.
fn kind_of(attribute: &str, rust: &str) -> String {
    if attribute.contains("enumeration") {
        return "Direction".into();
    }
    let kind = attribute.split(',').next().unwrap().split('=').next().unwrap().trim();
    if kind != "message" {
        return kind.into();
    }
    let inner = rust.split(['<', '>']).nth(1).unwrap();
    if attribute.contains("repeated") { format!("repeated {inner}") } else { inner.into() }
}

fn schema_of_rust(text: &str) -> Schema {
    let mut schema = Schema::new();
    let mut open: Option<String> = None;
    let mut attribute: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum ")) {
            let name = rest.trim_end_matches(" {").to_owned();
            schema.insert(name.clone(), Vec::new());
            open = Some(name);
        } else if line == "}" {
            open = None;
        } else if let Some(rest) = line.strip_prefix("#[prost(") {
            attribute = Some(rest.trim_end_matches(")]").to_owned());
        } else if let (Some(message), Some(field)) = (&open, line.strip_prefix("pub ")) {
            let (name, rust) = field.trim_end_matches(',').split_once(": ").unwrap();
            let attribute = attribute.take().expect("every field has a prost attribute");
            let number = attribute.split("tag = \"").nth(1).unwrap().trim_end_matches('"').parse().unwrap();
            schema.get_mut(message).unwrap().push((name.into(), kind_of(&attribute, rust), number));
        } else if let (Some(message), Some((name, number))) = (&open, line.split_once(" = ")) {
            let constant = format!("DIRECTION_{}", name.to_uppercase());
            let number = number.trim_end_matches(',').parse().unwrap();
            schema.get_mut(message).unwrap().push((constant, String::new(), number));
        }
    }
    schema
}

#[test]
fn wire_rs_and_summary_proto_declare_the_same_messages() {
    let proto = schema_of_proto(include_str!("../summary.proto"));
    let rust = schema_of_rust(include_str!("../src/wire.rs"));
    let fields: usize = proto.values().map(Vec::len).sum();
    assert_eq!((proto.len(), fields), (5, 37), "the reader of summary.proto misses something: {proto:?}");
    for (message, fields) in &proto {
        assert_eq!(Some(fields), rust.get(message), "summary.proto and src/wire.rs differ in {message}");
    }
    assert_eq!(proto.len(), rust.len(), "a message of src/wire.rs is not in summary.proto");
}
