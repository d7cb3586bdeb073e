//! What is to be written.
use crate::{
    objects::{name, namespace, text},
    record::ANNOTATION,
};
use serde_json::{Value, json};

/// Kind of an object that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Routes.
    VirtualService,
    /// Subsets.
    DestinationRule,
}

impl Kind {
    /// As Kubernetes calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
        }
    }

    /// The list that is changed in it.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::VirtualService => "http",
            Self::DestinationRule => "subsets",
        }
    }
}

/// One write. A patch and a deletion hold the version that they were made for, so that nothing newer is overwritten.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new object of ours.
    Create {
        /// Its kind.
        kind: Kind,
        /// The object.
        object: Value,
    },
    /// A JSON Patch.
    Patch {
        /// Its kind.
        kind: Kind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The operations.
        patch: Value,
    },
    /// An object of ours goes.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The version that may be deleted.
        version: String,
    },
}

impl Write {
    /// Kind of its object.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Create { kind, .. } | Self::Patch { kind, .. } | Self::Delete { kind, .. } => *kind,
        }
    }

    /// From an object to what it shall be; `None` when it is that already.
    pub(crate) fn change(kind: Kind, before: &Value, after: &Value) -> Option<Self> {
        if before == after {
            return None;
        }
        let version = text(before, "/metadata/resourceVersion");
        let mut patch = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
        let field = kind.field();
        operations(
            &mut patch,
            &format!("/spec/{field}"),
            before["spec"].get(field),
            after["spec"].get(field),
        );
        let annotations = (before["metadata"].get("annotations"), after["metadata"].get("annotations"));
        if let (Some(Value::Object(old)), Some(Value::Object(new))) = annotations {
            let path = format!("/metadata/annotations/{}", ANNOTATION.replace('/', "~1"));
            operations(&mut patch, &path, old.get(ANNOTATION), new.get(ANNOTATION));
        } else {
            operations(&mut patch, "/metadata/annotations", annotations.0, annotations.1);
        }
        let (namespace, name) = (namespace(before).to_owned(), name(before).to_owned());
        Some(Self::Patch { kind, namespace, name, patch: patch.into() })
    }

    pub(crate) fn delete(kind: Kind, object: &Value) -> Self {
        let version = text(object, "/metadata/resourceVersion").to_owned();
        Self::Delete { kind, namespace: namespace(object).to_owned(), name: name(object).to_owned(), version }
    }
}

fn operations(patch: &mut Vec<Value>, path: &str, old: Option<&Value>, new: Option<&Value>) {
    match (old, new) {
        (old, new) if old == new => {}
        (None, Some(new)) => patch.push(json!({"op": "add", "path": path, "value": new})),
        (Some(old), None) => {
            patch.push(json!({"op": "test", "path": path, "value": old}));
            patch.push(json!({"op": "remove", "path": path}));
        }
        (Some(old), Some(new)) => {
            patch.push(json!({"op": "test", "path": path, "value": old}));
            patch.push(json!({"op": "replace", "path": path, "value": new}));
        }
        (None, None) => {}
    }
}
