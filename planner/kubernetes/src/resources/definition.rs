//! What every definition of a custom resource is put together from.
use super::{GROUP, VERSION};
use serde_json::{Value, json};

/// A namespaced custom resource with a `status` of its own.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its kind, such as `RelocationPolicy`.
    pub kind: &'static str,
    /// Its plural in lower case.
    pub plural: &'static str,
    /// What people type.
    pub short_name: &'static str,
    /// What it is for, for `kubectl explain`.
    pub description: &'static str,
    /// What `kubectl get` shows, besides the name; the age is added.
    pub columns: Vec<Column>,
    /// Schema of `spec`.
    pub spec: Value,
    /// Schema of `status`.
    pub status: Value,
}

/// A column of `kubectl get`.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its title.
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'static str,
    /// Where the value is.
    pub path: &'static str,
    /// What it says.
    pub description: &'static str,
    /// Shown with `-o wide` only.
    pub wide: bool,
}

impl Column {
    fn manifest(self) -> Value {
        let mut column = json!({
            "name": self.name, "type": self.kind, "jsonPath": self.path, "description": self.description,
        });
        if self.wide {
            column["priority"] = json!(1);
        }
        column
    }
}

impl Definition {
    /// The object that is applied to a cluster.
    pub fn manifest(&self) -> Value {
        let Self { kind, plural, .. } = self;
        let age = Column {
            name: "Age",
            kind: "date",
            path: ".metadata.creationTimestamp",
            description: "Time since it was made.",
            wide: false,
        };
        let columns: Vec<Value> = self.columns.iter().chain([&age]).map(|column| column.manifest()).collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{GROUP}"),
                "labels": {"app.kubernetes.io/name": "foremesh", "app.kubernetes.io/managed-by": "foremesh"},
            },
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": {
                    "kind": kind,
                    "listKind": format!("{kind}List"),
                    "plural": plural,
                    "singular": kind.to_lowercase(),
                    "shortNames": [self.short_name],
                    "categories": ["foremesh"],
                },
                "versions": [{
                    "name": VERSION,
                    "served": true,
                    "storage": true,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": {
                        "description": self.description,
                        "type": "object",
                        "required": ["spec"],
                        "properties": {"spec": self.spec, "status": self.status},
                    }},
                }],
            },
        })
    }
}
