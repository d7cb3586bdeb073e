use super::shop::Shop;
use crate::{mapping::Names, settings::Conventions};
use foremesh_core::ids::NodeId;
use serde_json::json;

/// `SERVICE on NODE in ZONE`, with `-` for what is not known.
fn place(shop: &Shop, namespace: &str, workload: &str, pod: &str, said: Option<&str>) -> String {
    let objects = shop.objects();
    let names = Names::of(&objects, &Conventions::default());
    let pod = objects.pods.iter().find(|of| of.meta.namespace == namespace && of.meta.name == pod);
    let place = names.place(namespace, workload, pod.map(|pod| &**pod), said);
    assert_eq!(place.workload.as_str(), format!("{namespace}/{workload}"));
    let node = place.node.as_ref().map_or("-", NodeId::as_str);
    let zone = place.zone.as_ref().map_or("-", |zone| zone.as_str());
    format!("{} on {node} in {zone}", place.service)
}

#[test]
fn a_proxy_is_placed_by_its_pod_and_else_by_what_it_says() {
    let mut shop = Shop::open();
    // The service of `pay` has a name of its own.
    shop.change("Service", "pay", json!({"metadata": {"name": "payments"}}));
    let cases = [
        ("by its pod", ("shop", "pay", "pay-1", None), "payments.shop.svc.cluster.local on n3 in b"),
        (
            "its pod is gone, and it names its node",
            ("shop", "pay", "pay-0", Some("n1")),
            "payments.shop.svc.cluster.local on n1 in a",
        ),
        (
            "its pod is gone, and it names none",
            ("shop", "pay", "pay-0", None),
            "payments.shop.svc.cluster.local on - in -",
        ),
        (
            "its pod says more than it does",
            ("shop", "cart", "cart-2", Some("n3")),
            "cart.shop.svc.cluster.local on n2 in a",
        ),
        (
            "nobody manages its namespace",
            ("istio-system", "gateway", "gateway-1", Some("n9")),
            "gateway.istio-system.svc.cluster.local on n9 in -",
        ),
    ];
    for (name, (namespace, workload, pod, said), want) in cases {
        assert_eq!(place(&shop, namespace, workload, pod, said), want, "case: {name}");
    }
}

#[test]
fn a_pod_that_is_ending_is_still_placed_by_itself() {
    let mut shop = Shop::open();
    shop.change("Pod", "pay-1", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    assert_eq!(place(&shop, "shop", "pay", "pay-1", None), "pay.shop.svc.cluster.local on n3 in b");
}
