//! Weights of replicas, and the locations that they need.
use super::*;
use crate::{LOCATION_LABEL, Reason, pods};
use foremesh_core::ids::ReplicaId;
use std::collections::BTreeMap;

fn pod(name: &str, location: Option<&str>) -> Value {
    let labels = location.map_or_else(|| json!({}), |location| json!({LOCATION_LABEL: location}));
    let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    json!({"metadata": {"name": name, "labels": labels}, "status": status})
}

fn weights(all: &[(&str, u32)]) -> BTreeMap<ReplicaId, u32> {
    all.iter().map(|(name, weight)| (ReplicaId::new(*name), *weight)).collect()
}

/// Name, pods, weights, the named source, and what is to be labelled.
type Case<'c> =
    (&'c str, Vec<Value>, &'c [(&'c str, u32)], Option<&'c str>, Result<&'c [(&'c str, Location)], Reason>);

#[test]
fn the_replica_that_is_given_up_is_the_source_and_others_stay() {
    let (a, b, t) = (pod("a", None), pod("b", None), pod("t", Some("target")));
    let cases: [Case<'_>; 6] = [
        (
            "named",
            vec![a.clone(), b.clone(), t.clone()],
            &[("a", 100), ("b", 100)],
            Some("b"),
            Ok(&[("a", Location::Stay), ("b", Location::Source)]),
        ),
        ("the only one", vec![a.clone(), t.clone()], &[("a", 100)], None, Ok(&[("a", Location::Source)])),
        (
            "the one with less",
            vec![a.clone(), b.clone()],
            &[("a", 90), ("b", 100)],
            None,
            Ok(&[("a", Location::Source), ("b", Location::Stay)]),
        ),
        ("unknown", vec![a.clone(), b.clone()], &[("a", 100), ("b", 100)], None, Err(Reason::Weights)),
        ("came later", vec![pod("s", Some("source")), b], &[("s", 10)], None, Ok(&[("b", Location::Stay)])),
        ("done", vec![pod("s", Some("source")), t], &[("s", 10)], Some("s"), Ok(&[])),
    ];
    for (case, all, given, source, expected) in cases {
        let source = source.map(ReplicaId::from);
        let found = pods::assign(&all, &weights(given), source.as_ref(), &host());
        let found = found.map(|found| {
            let names = found.iter().map(|(pod, at)| (pod["metadata"]["name"].as_str().unwrap(), *at));
            names.collect::<Vec<_>>()
        });
        assert_eq!(found.map_err(|error| error.reason), expected.map(<[_]>::to_vec), "{case}");
    }
}

#[test]
fn weights_become_shares_and_are_read_back() {
    let all =
        [pod("s", Some("source")), pod("t", Some("target")), pod("x", Some("stay")), pod("y", Some("stay"))];
    let given = weights(&[("s", 90), ("t", 10), ("x", 100), ("y", 100)]);
    let found = pods::shares(&all, &given, &host()).unwrap();
    assert_eq!(found, shares(90, 10, 200));
    assert_eq!(pods::weights(&all, Some(&found)), given);
    assert_eq!(pods::weights(&all, None), weights(&[("s", 100), ("t", 100), ("x", 100), ("y", 100)]));
    // One that came since follows the others of its location.
    let fewer = weights(&[("s", 90), ("t", 10), ("x", 100)]);
    assert_eq!(pods::shares(&all, &fewer, &host()).unwrap(), shares(90, 10, 100));
    for wrong in [&[("x", 100), ("y", 90)][..], &[("gone", 1)]] {
        assert_eq!(pods::shares(&all, &weights(wrong), &host()).unwrap_err().reason, Reason::Weights);
    }
}
