//! The facts of decisions: what they say in fields follows from the same numbers as the words.
use crate::world::{MINUTE, World};
use foremesh_core::{
    decide::decide,
    policy::{Quantity, Verdict},
    report::{AuditRecord, Decided, Facts, records},
};

fn facts(world: &World) -> Facts {
    let inputs = world.inputs();
    let decision = decide(&inputs).unwrap();
    let records = records(&inputs, &decision, 1);
    let record = records.iter().find(|record| record.service.as_str() == "cart").unwrap();
    let facts = Facts::new(record, &inputs, &decision);
    let read: Facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
    assert_eq!(read, facts);
    facts
}

#[test]
fn a_move_says_what_comes_otherwise_and_what_else_there_was() {
    let facts = facts(&World::new());
    assert_eq!((facts.decision.as_str(), facts.because.as_ref()), ("move", None));
    let nothing = facts.if_nothing_is_done.as_ref().unwrap();
    assert!(nothing.worst > nothing.objective && nothing.beyond_share > 0.0, "{nothing:?}");
    assert!((nothing.requests_per_second.unwrap() - 50.0).abs() < 5.0, "{nothing:?}");
    let planned = facts.planned.as_ref().unwrap();
    assert_eq!((planned.from.as_str(), planned.to.as_str(), planned.takes_ms), ("a", "b", MINUTE));
    assert_eq!(planned.spare_ms, nothing.in_ms - MINUTE);
    assert_eq!(facts.alternatives.iter().map(|other| other.node.as_str()).collect::<Vec<_>>(), ["c"]);
    assert!(facts.alternatives[0].more >= 0.0);
    let costs = facts.costs.unwrap();
    assert!(costs.chosen.total() < costs.staying.total(), "{costs:?}");
    assert!(facts.uncertainty.probability.unwrap().get() > 0.5 && facts.uncertainty.model.is_some());
    let words = facts.in_words();
    for part in ["if nothing is done: from", "requests/s", "why now", "doing nothing costs", "or c:"] {
        assert!(words.contains(part), "`{part}` is missing in:\n{words}");
    }
}

#[test]
fn a_service_that_stays_says_what_kept_it_and_what_comes() {
    let mut world = World::new();
    world.workload("cart").pinned = Some("by hand".to_owned());
    let facts = facts(&world);
    assert_eq!((facts.decision.as_str(), facts.guard_rail.as_deref()), ("nothing", Some("pinned")));
    assert!(facts.because.unwrap().contains("by hand"));
    assert!(facts.if_nothing_is_done.is_some() && facts.planned.is_none());
}

/// Latency on a saturated node has no bound: that is said in words, is `null` in JSON, and comes back from it.
#[test]
fn a_saturated_node_is_said_to_be_one() {
    let world = World::new();
    let inputs = world.inputs();
    let decision = decide(&inputs).unwrap();
    let mut record = records(&inputs, &decision, 1).remove(0);
    let Verdict::Breach(breach) = &mut record.seen.verdict else { panic!("a breach is predicted") };
    breach.worst = Quantity::ms(f64::INFINITY);
    let Decided::Move(planned) = &mut record.decided else { panic!("it is moved") };
    planned.planned.reason.stay_ms = f64::INFINITY;
    let text = record.explain();
    assert!(
        text.contains("saturated at worst") && text.contains("staying: saturated; moving: up to "),
        "{text}"
    );
    let facts = Facts::new(&record, &inputs, &decision);
    assert!(facts.in_words().contains("saturated against 250.0 ms, for"), "{}", facts.in_words());
    let written = serde_json::to_value(&record).unwrap();
    assert!(written["seen"]["verdict"]["worst"]["value"].is_null(), "{written}");
    assert_eq!(serde_json::from_value::<AuditRecord>(written).unwrap(), record);
    assert_eq!(serde_json::from_value::<Facts>(serde_json::to_value(&facts).unwrap()).unwrap(), facts);
}
