use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Written by nobody's serializer: fields that nobody knows, numbers that no double holds, odd spaces, escapes.
const ODD: &str = r#"{ "Name" : "web", "Labels":{"a\u003cb":"x"},"TaskTemplate":{"ContainerSpec":{"Image":"i@sha256:1","Unheard":{"Of":[1,2.50,1e400,18446744073709551616]}},"Placement":{"MaxReplicas":2,"Later":"field"} , "ForceUpdate":0},"Empty":{},"Nothing":null,"Mode":{"Replicated":{"Replicas":3}}}"#;

fn odd() -> Spec {
    Spec::new(ODD).unwrap()
}

#[test]
fn what_is_changed_and_changed_back_is_the_same_bytes() {
    for path in [
        &["TaskTemplate", "Placement"][..],
        &["TaskTemplate", "Placement", "MaxReplicas"],
        &["UpdateConfig"],
        &["TaskTemplate", "Networks"],
        &["Empty", "New"],
        &["Mode"],
        &["Labels", "a<b"],
    ] {
        let spec = odd();
        let before = spec.get(path).unwrap().map(str::to_owned);
        let changed = spec.with(path, Some(r#"{"other":1}"#)).unwrap();
        assert_ne!(changed, spec);
        assert_eq!(changed.get(path).unwrap(), Some(r#"{"other":1}"#), "{path:?}");
        assert_eq!(changed.with(path, before.as_deref()).unwrap(), spec, "{path:?}");
    }
}

#[test]
fn places_are_found_made_and_taken_away() {
    let spec = odd();
    assert_eq!(spec.get(&["Labels", "a<b"]).unwrap(), Some("\"x\""));
    assert_eq!(spec.get(&["Nothing"]).unwrap(), None);
    assert_eq!(spec.get(&["Nothing", "Within"]).unwrap(), None);
    assert_eq!(spec.read::<u32>(&["Mode", "Replicated", "Replicas"]).unwrap(), Some(3));
    assert_eq!(spec.get(&["Name", "Within"]).unwrap_err().at, "Name");
    for (of, path, value, expected) in [
        ("{}", &["a", "b"][..], Some("1"), r#"{"a":{"b":1}}"#),
        ("{ }", &["a"], Some("1"), r#"{"a":1 }"#),
        (r#"{"a":null}"#, &["a", "b"], Some("1"), r#"{"a":{"b":1}}"#),
        (r#"{"a":null}"#, &["a"], Some("1"), r#"{"a":1}"#),
        (r#"{"a":1 , "b":2}"#, &["a"], None, r#"{ "b":2}"#),
        (r#"{"a":1 , "b":2}"#, &["b"], None, r#"{"a":1}"#),
        (r#"{"a":1}"#, &["a"], None, "{}"),
        (r#"{"a":1}"#, &["x", "y"], None, r#"{"a":1}"#),
        (r#"{"a":{"b":{}}}"#, &["a", "b", "c\""], Some("[]"), r#"{"a":{"b":{"c\"":[]}}}"#),
    ] {
        assert_eq!(Spec::new(of).unwrap().with(path, value).unwrap().as_str(), expected, "{of} {path:?}");
    }
    assert!(Spec::new("[]").is_err());
    assert!(Spec::new("{\"a\":}").is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner).prop_map(Value::Object),
        ]
    })
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-c\"\\\\<é]{0,2}", inner), 0..5).prop_map(|all| all.into_iter().collect())
}

fn apply(object: &mut Map<String, Value>, path: &[&str], value: Option<&Value>) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        match value {
            Some(value) => drop(object.insert((*name).to_owned(), value.clone())),
            None => drop(object.remove(*name)),
        }
        return true;
    }
    match object.get_mut(*name) {
        Some(Value::Object(inner)) => apply(inner, rest, value),
        Some(Value::Null) | None if value.is_some() => {
            let mut inner = Map::new();
            apply(&mut inner, rest, value);
            object.insert((*name).to_owned(), Value::Object(inner));
            true
        }
        Some(Value::Null) | None => true,
        Some(_) => false,
    }
}

proptest! {
    #[test]
    fn a_change_of_the_text_is_the_change_of_the_value(
        base in object(value()), path in prop::collection::vec("[a-c\"\\\\<é]{0,2}", 1..4), new in prop::option::of(value())
    ) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        for text in [serde_json::to_string(&base).unwrap(), serde_json::to_string_pretty(&base).unwrap()] {
            let mut expected = base.clone();
            let possible = apply(&mut expected, &path, new.as_ref());
            let written = new.as_ref().map(Value::to_string);
            match Spec::new(text).unwrap().with(&path, written.as_deref()) {
                Ok(changed) => {
                    prop_assert!(possible);
                    let read: Map<String, Value> = serde_json::from_str(changed.as_str()).unwrap();
                    prop_assert_eq!(read, expected);
                }
                Err(_) => prop_assert!(!possible),
            }
        }
    }
}
