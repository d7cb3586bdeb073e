//! Only the objects that name a host are read, and what follows from them is what follows from all of the mesh.
use super::{HOST, apply, host, meshes, object, route, rule, shares};
use crate::{
    Goal, Objects, Proxies, ProxySettings, Shifter,
    api::Api,
    check::check,
    objects::{name, namespace},
    record::ANNOTATION,
    steps::in_force,
};
use foremesh_core::ids::{ReplicaId, ServiceId};
use foremesh_kubernetes::mesh::{Index, Named, Routing, names_in};
use foremesh_played::Stored;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// An index of objects as they were at some time; none when it is not known to be new.
#[derive(Clone, Debug, Default)]
struct Known(Arc<Mutex<Option<Objects>>>);

impl Known {
    fn of(objects: &Objects) -> Self {
        Self(Arc::new(Mutex::new(Some(objects.clone()))))
    }
}

fn all(objects: &Objects) -> impl Iterator<Item = (Routing, &Value)> {
    let of = |kind| move |object| (kind, object);
    let routes = objects.virtual_services.iter().map(of(Routing::VirtualService));
    let rules = objects.destination_rules.iter().map(of(Routing::DestinationRule));
    routes.chain(rules).chain(objects.http_routes.iter().map(of(Routing::HttpRoute)))
}

impl Index for Known {
    fn naming(&self, is_meant: &dyn Fn(Routing, &str, &str) -> bool) -> Option<Vec<Named>> {
        let known = self.0.lock().unwrap();
        let found = all(known.as_ref()?).filter(|(kind, object)| {
            let names = names_in(*kind, &object["spec"]);
            object["metadata"]["annotations"].get(ANNOTATION).is_some()
                || names.iter().any(|text| is_meant(*kind, namespace(object), text))
        });
        let named = found.map(|(kind, object)| Named {
            kind,
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
        });
        Some(named.collect())
    }
}

fn path(kind: Routing, object: &Value) -> String {
    let (group, plural) = match kind {
        Routing::VirtualService => ("networking.istio.io", "virtualservices"),
        Routing::DestinationRule => ("networking.istio.io", "destinationrules"),
        Routing::HttpRoute => ("gateway.networking.k8s.io", "httproutes"),
    };
    format!("/apis/{group}/v1/namespaces/{}/{plural}/{}", namespace(object), name(object))
}

fn served(objects: &Objects) -> Stored {
    let server = Stored::default();
    for (kind, object) in all(objects) {
        server.store(&path(kind, object), object.clone());
    }
    let web = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}}});
    server.store("/api/v1/namespaces/shop/services/web", web);
    for (pod, app) in [("web-1", "web"), ("other-1", "other")] {
        let object = json!({
            "metadata": {"name": pod, "namespace": "shop", "uid": pod, "labels": {"app": app}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        server.store(&format!("/api/v1/namespaces/shop/pods/{pod}"), object);
    }
    server
}

fn shifter(server: &Stored, known: Known) -> Shifter {
    let proxies = Proxies::new(server.client(), ProxySettings::default());
    Shifter::new(server.client(), proxies).with_index(Arc::new(known))
}

/// Everything that others have in a mesh, with names that are nearly those of the host.
fn noise(objects: &mut Objects) {
    for space in ["shop", "team"] {
        for of in ["webs", "we", "b", "cart"] {
            let to = json!({"hosts": [of], "http": [{"route": [{"destination": {"host": of}}]}]});
            let other = format!("other-{of}");
            objects.virtual_services.push(object("VirtualService", space, &other, to));
            objects.destination_rules.push(object("DestinationRule", space, &other, json!({"host": of})));
        }
    }
    // The same short name, of another namespace.
    let to = json!({"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]});
    objects.virtual_services.push(object("VirtualService", "team", "web", to));
    objects.destination_rules.push(object("DestinationRule", "team", "web", json!({"host": "web"})));
}

/// Forms that are refused are named as well.
fn refused() -> Vec<(&'static str, Objects)> {
    let to = |host: &str| json!({"route": [{"destination": {"host": host}}]});
    let of = |virtual_services: Vec<Value>, destination_rules: Vec<Value>, http_routes: Vec<Value>| Objects {
        virtual_services,
        destination_rules,
        http_routes,
    };
    let gateway = |namespace: &str, backend: Value| {
        object("HTTPRoute", namespace, "r", json!({"rules": [{"backendRefs": [backend]}]}))
    };
    vec![
        (
            "half a host",
            of(vec![route("x", json!({"hosts": ["x"], "http": [to("web.shop")]}))], vec![], vec![]),
        ),
        ("half a rule", of(vec![], vec![rule("x", json!({"host": "web.shop.svc"}))], vec![])),
        ("a rule for many", of(vec![], vec![rule("x", json!({"host": "*.local"}))], vec![])),
        (
            "two rules",
            of(vec![], vec![rule("x", json!({"host": HOST})), rule("y", json!({"host": "web"}))], vec![]),
        ),
        ("tcp", of(vec![route("x", json!({"hosts": ["x"], "tcp": [to(HOST)]}))], vec![], vec![])),
        (
            "a wildcard",
            of(
                vec![route("x", json!({"hosts": ["*.svc.cluster.local"], "http": [to("b")]}))],
                vec![],
                vec![],
            ),
        ),
        (
            "a delegate",
            of(
                vec![route("x", json!({"hosts": [HOST], "http": [{"delegate": {"name": "d"}}]}))],
                vec![],
                vec![],
            ),
        ),
        ("the Gateway API", of(vec![], vec![], vec![gateway("shop", json!({"name": "web"}))])),
        (
            "the Gateway API from elsewhere",
            of(vec![], vec![], vec![gateway("team", json!({"name": "web", "namespace": "shop"}))]),
        ),
    ]
}

#[tokio::test]
async fn what_names_a_host_decides_as_all_of_the_mesh_does() {
    for (what, mut objects) in meshes().into_iter().chain(refused()) {
        noise(&mut objects);
        let api =
            |server: &Stored, known: &Known| Api::new(server.client()).with_index(Arc::new(known.clone()));
        // At each step of the way in, and of the way out.
        let goals = [Goal::Split(shares(50, 50, 0)), Goal::Restored];
        for goal in goals {
            for _ in 0..60 {
                let (server, known) = (served(&objects), Known::of(&objects));
                let few = api(&server, &known).objects_of(&host()).await.unwrap();
                let whole = api(&server, &known).objects().await.unwrap();
                assert_eq!(check(&few, &host()), check(&whole, &host()), "{what}");
                assert_eq!(in_force(&few, &host()), in_force(&whole, &host()), "{what}");
                let (next, of_whole) = (goal.next(&few, &host()), goal.next(&whole, &host()));
                assert_eq!(next, of_whole, "{what}");
                assert!(all(&few).count() + 10 < all(&whole).count(), "{what}: {}", all(&few).count());
                // Versions as the server gives them.
                objects = whole;
                match next {
                    Ok(Some(write)) => apply(&mut objects, &write),
                    _ => break,
                }
            }
        }
    }
}

#[tokio::test]
async fn objects_are_read_by_name_while_the_index_is_known_to_be_new() {
    let (_, mut objects) = meshes().pop().unwrap();
    noise(&mut objects);
    let (server, known) = (served(&objects), Known::of(&objects));
    let shifter = shifter(&server, known.clone());
    let service = ServiceId::new(HOST);
    let lists = |asked: &[String]| {
        let of_mesh =
            |asked: &&String| asked.contains("virtualservices") || asked.contains("destinationrules");
        let of_mesh: Vec<&String> = asked.iter().filter(of_mesh).collect();
        (of_mesh.iter().filter(|asked| !asked.contains("/namespaces/")).count(), of_mesh.len())
    };
    let traffic = shifter.traffic(&service).await.unwrap();
    assert_eq!(traffic.weights, [(ReplicaId::new("web-1"), 100)].into());
    assert!(!traffic.starves);
    // Two routes, a rule, and both that could be ours.
    assert_eq!(lists(&server.asked()), (0, 5));
    // What was taken away since the index was made is not there.
    server.remove(&path(Routing::VirtualService, &route("edge", json!({}))));
    shifter.traffic(&service).await.unwrap();
    server.asked();
    *known.0.lock().unwrap() = None;
    shifter.traffic(&service).await.unwrap();
    assert_eq!(lists(&server.asked()), (2, 2), "nothing is taken from an index that may be old");
}

#[tokio::test]
async fn an_object_of_ours_is_found_before_the_index_knows_it() {
    let (server, known) = (served(&Objects::default()), Known::of(&Objects::default()));
    let shifter = shifter(&server, known);
    let service = ServiceId::new(HOST);
    let mut objects = Objects::default();
    super::split(&mut objects, &shares(100, 0, 0));
    for (kind, object) in all(&objects) {
        server.store(&path(kind, object), object.clone());
    }
    // All of it goes to a pod with a label that this one does not have.
    assert!(shifter.traffic(&service).await.unwrap().starves);
}
