use super::*;
use serde_json::{Value, json};

fn judging() -> Judging {
    Judging {
        horizon: Span::from_secs(3600),
        namespace: Some("foremesh".to_owned()),
        domain: "cluster.local".to_owned(),
        taken: BTreeSet::from([PolicyId::new("shop/taken")]),
    }
}

fn stored(namespace: &str, name: &str, services: &str, more: Value) -> Arc<Stored> {
    let mut spec = json!({
        "selector": {"services": [services]},
        "mode": "recommend",
        "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms"}}],
    });
    if let Value::Object(more) = more {
        spec.as_object_mut().unwrap().extend(more);
    }
    Arc::new(Stored {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        generation: 3,
        spec,
        ..Stored::default()
    })
}

#[test]
fn policies_are_about_their_namespace_unless_it_is_the_planners() {
    for (namespace, services, matches) in [
        ("shop", "cart*", vec!["cart.shop.svc.cluster.local"]),
        ("shop", "*", vec!["cart.shop.svc.cluster.local"]),
        ("foremesh", "*", vec!["cart.shop.svc.cluster.local", "cart.bank.svc.cluster.local"]),
        ("foremesh", "cart.bank*", vec!["cart.bank.svc.cluster.local"]),
    ] {
        let judged = judge(&stored(namespace, "p", services, json!({})), &judging());
        let policy = judged.policy.unwrap();
        assert_eq!(policy.id.as_str(), format!("{namespace}/p"));
        let found: Vec<&str> = ["cart.shop.svc.cluster.local", "cart.bank.svc.cluster.local"]
            .into_iter()
            .filter(|service| policy.selects(&(*service).into()))
            .collect();
        assert_eq!(found, matches, "{services} in {namespace}");
    }
    let unknown = Judging { namespace: None, ..judging() };
    let policy = judge(&stored("foremesh", "p", "*", json!({})), &unknown).policy.unwrap();
    assert!(!policy.selects(&"cart.shop.svc.cluster.local".into()), "no namespace is the planner's");
}

#[test]
fn what_is_not_accepted_says_why() {
    for (policy, reason, message) in [
        (
            stored("shop", "taken", "cart", json!({})),
            "NameTaken",
            "a file of the planner has a policy of the name `shop/taken`",
        ),
        (
            stored("shop", "p", "cart", json!({"rules": 1})),
            "Unreadable",
            "spec cannot be read: invalid type: integer `1`, expected a sequence",
        ),
        (
            stored("shop", "p", "cart", json!({"trial": {"by": "me"}})),
            "Unreadable",
            "spec cannot be read: unknown field `by`",
        ),
        (
            stored(
                "shop",
                "p",
                "cart",
                json!({"freeze": [{"name": "a", "between": "22:00-23:00", "timeZone": "Mars"}]}),
            ),
            "Invalid",
            "spec.freeze[0].timeZone is `Mars`, but no time zone has that name",
        ),
        (
            stored("shop", "p", "pay.bank", json!({})),
            "Invalid",
            "spec.selector.services[0] is `pay.bank`, but what is written in namespace `shop`",
        ),
        (
            stored(
                "shop",
                "p",
                "cart",
                json!({"rules": [{"name": "a", "predictedAvailability": {"below": "99%", "within": "2h"}}]}),
            ),
            "BeyondHorizon",
            "policy `shop/p` looks 7200000 ms ahead",
        ),
    ] {
        let refused = judge(&policy, &judging()).policy.unwrap_err();
        assert_eq!(refused.reason, reason, "{}", refused.message);
        assert!(refused.message.starts_with(message), "{}", refused.message);
    }
}

/// What is in force after each of these, one after the other.
#[test]
fn an_edit_that_is_not_accepted_leaves_what_was_accepted_last_to_observe() {
    let good = || stored("shop", "p", "cart", json!({}));
    let bad = || stored("shop", "p", "cart", json!({"cooldown": "soon"}));
    let gone = Arc::new(Stored { terminating: true, ..Stored::clone(&good()) });
    let mut accepted = Accepted::new();
    for (name, now, want) in [
        ("bad from the start", vec![bad()], vec![]),
        ("corrected", vec![good()], vec![Mode::Recommend]),
        ("a bad edit", vec![bad()], vec![Mode::Observe]),
        ("it stays so", vec![bad()], vec![Mode::Observe]),
        ("corrected again", vec![good()], vec![Mode::Recommend]),
        ("being deleted", vec![gone], vec![]),
        ("bad again, after it was gone", vec![bad()], vec![]),
        ("good", vec![good()], vec![Mode::Recommend]),
        ("deleted", vec![], vec![]),
        ("bad under the same name", vec![bad()], vec![]),
    ] {
        let judged: Vec<Judged> = now.iter().map(|stored| judge(stored, &judging())).collect();
        let modes: Vec<Mode> = in_force(&judged, &mut accepted).iter().map(|policy| policy.mode).collect();
        assert_eq!(modes, want, "{name}");
    }
    let judged = [judge(&good(), &judging())];
    in_force(&judged, &mut accepted);
    let modes: Vec<Mode> = while_unknown(&accepted).iter().map(|policy| policy.mode).collect();
    assert_eq!(modes, [Mode::Observe], "while nothing is heard of the cluster");
}
