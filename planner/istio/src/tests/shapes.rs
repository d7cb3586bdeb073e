//! What the objects look like.
use super::*;
use crate::in_force;

fn http(objects: &Objects, at: usize) -> &Value {
    &objects.virtual_services[at]["spec"]["http"]
}

#[test]
fn own_objects_where_there_are_none() {
    let mut objects = mesh(&[], &[]);
    split(&mut objects, &shares(1, 2, 0));
    assert_eq!(
        *http(&objects, 0),
        json!([{"route": [
            {"destination": {"host": HOST, "subset": "foremesh-source"}, "weight": 33},
            {"destination": {"host": HOST, "subset": "foremesh-target"}, "weight": 67},
        ]}])
    );
    let rule = &objects.destination_rules[0];
    assert_eq!(rule["metadata"]["name"], "foremesh-web");
    assert_eq!(rule["spec"]["subsets"][1]["name"], "foremesh-target");
}

#[test]
fn the_share_of_an_end_that_goes_away_goes_to_the_other() {
    let by_label = |location: &str| json!({"labels": {"version": "v1", "foremesh.dev/location": location}});
    let first = |location: &str| json!({"enabled": true, "failoverPriority": [format!("foremesh.dev/location={location}")]});
    let gone = json!({
        "consecutiveGatewayErrors": 5, "consecutive5xxErrors": 0, "splitExternalLocalOriginErrors": true,
        "consecutiveLocalOriginFailures": 5, "interval": "1s", "baseEjectionTime": "5s", "maxEjectionPercent": 50,
    });
    let falls_over = |location: &str, policy: Value| {
        let mut policy = policy;
        policy["loadBalancer"]["localityLbSetting"] = first(location);
        json!({"labels": {"version": "v1"}, "trafficPolicy": policy})
    };
    let plain = |location: &str| falls_over(location, json!({"outlierDetection": gone}));
    let hash = json!({"consistentHash": {"httpHeaderName": "x-user"}});
    let errors = json!({"consecutive5xxErrors": 7});
    // What the rule says, what the user's subset says, and what becomes of the subset of the target.
    let cases = [
        ("nothing is said", json!({}), json!({}), plain("target")),
        (
            "the rule balances",
            json!({"loadBalancer": hash, "tls": {"mode": "DISABLE"}}),
            json!({}),
            falls_over("target", json!({"loadBalancer": hash, "outlierDetection": gone})),
        ),
        (
            "the subset balances, and keeps what else it says",
            json!({"loadBalancer": {"simple": "RANDOM"}}),
            json!({"loadBalancer": hash, "tls": {"mode": "DISABLE"}}),
            falls_over(
                "target",
                json!({"loadBalancer": hash, "tls": {"mode": "DISABLE"}, "outlierDetection": gone}),
            ),
        ),
        ("the rule ejects", json!({"outlierDetection": errors}), json!({}), falls_over("target", json!({}))),
        (
            "the subset ejects",
            json!({}),
            json!({"outlierDetection": errors}),
            falls_over("target", json!({"outlierDetection": errors})),
        ),
        (
            "the rule orders endpoints",
            json!({"loadBalancer": {"localityLbSetting": {"distribute": []}}}),
            json!({}),
            by_label("target"),
        ),
        (
            "the rule says it by port",
            json!({"portLevelSettings": [{"port": {"number": 8080}}]}),
            json!({}),
            by_label("target"),
        ),
    ];
    for (case, rule_says, subset_says, expected) in cases {
        let mut subset = json!({"name": "v1", "labels": {"version": "v1"}});
        if subset_says != json!({}) {
            subset["trafficPolicy"] = subset_says.clone();
        }
        let to_v1 = json!({"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}]});
        let rule_says = json!({"host": "web", "trafficPolicy": rule_says, "subsets": [subset]});
        let mut objects = mesh(&[route("web", to_v1)], &[rule("web", rule_says)]);
        split(&mut objects, &shares(50, 50, 0));
        let subsets = &objects.destination_rules[0]["spec"]["subsets"];
        let mut expected = expected;
        expected["name"] = "v1-target".into();
        if expected.get("trafficPolicy").is_none() && subset_says != json!({}) {
            expected["trafficPolicy"] = subset_says;
        }
        assert_eq!(subsets[2], expected, "{case}");
        let mut stay = by_label("stay");
        stay["name"] = "v1-stay".into();
        stay["trafficPolicy"] = subsets[0]["trafficPolicy"].clone();
        if stay["trafficPolicy"].is_null() {
            stay.as_object_mut().unwrap().remove("trafficPolicy");
        }
        assert_eq!(subsets[3], stay, "{case}: replicas that stay");
    }
}

#[test]
fn a_canary_keeps_its_share_and_all_else() {
    let (_, mut objects) = meshes().into_iter().find(|(name, _)| *name == "a canary").unwrap();
    let before = objects.clone();
    split(&mut objects, &shares(30, 70, 0));
    let part = |subset: &str, weight: u32| json!({"destination": {"host": "web", "subset": subset}, "weight": weight, "headers": {"request": {"set": {"a": "b"}}}});
    let rules = http(&objects, 0);
    assert_eq!(
        rules[1]["route"],
        json!([part("v1-source", 27), part("v1-target", 63), {"destination": {"host": "other"}, "weight": 10}])
    );
    for field in ["name", "match", "timeout", "mirror"] {
        assert_eq!(rules[0][field], http(&before, 0)[0][field]);
    }
    assert_eq!(rules[2], http(&before, 0)[2]);
    let subset = &objects.destination_rules[0]["spec"]["subsets"][2];
    assert_eq!(subset["name"], "v1-target");
    assert_eq!(subset["labels"], json!({"version": "v1"}));
    assert_eq!(subset["trafficPolicy"]["tls"], json!({"mode": "DISABLE"}));
    assert_eq!(objects.virtual_services.len(), 1, "no route of our own beside the user's");
    assert_eq!(in_force(&objects, &host()), Some(shares(30, 70, 0)));
}

#[test]
fn what_users_change_meanwhile_stays() {
    let (_, mut objects) = meshes().into_iter().find(|(name, _)| *name == "a canary").unwrap();
    let before = objects.clone();
    split(&mut objects, &shares(30, 70, 0));
    let mut wanted = before.clone();
    for one in [&mut objects, &mut wanted] {
        one.virtual_services[0]["spec"]["http"][0]["timeout"] = "9s".into();
        one.virtual_services[0]["spec"]["http"][1]["retries"]["attempts"] = 1.into();
        one.virtual_services[0]["metadata"]["labels"] = json!({"new": "yes"});
        let added = json!({"match": [{"port": 1}], "route": [{"destination": {"host": "other"}}]});
        one.virtual_services[0]["spec"]["http"].as_array_mut().unwrap().push(added);
        one.destination_rules[0]["spec"]["trafficPolicy"] = json!({"tls": {"mode": "ISTIO_MUTUAL"}});
        let subset = json!({"name": "v2", "labels": {"version": "v2"}});
        one.destination_rules[0]["spec"]["subsets"].as_array_mut().unwrap().push(subset);
    }
    for goal in [shares(30, 70, 0), shares(0, 100, 0)] {
        split(&mut objects, &goal);
        let mut back = objects.clone();
        restore(&mut back);
        assert_eq!(plain(&back), plain(&wanted));
    }
}

#[test]
fn weights_are_read_from_what_is_there() {
    for (name, mut objects) in meshes() {
        assert_eq!(in_force(&objects, &host()), None, "{name}");
        for shares in [shares(100, 0, 200), shares(10, 90, 200), shares(0, 1, 2)] {
            split(&mut objects, &shares);
            assert_eq!(in_force(&objects, &host()), Some(shares), "{name}");
        }
    }
}

#[test]
fn weights_sum_to_what_they_are_parts_of() {
    let cases: [(u64, Shares, &[u64]); 6] = [
        (100, shares(1, 1, 1), &[34, 33, 33]),
        (100, shares(90, 10, 200), &[30, 3, 67]),
        (10, shares(1, 1, 0), &[5, 5]),
        (1, shares(50, 50, 0), &[1, 0]),
        (1, shares(0, 100, 0), &[0, 1]),
        (u64::from(u32::MAX), shares(u32::MAX, 0, 0), &[u64::from(u32::MAX), 0]),
    ];
    for (weight, shares, expected) in cases {
        let parts: Vec<u64> =
            crate::share::divide(weight, &shares).into_iter().map(|(_, part)| part).collect();
        assert_eq!(parts, expected, "{weight} by {shares:?}");
    }
}
