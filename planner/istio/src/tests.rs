//! Moves in a mesh that is played: every write is applied as the API server would, and can be the last one of a planner.
mod crash;
mod named;
mod property;
mod refused;
mod replicas;
mod shapes;

use crate::{Goal, Host, IstioError, Kind, Location, Objects, Shares, Write};
use foremesh_core::ids::ServiceId;
use serde_json::{Value, json};

pub(crate) const HOST: &str = "web.shop.svc.cluster.local";

pub(crate) fn host() -> Host {
    Host::of(&ServiceId::new(HOST)).unwrap()
}

pub(crate) fn shares(source: u32, target: u32, stay: u32) -> Shares {
    let all = [(Location::Source, source), (Location::Target, target), (Location::Stay, stay)];
    // A location without pods is not routed to.
    all.into_iter().filter(|(at, _)| *at != Location::Stay || stay > 0).collect()
}

pub(crate) fn route(name: &str, spec: Value) -> Value {
    object("VirtualService", "shop", name, spec)
}

pub(crate) fn rule(name: &str, spec: Value) -> Value {
    object("DestinationRule", "shop", name, spec)
}

#[expect(clippy::needless_pass_by_value, reason = "they are written where they are passed")]
pub(crate) fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1"}, "spec": spec,
    })
}

pub(crate) fn mesh(virtual_services: &[Value], destination_rules: &[Value]) -> Objects {
    Objects {
        virtual_services: virtual_services.to_vec(),
        destination_rules: destination_rules.to_vec(),
        http_routes: Vec::new(),
    }
}

/// Applies a write, with the checks of the API server.
pub(crate) fn apply(objects: &mut Objects, write: &Write) {
    let all = match write.kind() {
        Kind::VirtualService => &mut objects.virtual_services,
        Kind::DestinationRule => &mut objects.destination_rules,
    };
    let at = |all: &[Value], namespace: &str, name: &str| {
        all.iter()
            .position(|one| one["metadata"]["name"] == name && one["metadata"]["namespace"] == namespace)
    };
    match write {
        Write::Create { object, .. } => {
            let mut object = object.clone();
            object["metadata"]["resourceVersion"] = "1".into();
            let metadata = &object["metadata"];
            assert!(
                at(all, metadata["namespace"].as_str().unwrap(), metadata["name"].as_str().unwrap())
                    .is_none(),
                "it is there already: {object}"
            );
            all.push(object);
        }
        Write::Delete { namespace, name, version, .. } => {
            let at = at(all, namespace, name).unwrap();
            assert_eq!(all[at]["metadata"]["resourceVersion"], version.as_str());
            all.remove(at);
        }
        Write::Patch { namespace, name, patch, .. } => {
            let at = at(all, namespace, name).unwrap();
            for operation in patch.as_array().unwrap() {
                operate(&mut all[at], operation);
            }
            let version = &mut all[at]["metadata"]["resourceVersion"];
            *version = (version.as_str().unwrap().parse::<u64>().unwrap() + 1).to_string().into();
        }
    }
}

fn operate(object: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().unwrap();
    let (parent, key) = path.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match operation["op"].as_str().unwrap() {
        "test" => assert_eq!(parent.get(&key), Some(&operation["value"]), "{path}"),
        "remove" => assert!(parent.remove(&key).is_some(), "{path}"),
        "replace" => assert!(parent.insert(key, operation["value"].clone()).is_some(), "{path}"),
        "add" => drop(parent.insert(key, operation["value"].clone())),
        other => panic!("{other} is not played"),
    }
}

/// Writes until the goal is reached, or so many; gives how many there were.
pub(crate) fn run(objects: &mut Objects, goal: &Goal, at_most: usize) -> Result<usize, IstioError> {
    for count in 0..at_most {
        let Some(write) = goal.next(objects, &host())? else { return Ok(count) };
        apply(objects, &write);
        assert!(count < 50, "it does not end: {write:?}");
    }
    Ok(at_most)
}

pub(crate) fn split(objects: &mut Objects, shares: &Shares) {
    run(objects, &Goal::Split(shares.clone()), 60).unwrap();
    safe(objects);
}

pub(crate) fn restore(objects: &mut Objects) {
    run(objects, &Goal::Restored, 60).unwrap();
}

/// No route names a subset that the rule does not have.
pub(crate) fn safe(objects: &Objects) {
    let subsets: Vec<&Value> = objects
        .destination_rules
        .iter()
        .filter(|rule| rule["spec"]["host"] == HOST || rule["spec"]["host"] == "web")
        .flat_map(|rule| rule["spec"]["subsets"].as_array().into_iter().flatten())
        .map(|subset| &subset["name"])
        .collect();
    for object in &objects.virtual_services {
        let rules = object["spec"]["http"].as_array().into_iter().flatten();
        for one in rules.flat_map(|rule| rule["route"].as_array().into_iter().flatten()) {
            let to = &one["destination"];
            if to["host"] == HOST || to["host"] == "web" {
                assert!(to["subset"].is_null() || subsets.contains(&&to["subset"]), "{to} in {object}");
            }
        }
    }
}

/// Without the version, which counts writes.
pub(crate) fn plain(objects: &Objects) -> Objects {
    let mut objects = objects.clone();
    for object in objects.virtual_services.iter_mut().chain(&mut objects.destination_rules) {
        object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    }
    objects
}

/// Meshes that can be split, by name.
pub(crate) fn meshes() -> Vec<(&'static str, Objects)> {
    let to = |host: &str| json!({"route": [{"destination": {"host": host}}]});
    let v1 = || json!([{"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}]);
    let policy = || json!({"connectionPool": {"http": {"http2MaxRequests": 10}}});
    let canary = json!({"hosts": ["web"], "http": [
        {
            "name": "beta", "match": [{"headers": {"x-beta": {"exact": "1"}}}], "timeout": "1s",
            "mirror": {"host": HOST}, "route": [{"destination": {"host": HOST, "subset": "v1"}}],
        },
        {
            "retries": {"attempts": 3}, "route": [
                {"destination": {"host": "web", "subset": "v1"}, "weight": 90, "headers": {"request": {"set": {"a": "b"}}}},
                {"destination": {"host": "other"}, "weight": 10},
            ],
        },
        {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new"}},
    ]});
    let gateway = json!({"hosts": ["shop.example.com"], "gateways": ["edge"], "http": [to(HOST)]});
    let wildcard = json!({"hosts": ["*.shop.svc.cluster.local"], "http": [to(HOST)]});
    let mut annotated = route("web", json!({"hosts": [HOST], "http": [to("web")]}));
    annotated["metadata"]["annotations"] = json!({"team": "shop"});
    let mut empty = rule("web", json!({"host": "web", "subsets": []}));
    empty["metadata"]["annotations"] = json!({});
    vec![
        ("nothing", mesh(&[], &[])),
        ("a rule", mesh(&[], &[rule("web", json!({"host": HOST, "trafficPolicy": policy()}))])),
        ("a rule without subsets", mesh(&[], &[empty])),
        ("a route", mesh(&[annotated], &[])),
        (
            "a canary",
            mesh(
                &[route("web", canary.clone())],
                &[rule("web", json!({"host": "web", "trafficPolicy": policy(), "subsets": v1()}))],
            ),
        ),
        ("a gateway", mesh(&[route("edge", gateway.clone())], &[])),
        ("a wildcard", mesh(&[route("all", wildcard)], &[])),
        (
            "all of it",
            mesh(
                &[
                    route("web", canary),
                    route("edge", gateway),
                    route("b", json!({"hosts": ["b"], "http": [to("b")]})),
                ],
                &[rule("web", json!({"host": HOST, "subsets": v1()})), rule("b", json!({"host": "b"}))],
            ),
        ),
    ]
}
