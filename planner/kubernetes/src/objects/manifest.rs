//! How objects are read, and what all kinds have in common.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::{borrow::Cow, collections::BTreeMap, fmt::Debug};

/// Prefixes of the annotations that are read. Others can be large, and say nothing of places.
const READ_ANNOTATIONS: [&str; 5] = [
    "foremesh.dev/",
    "karpenter.sh/",
    "cluster-autoscaler.kubernetes.io/",
    "descheduler.alpha.kubernetes.io/",
    "scheduling.koordinator.sh/",
];

/// A kind of object, as the API server names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
}

impl Kind {
    /// Path of all objects of the kind on the API server.
    pub(crate) fn path(&self) -> String {
        let Self { group, version, plural, .. } = self;
        if group.is_empty() {
            format!("/api/{version}/{plural}")
        } else {
            format!("/apis/{group}/{version}/{plural}")
        }
    }
}

/// Something that is kept of each object of a kind.
pub(crate) trait Keep: Send + Sync + Sized + 'static {
    /// What is read of the object's `spec`.
    type Spec: Clone + Debug + Default + DeserializeOwned + Send + Sync + 'static;
    /// What is read of the object's `status`.
    type Status: Clone + Debug + Default + DeserializeOwned + Send + Sync + 'static;
    /// Which kind it is.
    const KIND: Kind;
    /// Whether a change of it may matter in other namespaces than its own.
    const MATTERS_EVERYWHERE: bool = false;

    /// Takes what is needed out of an object.
    fn keep(manifest: Manifest<Self::Spec, Self::Status>) -> Self;

    /// What all kinds have.
    fn meta(&self) -> &Meta;
}

/// An object as it comes from the API server.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "S: Default + DeserializeOwned, T: Default + DeserializeOwned")]
pub(crate) struct Manifest<S, T> {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) spec: S,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) status: T,
}

impl<S, T> Manifest<S, T> {
    /// What is kept of its metadata.
    pub(crate) fn meta(&mut self) -> Meta {
        Meta::from(std::mem::take(&mut self.metadata))
    }
}

impl<S, T> kube::Resource for Manifest<S, T> {
    type DynamicType = Kind;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.kind.into()
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        kind.group.into()
    }

    fn version(kind: &Kind) -> Cow<'_, str> {
        kind.version.into()
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        kind.plural.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A list that is missing and one that is `null` are both empty.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is kept of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meta {
    /// Empty for what is in no namespace.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Those that say something of places.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Uid of the controller that made it; empty for none.
    pub(crate) owner: String,
    /// It is being deleted.
    pub(crate) terminating: bool,
    pub(crate) generation: i64,
}

impl From<ObjectMeta> for Meta {
    fn from(meta: ObjectMeta) -> Self {
        let owners = meta.owner_references.unwrap_or_default();
        let owner = owners.into_iter().find(|owner| owner.controller == Some(true));
        let mut annotations = meta.annotations.unwrap_or_default();
        annotations.retain(|name, _| READ_ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix)));
        Self {
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            labels: meta.labels.unwrap_or_default(),
            annotations,
            owner: owner.map(|owner| owner.uid).unwrap_or_default(),
            terminating: meta.deletion_timestamp.is_some(),
            generation: meta.generation.unwrap_or_default(),
        }
    }
}

/// An object of which what is read is also what is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kept<S, T> {
    pub(crate) meta: Meta,
    pub(crate) spec: S,
    pub(crate) status: T,
}

impl<S, T> Kept<S, T> {
    pub(super) fn of(mut manifest: Manifest<S, T>) -> Self {
        Self { meta: manifest.meta(), spec: manifest.spec, status: manifest.status }
    }
}

/// Keeps all that is read of a kind.
macro_rules! kept {
    ($name:ident: $kind:literal, $spec:ty, $status:ty, $group:literal, $version:literal, $plural:literal) => {
        pub(crate) type $name = crate::objects::Kept<$spec, $status>;

        impl crate::objects::Keep for $name {
            type Spec = $spec;
            type Status = $status;
            const KIND: crate::objects::Kind =
                crate::objects::Kind { group: $group, version: $version, kind: $kind, plural: $plural };

            fn keep(manifest: crate::objects::Manifest<$spec, $status>) -> Self {
                Self::of(manifest)
            }

            fn meta(&self) -> &crate::objects::Meta {
                &self.meta
            }
        }
    };
}
pub(super) use kept;

/// Nothing of it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Unread {}
