use super::shop::{Shop, pod};
use crate::settings::Conventions;
use serde_json::{Value, json};

fn service(name: &str, selector: &Value, ip: &str) -> Value {
    json!({
        "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": selector, "clusterIP": ip}
    })
}

#[test]
fn a_service_is_what_selects_the_pods() {
    let app = json!({"app": "api"});
    let cases: Vec<(Vec<Value>, &str, Option<&str>)> = vec![
        (vec![service("front", &app, "10.0.0.9")], "front", None),
        (vec![service("front", &app, "10.0.0.9"), service("api", &app, "10.0.0.8")], "api", None),
        (vec![service("front", &app, "10.0.0.9"), service("pods", &app, "None")], "front", None),
        (
            vec![service("a", &app, "10.0.0.9"), service("b", &app, "10.0.0.8")],
            "a",
            Some("callers reach it by several services: a, b"),
        ),
        (vec![], "api", Some("no service selects its pods, so that nothing is measured of it")),
        (
            vec![service("by-hand", &json!({}), "10.0.0.9")],
            "api",
            Some("no service selects its pods, so that nothing is measured of it"),
        ),
        (
            vec![service("front", &json!({"pod-template-hash": "abc"}), "10.0.0.9")],
            "front",
            Some("workload `shop/cart` answers for service `front` as well"),
        ),
    ];
    for (services, want, pinned) in cases {
        let mut shop = Shop::open();
        // Its own service is named otherwise.
        shop.deploy("api", 1).change(
            "Service",
            "api",
            json!({"metadata": {"name": "unused"}, "spec": {"selector": {"app": "unused"}}}),
        );
        shop.add(pod("api-1", "api", "n1"));
        for service in services {
            shop.add(service);
        }
        let api = shop.workload("shop/api");
        assert_eq!(
            api.service.as_str(),
            format!("{want}.shop.svc.{}", Conventions::default().cluster_domain)
        );
        assert_eq!(api.pinned.as_deref(), pinned);
    }
}
