//! What cannot be split, and what was taken back.
use super::*;
use crate::Reason;

fn refusal(objects: &Objects) -> IstioError {
    run(&mut objects.clone(), &Goal::Split(shares(100, 0, 0)), 60)
        .expect_err(&format!("it is split: {objects:?}"))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_cannot_be_split_is_refused_with_the_object() {
    let to = || json!([{"destination": {"host": HOST}}]);
    let http = |spec: Value| mesh(&[route("r", spec)], &[]);
    let subsets = |names: &[&str]| {
        let subsets: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        mesh(&[], &[rule("r", json!({"host": HOST, "subsets": subsets}))])
    };
    let foreign = object("DestinationRule", "istio-system", "r", json!({"host": HOST}));
    let http_route = json!({
        "metadata": {"name": "r", "namespace": "shop"},
        "spec": {"parentRefs": [{"kind": "Service", "name": "web"}], "rules": []},
    });
    let mut busy = mesh(&[route("r", json!({"hosts": [HOST], "http": [{"route": to()}]}))], &[]);
    busy.virtual_services[0]["metadata"]["annotations"] =
        json!({"foremesh.dev/traffic": "{\"host\":\"other.shop.svc.cluster.local\"}"});
    let two = [
        route("a", json!({"hosts": [HOST], "http": [{"route": to()}]})),
        route("r", json!({"hosts": ["web"], "http": []})),
    ];
    let cases = [
        (Reason::NotHttp, "VirtualService", http(json!({"hosts": [HOST], "tcp": [{"route": to()}]}))),
        (Reason::NotHttp, "VirtualService", http(json!({"hosts": ["x"], "tls": [{"route": to()}]}))),
        (
            Reason::Delegate,
            "VirtualService",
            http(json!({"hosts": [HOST], "http": [{"delegate": {"name": "d"}}]})),
        ),
        (Reason::Delegate, "VirtualService", http(json!({"http": [{"route": to()}]}))),
        (
            Reason::Wildcard,
            "VirtualService",
            http(json!({"hosts": ["*"], "http": [{"route": [{"destination": {"host": "x"}}]}]})),
        ),
        (
            Reason::Hidden,
            "VirtualService",
            http(json!({"hosts": [HOST], "exportTo": ["."], "http": [{"route": to()}]})),
        ),
        (Reason::HostForm, "VirtualService", http(json!({"hosts": ["web.shop"], "http": []}))),
        (
            Reason::HostForm,
            "VirtualService",
            http(json!({"hosts": ["x"], "http": [{"route": [{"destination": {"host": "web.shop.svc"}}]}]})),
        ),
        (
            Reason::Subset,
            "VirtualService",
            http(
                json!({"hosts": [HOST], "http": [{"route": [{"destination": {"host": HOST, "subset": "v9"}}]}]}),
            ),
        ),
        (Reason::Ambiguous, "VirtualService", mesh(&two, &[])),
        (Reason::Busy, "VirtualService", busy),
        (
            Reason::Ambiguous,
            "DestinationRule",
            mesh(&[], &[rule("a", json!({"host": HOST})), rule("r", json!({"host": "web"}))]),
        ),
        (Reason::Wildcard, "DestinationRule", mesh(&[], &[rule("r", json!({"host": "*.local"}))])),
        (Reason::HostForm, "DestinationRule", mesh(&[], &[rule("r", json!({"host": "web.shop"}))])),
        (Reason::Hidden, "DestinationRule", mesh(&[], &[foreign])),
        (
            Reason::Hidden,
            "DestinationRule",
            mesh(&[], &[rule("r", json!({"host": HOST, "exportTo": ["."]}))]),
        ),
        (
            Reason::Selected,
            "DestinationRule",
            mesh(&[], &[rule("r", json!({"host": HOST, "workloadSelector": {}}))]),
        ),
        (Reason::Subset, "DestinationRule", subsets(&["v1", "v1-target"])),
        (Reason::Subset, "DestinationRule", subsets(&["foremesh-stay"])),
        (Reason::GatewayApi, "HTTPRoute", Objects { http_routes: vec![http_route], ..Objects::default() }),
    ];
    for (reason, kind, objects) in cases {
        let error = refusal(&objects);
        assert_eq!(error.reason, reason, "{error}");
        let (object, rest) = error.object.split_once(' ').unwrap();
        assert_eq!(object, kind, "{error}");
        assert!(rest.ends_with("/r"), "{error}");
        // The way out is never barred, and does nothing.
        assert_eq!(crate::leave(&objects, &host()), None, "{error}");
    }
}

#[test]
fn nothing_for_all_is_refused() {
    let error = run(&mut mesh(&[], &[]), &Goal::Split(shares(0, 0, 0)), 9).unwrap_err();
    assert_eq!(error.reason, Reason::Weights);
}

#[test]
fn what_somebody_else_took_back_is_said_and_not_fought() {
    for (name, before) in meshes() {
        let mut objects = before.clone();
        split(&mut objects, &shares(50, 50, 0));
        let reverted: [(&str, Objects); 2] = [
            ("the routes", Objects { virtual_services: before.virtual_services.clone(), ..objects.clone() }),
            ("the rule", Objects { destination_rules: before.destination_rules.clone(), ..objects.clone() }),
        ];
        for (what, reverted) in reverted {
            let error = refusal(&reverted);
            assert_eq!(error.reason, Reason::Reverted, "{name}, {what}: {error}");
            let mut restored = reverted.clone();
            restore(&mut restored);
            assert_eq!(plain(&restored), plain(&before), "{name}, {what}");
        }
    }
}

#[test]
fn lists_that_were_taken_back_under_our_note_are_said() {
    let (_, before) = meshes().into_iter().find(|(name, _)| *name == "a canary").unwrap();
    let mut objects = before.clone();
    split(&mut objects, &shares(50, 50, 0));
    objects.virtual_services[0]["spec"] = before.virtual_services[0]["spec"].clone();
    assert_eq!(refusal(&objects).reason, Reason::Reverted);
    objects.destination_rules[0]["spec"] = before.destination_rules[0]["spec"].clone();
    assert_eq!(refusal(&objects).reason, Reason::Reverted);
    restore(&mut objects);
    assert_eq!(plain(&objects), plain(&before));
}
