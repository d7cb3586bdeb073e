//! Which objects of the mesh name which hosts: an index, kept by watches, so that before a move is looked at or written only
//! the few objects that are about its service are read, and not all of the mesh.
//!
//! It knows names of objects and no more. What is in them is always read from the API server.
use crate::{
    Clock,
    objects::{Keep, Kind, Manifest, Meta},
    watch::{Heard, How, Told, Watch},
};
use kube::Client;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::{collections::BTreeSet, fmt};
use tokio::task::JoinSet;

/// Annotation of objects that are changed for a move, with what they were before.
pub const RECORD: &str = "foremesh.dev/traffic";

/// Seconds after which these watches are taken up again. Shorter than those of others: a route that somebody adds in the
/// middle of a move is to be known soon, also when a connection has died in silence.
const WATCH_SECONDS: u32 = 10;

/// A kind of object that routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Routing {
    /// Routes of Istio.
    VirtualService,
    /// Rules of Istio, with subsets.
    DestinationRule,
    /// Routes of the Gateway API.
    HttpRoute,
}

/// An object by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its kind.
    pub kind: Routing,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Knows which objects are about a host.
pub trait Index: Send + Sync + fmt::Debug {
    /// All objects of which `is_meant` says that a name in one of that kind and namespace may mean the host, and those that are
    /// changed for any move. `None` when it is not known to be complete and new.
    fn naming(&self, is_meant: &dyn Fn(Routing, &str, &str) -> bool) -> Option<Vec<Named>>;
}

/// Names that objects of the mesh have for hosts, watched.
pub struct Mesh {
    heard: Heard,
    clock: Clock,
    routes: Watch<OfVirtualService>,
    rules: Watch<OfDestinationRule>,
    http_routes: Watch<OfHttpRoute>,
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").finish_non_exhaustive()
    }
}

impl Mesh {
    pub(crate) fn watch(
        client: &Client,
        heard: &Heard,
        clock: &Clock,
        told: &Told,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let how = || How { seconds: WATCH_SECONDS, told: Some(told.clone()), ..How::default() };
        Self {
            heard: heard.clone(),
            clock: clock.clone(),
            routes: Watch::start_as(client, heard, clock, tasks, how()),
            rules: Watch::start_as(client, heard, clock, tasks, how()),
            http_routes: Watch::start_as(client, heard, clock, tasks, how()),
        }
    }

    /// Whether all of it is known and new. The Gateway API may be missing.
    pub(crate) fn is_live(&self) -> bool {
        let (heard, now) = (&self.heard, (self.clock)());
        self.routes.is_live(heard, now)
            && self.rules.is_live(heard, now)
            && (self.http_routes.is_absent() || self.http_routes.is_live(heard, now))
    }
}

impl Index for Mesh {
    fn naming(&self, is_meant: &dyn Fn(Routing, &str, &str) -> bool) -> Option<Vec<Named>> {
        if !self.is_live() {
            return None;
        }
        let mut found = Vec::new();
        macro_rules! take {
            ($watch:ident, $kind:expr) => {
                for naming in self.$watch.all().iter().map(|object| &object.0) {
                    let Meta { namespace, name, .. } = &naming.meta;
                    let is_meant = |host: &Box<str>| is_meant($kind, namespace, host);
                    if naming.is_changed || naming.hosts.iter().any(is_meant) {
                        found.push(Named { kind: $kind, namespace: namespace.clone(), name: name.clone() });
                    }
                }
            };
        }
        take!(routes, Routing::VirtualService);
        take!(rules, Routing::DestinationRule);
        take!(http_routes, Routing::HttpRoute);
        Some(found)
    }
}

/// What is kept of an object.
#[derive(Debug)]
struct Naming {
    meta: Meta,
    hosts: BTreeSet<Box<str>>,
    /// It is changed for a move.
    is_changed: bool,
}

/// Names of hosts in a spec of Istio.
#[derive(Clone, Debug, Default)]
struct Hosts(BTreeSet<Box<str>>);

/// Names of services in a spec of the Gateway API.
#[derive(Clone, Debug, Default)]
struct References(BTreeSet<Box<str>>);

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(names_in(Routing::VirtualService, &Value::deserialize(deserializer)?)))
    }
}

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(names_in(Routing::HttpRoute, &Value::deserialize(deserializer)?)))
    }
}

/// All names in a spec that may be those of hosts, and perhaps some of something else.
pub fn names_in(kind: Routing, spec: &Value) -> BTreeSet<Box<str>> {
    let fields: &[&str] = match kind {
        Routing::VirtualService | Routing::DestinationRule => &["host", "hosts"],
        Routing::HttpRoute => &["name"],
    };
    let mut found = BTreeSet::new();
    collect(spec, fields, &mut found);
    found
}

/// Values of some fields, wherever they are, and of lists in them.
fn collect(value: &Value, fields: &[&str], found: &mut BTreeSet<Box<str>>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect(one, fields, found)),
        Value::Object(all) => {
            for (name, value) in all {
                if fields.contains(&name.as_str()) {
                    let listed = value.as_array().into_iter().flatten().chain([value]);
                    found.extend(listed.filter_map(Value::as_str).map(Into::into));
                }
                collect(value, fields, found);
            }
        }
        _ => {}
    }
}

macro_rules! naming {
    ($name:ident: $spec:ty, $group:literal, $kind:literal, $plural:literal) => {
        #[derive(Debug)]
        struct $name(Naming);

        impl Keep for $name {
            type Spec = $spec;
            type Status = crate::objects::Unread;
            const KIND: Kind = Kind { group: $group, version: "v1", kind: $kind, plural: $plural };
            const MATTERS_EVERYWHERE: bool = true;

            fn keep(mut manifest: Manifest<Self::Spec, Self::Status>) -> Self {
                let meta = manifest.meta();
                let is_changed = meta.annotations.contains_key(RECORD);
                let Meta { namespace, name, .. } = meta;
                let meta = Meta { namespace, name, ..Meta::default() };
                Self(Naming { meta, hosts: manifest.spec.0, is_changed })
            }

            fn meta(&self) -> &Meta {
                &self.0.meta
            }
        }
    };
}

naming!(OfVirtualService: Hosts, "networking.istio.io", "VirtualService", "virtualservices");
naming!(OfDestinationRule: Hosts, "networking.istio.io", "DestinationRule", "destinationrules");
naming!(OfHttpRoute: References, "gateway.networking.k8s.io", "HTTPRoute", "httproutes");
