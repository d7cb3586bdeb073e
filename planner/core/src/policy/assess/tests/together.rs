//! Conditions that must hold together.
use super::*;
use crate::policy::CostSaving;

fn healthy(p: f64) -> Verdict {
    let (worst, threshold) = (Quantity::ms(10.0), Quantity::ms(250.0));
    Verdict::Healthy(Healthy { worst, threshold, subject: None, probability: probability(p) })
}

fn unknown() -> Verdict {
    Verdict::Unknown { why: UnknownReason::NoReplica }
}

fn money() -> Verdict {
    Verdict::Opportunity(Opportunity { at_least: 2.0 })
}

#[test]
fn all_fires_when_every_part_does() {
    let fired = |minute, p, saving| match breach(minute, p) {
        Verdict::Breach(breach) => Verdict::Breach(Breach { saving_at_least: saving, ..breach }),
        other => other,
    };
    let cases: Vec<(&str, Vec<Verdict>, Option<f64>, Verdict)> = vec![
        (
            "the latest and the least probable",
            vec![breach(3, 0.6), breach(7, 0.9)],
            None,
            fired(7, 0.6, None),
        ),
        ("the order does not matter", vec![breach(7, 0.9), breach(3, 0.6)], None, fired(7, 0.6, None)),
        ("one part is healthy", vec![breach(3, 0.6), healthy(0.3), healthy(0.2)], None, healthy(0.2)),
        ("healthy, whatever is not known", vec![unknown(), healthy(0.3)], None, healthy(0.3)),
        ("not known, though the others fire", vec![breach(3, 0.6), unknown()], None, unknown()),
        ("a breach that must save money", vec![money(), breach(3, 0.6)], Some(2.0), fired(3, 0.6, Some(2.0))),
        ("money alone", vec![money()], Some(2.0), money()),
        ("money does not hide what is not known", vec![money(), unknown()], Some(2.0), unknown()),
    ];
    for (name, parts, saving, want) in cases {
        assert_eq!(all_of(parts, saving), want, "case: {name}");
    }
}

#[test]
fn all_reaches_its_parts() {
    let mut world = world();
    put(&mut world, Metric::latency(0.99).unwrap(), certain(day(&[5, 6, 7])));
    let saving = Condition::CostSaving(CostSaving { at_least: 1.5 });
    let verdict = said(&world, &Condition::All(vec![latency(3, 5, 15), saving]));
    let Verdict::Breach(breach) = verdict else { panic!("{verdict:?}") };
    assert_eq!((breach.at, breach.saving_at_least), (at(105), Some(1.5)));
    let also_slower = Condition::All(vec![latency(3, 5, 15), latency(4, 5, 15)]);
    assert!(matches!(said(&world, &also_slower), Verdict::Healthy(_)));
}
