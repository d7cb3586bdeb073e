//! A decision that is made again from its record.
use crate::world::{ServiceShape, World};
use foremesh_core::{
    decide::decide,
    inputs::OwnedInputs,
    policy::Mode,
    record::{DecisionRecord, Kept, Replay, ReplayError},
    topology::Tier,
};

fn owned(world: &World) -> OwnedInputs {
    OwnedInputs {
        now: world.now,
        snapshot: world.snapshot.clone(),
        services: world.services.clone(),
        nodes: world.nodes.clone(),
        background: world.background.clone(),
        resources: world.resources.clone(),
        learned: world.learned.clone(),
        policies: world.policies.clone(),
        freezes: world.freezes.clone(),
        past_moves: world.past_moves.clone(),
        in_flight: world.in_flight.clone(),
        move_duration_ms: world.durations.clone(),
        settings: world.settings,
        newest: world.parent.clone().map(|parent| (parent, world.newest_generation)),
    }
}

/// A world in which `cart` is moved and `quiet` is not.
fn inputs() -> OwnedInputs {
    let mut world = World::new();
    world.service(&ServiceShape {
        name: "quiet",
        node: "b",
        tier: Tier::Standard,
        used_millicores: 50.0,
        rps: |_| 20.0,
        p99_ms: |_| 10.0,
    });
    owned(&world).rounded()
}

fn record(inputs: &OwnedInputs) -> DecisionRecord {
    let decision = decide(&inputs.borrow()).unwrap();
    let plan = decision.plan.clone().unwrap();
    DecisionRecord::new(inputs, &decision, &plan, Mode::Auto, "0.0.0").unwrap()
}

#[test]
fn a_record_that_was_written_and_read_gives_the_same_bytes() {
    let inputs = inputs();
    let record = record(&inputs);
    assert_eq!(record.kept, Kept::Involved);
    let read: DecisionRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(read, record);
    let Replay::Same { bytes, .. } = read.replay().unwrap() else { panic!("{:?}", read.replay()) };
    assert_eq!(bytes, record.plan.len());
    let quiet = &record.inputs.services[&"quiet".into()];
    assert_eq!(quiet.forecasts.len(), 1, "nothing of what depends on the place is kept of a quiet service");
    let whole = serde_json::to_string(&inputs.borrow()).unwrap().len();
    let kept = serde_json::to_string(&record.inputs.borrow()).unwrap().len();
    assert!(kept < whole, "{kept} of {whole} bytes");
}

#[test]
fn all_inputs_give_the_same_id_and_digest_too() {
    let inputs = inputs();
    let mut record = record(&inputs);
    record.kept = Kept::All;
    record.kept_digest = foremesh_core::plan::digest(&inputs.borrow()).unwrap();
    record.inputs = inputs;
    assert!(matches!(record.replay().unwrap(), Replay::Same { .. }));
}

#[test]
fn another_plan_is_shown_where_it_begins_to_differ() {
    let inputs = inputs();
    let mut record = record(&inputs);
    let at = record.plan.find("\"to\":\"b\"").unwrap();
    record.plan.replace_range(at..at + 8, "\"to\":\"c\"");
    let Replay::Different { at_byte, recorded, now } = record.replay().unwrap() else { panic!("the same") };
    assert!(recorded.contains("\"to\":\"c\"") && now.contains("\"to\":\"b\""), "{recorded} {now}");
    assert_eq!(at_byte, at + 6);
}

#[test]
fn changed_inputs_are_not_replayed() {
    let mut record = record(&inputs());
    record.inputs.settings.max_utilisation = 0.71;
    assert!(matches!(record.replay(), Err(ReplayError::Changed { .. })));
    record.format = 9;
    assert!(matches!(record.replay(), Err(ReplayError::Format { found: 9 })));
}
