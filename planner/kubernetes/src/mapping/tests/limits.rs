use super::shop::Shop;
use foremesh_core::topology::{Autoscaler, BudgetHealth, DisruptionBudget};
use serde_json::{Value, json};

fn budget(selector: &Value) -> Value {
    json!({
        "kind": "PodDisruptionBudget", "metadata": {"name": "pdb", "namespace": "shop", "generation": 2},
        "spec": {"minAvailable": 1, "selector": selector},
        "status": {"observedGeneration": 2, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}
    })
}

#[test]
fn a_budget_holds_for_the_pods_that_it_selects() {
    let whole = DisruptionBudget {
        name: "pdb".to_owned(),
        allowed_now: 1,
        health: Some(BudgetHealth { healthy: 2, wanted: 1 }),
    };
    for (selector, want) in [
        (json!({"matchLabels": {"app": "cart"}}), vec![whole.clone()]),
        (json!({}), vec![whole]),
        (json!({"matchLabels": {"app": "pay"}}), vec![]),
        (json!(null), vec![]),
    ] {
        let mut shop = Shop::open();
        shop.add(budget(&selector));
        assert_eq!(shop.workload("shop/cart").scheduling.budgets, want, "{selector}");
    }
    let mut shop = Shop::open();
    shop.add(budget(&json!({}))).change("PodDisruptionBudget", "pdb", json!({"metadata": {"generation": 3}}));
    let old = shop.workload("shop/cart").scheduling.budgets.remove(0);
    assert_eq!((old.allowed_now, old.health), (0, None), "it was counted for an older spec");
}

fn scaler(name: &str, target: &str, desired: u32) -> Value {
    json!({
        "kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "maxReplicas": 5},
        "status": {"currentReplicas": 2, "desiredReplicas": desired}
    })
}

#[test]
fn an_autoscaler_is_that_of_its_target() {
    for (scalers, want, pinned) in [
        (vec![scaler("a", "cart", 2)], Some(false), None),
        (vec![scaler("a", "cart", 3)], Some(true), None),
        (vec![scaler("a", "pay", 2)], None, None),
        (
            vec![scaler("a", "cart", 2), scaler("b", "cart", 2)],
            None,
            Some("autoscalers `a` and `b` both set its number of replicas"),
        ),
    ] {
        let mut shop = Shop::open();
        for scaler in scalers {
            shop.add(scaler);
        }
        let cart = shop.workload("shop/cart");
        let want = want.map(|scaling| Autoscaler { name: "a".to_owned(), max_replicas: 5, scaling });
        assert_eq!((cart.scheduling.autoscaler, cart.pinned.as_deref()), (want, pinned));
    }
}

#[test]
fn a_quota_leaves_what_is_not_used() {
    let quota = |hard: Value, used: Value, scopes: Value| {
        json!({
            "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "shop"},
            "spec": {"hard": hard, "scopes": scopes}, "status": {"hard": hard, "used": used}
        })
    };
    let hard = json!({"requests.cpu": "2", "cpu": "3", "memory": "1Gi", "pods": "10"});
    let used = json!({"requests.cpu": "1500m", "cpu": "1", "memory": "2Gi", "pods": "4"});
    for (quota, want) in [
        (quota(hard.clone(), used, json!([])), Some((Some(500.0), Some(0.0), Some(6)))),
        (quota(json!({"pods": "10"}), json!({"pods": "4"}), json!([])), Some((None, None, Some(6)))),
        (quota(hard.clone(), json!({}), json!([])), Some((Some(0.0), Some(0.0), Some(0)))),
        (quota(hard, json!({}), json!(["Terminating"])), None),
    ] {
        let mut shop = Shop::open();
        shop.add(quota.clone());
        let free = shop
            .workload("shop/cart")
            .scheduling
            .quotas
            .first()
            .map(|quota| (quota.free.cpu_millicores, quota.free.memory_bytes, quota.free_replicas));
        assert_eq!(free, want, "{quota}");
    }
}

#[test]
fn a_quota_of_limits_that_is_spent_pins() {
    for (limit, want) in
        [("2", Some("quota `q` leaves too little limits.cpu for one replica more")), ("1", None)]
    {
        let mut shop = Shop::open();
        shop.add(json!({
            "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "shop"},
            "spec": {"hard": {"limits.cpu": "5"}}, "status": {"used": {"limits.cpu": "4"}}
        }));
        shop.cart_pods(&json!({"containers": [{"resources": {"limits": {"cpu": limit}}}]}));
        assert_eq!(shop.workload("shop/cart").pinned.as_deref(), want, "limit {limit}");
    }
}
