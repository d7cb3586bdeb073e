//! Golden answers for a set of bad files: the diff of one shows what an operator would read.
use super::lint_text;
use foremesh_core::{
    ids::NodeId,
    time::Timestamp,
    topology::{Node, Snapshot, Workload},
    units::Millicores,
};
use std::collections::BTreeMap;

/// 2026-01-05 00:00 UTC, a Monday.
const NOW: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);

macro_rules! golden {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let file = concat!(stringify!($name), ".yaml");
            let text = include_str!(concat!("tests/", stringify!($name), ".yaml"));
            insta::assert_snapshot!(lint_text(file, text, None, NOW).to_string());
        }
    )*};
}

golden! { clean not_yaml wrong_shape wrong_values every_condition loops contradictions always_and_never frozen calendar }

fn snapshot() -> Snapshot {
    let node = |name: &str, cost_per_hour| {
        (NodeId::new(name), Node { cost_per_hour, ..Node::new(Millicores::new(1000.0).unwrap()) })
    };
    Snapshot {
        nodes: BTreeMap::from([node("a", 0.2), node("b", 0.3)]),
        workloads: BTreeMap::from([("cart".into(), Workload::new("cart".into()))]),
        ..Snapshot::empty(NOW)
    }
}

#[test]
fn a_snapshot_tells_what_does_not_fit_the_mesh() {
    let text = include_str!("tests/mesh.yaml");
    insta::assert_snapshot!(lint_text("mesh.yaml", text, Some(&snapshot()), NOW).to_string());
}

#[test]
fn programs_get_places_and_codes() {
    let findings = lint_text("loops.yaml", include_str!("tests/loops.yaml"), None, NOW);
    let written = serde_json::to_value(&findings).unwrap();
    let first = &written["findings"][0];
    assert_eq!(first["severity"], "warning");
    assert_eq!(first["code"], "loop");
    assert_eq!(
        (&first["file"], &first["line"], &first["column"]),
        (&"loops.yaml".into(), &8.into(), &54.into())
    );
    assert_eq!(written["rules"][0]["policy"], "cpu");
}
