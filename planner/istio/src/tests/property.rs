//! In and out again is as before, whatever was there.
use super::*;
use proptest::prelude::*;

fn destination() -> impl Strategy<Value = Value> {
    let host = prop_oneof![Just(HOST), Just("web"), Just("other")];
    let subset = prop_oneof![Just(None), Just(Some("v1")), Just(Some("v2"))];
    (host, subset, proptest::option::of(0_u32..200), any::<bool>()).prop_map(
        |(host, subset, weight, headers)| {
            let mut one = json!({"destination": {"host": host}});
            if let Some(subset) = subset.filter(|_| host != "other") {
                one["destination"]["subset"] = subset.into();
            }
            if let Some(weight) = weight {
                one["weight"] = weight.into();
            }
            if headers {
                one["headers"] = json!({"request": {"add": {"a": "b"}}});
            }
            one
        },
    )
}

fn http_rule() -> impl Strategy<Value = Value> {
    (proptest::collection::vec(destination(), 1..4), any::<bool>(), any::<bool>()).prop_map(
        |(route, matches, unknown)| {
            let mut rule = json!({"route": route});
            if matches {
                rule["match"] = json!([{"headers": {"x": {"exact": "1"}}}]);
            }
            if unknown {
                rule["fieldOfTheFuture"] = json!({"deep": [1, null, "x"]});
            }
            rule
        },
    )
}

fn any_mesh() -> impl Strategy<Value = Objects> {
    let routes =
        proptest::collection::vec((proptest::collection::vec(http_rule(), 1..4), any::<bool>()), 0..3);
    (routes, any::<bool>()).prop_map(|(routes, annotated)| {
        let routes: Vec<Value> = (0..)
            .zip(routes)
            .map(|(index, (http, annotated)): (u32, _)| {
                let hosts = if index == 0 { json!(["web"]) } else { json!([format!("{index}.example.com")]) };
                let mut route = route(&format!("r{index}"), json!({"hosts": hosts, "http": http}));
                if annotated {
                    route["metadata"]["annotations"] = json!({"a": "b"});
                }
                route
            })
            .collect();
        let subsets = json!([{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2"}]);
        let mut rule = rule("web", json!({"host": "web", "subsets": subsets, "trafficPolicy": {"x": 1}}));
        if annotated {
            rule["metadata"]["annotations"] = json!({});
        }
        mesh(&routes, &[rule])
    })
}

proptest! {
    #[test]
    fn in_and_out_is_as_before(
        before in any_mesh(),
        ramp in proptest::collection::vec((0_u32..101, 0_u32..101, 0_u32..301), 1..4),
        killed in 0_usize..6,
    ) {
        let mut objects = before.clone();
        let texts = serde_json::to_string(&plain(&before).virtual_services).unwrap();
        for (source, target, stay) in ramp {
            let shares = shares(source, target + 1, stay);
            let _ = run(&mut objects, &Goal::Split(shares.clone()), killed).unwrap();
            safe(&objects);
            let mut back = objects.clone();
            restore(&mut back);
            prop_assert_eq!(plain(&back), plain(&before));
            split(&mut objects, &shares);
        }
        restore(&mut objects);
        prop_assert_eq!(plain(&objects), plain(&before));
        prop_assert_eq!(serde_json::to_string(&plain(&objects).virtual_services).unwrap(), texts);
    }

    #[test]
    fn parts_sum_to_the_whole(weight in 0_u64..100_000, source: u32, target: u32, stay: u32) {
        let shares = shares(source, target, stay);
        let parts = crate::share::divide(weight, &shares);
        let sum: u64 = parts.iter().map(|(_, part)| part).sum();
        prop_assert_eq!(sum, if source == 0 && target == 0 && stay == 0 { 0 } else { weight });
    }
}
