//! A human asks for the way back of a move that is over: it is planned and judged anew, or refused with the reason.
use crate::world::{MINUTE, NOW, ServiceShape, World};
use foremesh_core::{
    approval::Approval,
    decide::decide,
    inputs::Freeze,
    plan::Cause,
    policy::{Mode, PastMove},
    revalidate::revalidate,
    rollout::{Limits, RolloutRecord, State},
    topology::{Replica, Tier},
    trial::Trial,
    undo::undo,
};
use std::collections::BTreeMap;

const SUCCESSOR: &str = "cart-2";

fn yes() -> Approval {
    Approval { by: "ana".to_owned(), reason: "that disk is slow".to_owned(), at: NOW }
}

/// A world whose plan was carried out, and the record of that: the successor runs on the other node, and all is quiet.
fn moved() -> (World, RolloutRecord) {
    let mut world = World::new();
    let plan = decide(&world.inputs()).unwrap().plan.unwrap();
    let done = plan.moves[0].clone();
    let trial = Trial::Waived { by: "ops".to_owned(), reason: "none".to_owned(), at: NOW };
    let mut record =
        RolloutRecord::new("plan-1.0".into(), &plan, done.clone(), trial, &Limits::default(), NOW);
    record.target = Some(SUCCESSOR.into());
    record.state = State::Succeeded;
    for node in [&done.from, &done.to] {
        world.node(node.as_str(), |_| 300.0);
    }
    world.service(&ServiceShape {
        name: "cart",
        node: "b",
        tier: Tier::Standard,
        used_millicores: 100.0,
        rps: |_| 50.0,
        p99_ms: |_| 15.0,
    });
    world.workload("cart").replicas =
        BTreeMap::from([(SUCCESSOR.into(), Replica::new(done.to.clone(), true))]);
    world.past_moves = vec![PastMove {
        workload: "cart".into(),
        service: "cart".into(),
        from: done.from,
        to: done.to,
        started_at: NOW.plus_ms(-2 * MINUTE),
        ended_at: NOW.plus_ms(-MINUTE),
        failed: false,
        then: Vec::new(),
    }];
    (world, record)
}

fn frozen(world: &mut World) {
    world.freezes = vec![Freeze {
        policy: "shop".into(),
        window: "sale".to_owned(),
        from: NOW.plus_ms(-MINUTE),
        to: NOW.plus_ms(10 * MINUTE),
    }];
}

#[test]
fn a_move_is_undone_or_it_is_said_why_not() {
    type Change = fn(&mut World, &mut RolloutRecord);
    let cases: &[(&str, Change, Option<&str>)] = &[
        ("it has just moved, and the policy rests", |_, _| {}, None),
        ("its policy waits for humans", |w, _| w.policies[0].mode = Mode::Approve, None),
        ("nobody waives the trial", |w, _| w.policies[0].waiver = None, None),
        ("it runs", |_, r| r.state = State::Draining, Some("`foremesh abort` takes it back")),
        ("it was taken back", |_, r| r.state = State::RolledBack, Some("it ended as RolledBack")),
        (
            "its successor is gone",
            |w, _| w.workload("cart").replicas.clear(),
            Some("does not run any more on `b`"),
        ),
        (
            "the old node is full",
            |w, _| w.node("a", |_| 950.0),
            Some("node `a` does not take workload `cart`"),
        ),
        ("a freeze began", |w, _| frozen(w), Some("moves nothing in its freeze `sale`")),
        ("its policy is gone", |w, _| w.policies.clear(), Some("rule `slow` of policy `shop`")),
        (
            "the snapshot is old",
            |w, _| w.snapshot.taken_at = NOW.plus_ms(-60 * MINUTE),
            Some("the snapshot is 1 h old"),
        ),
    ];
    for (name, change, want) in cases {
        let (mut world, mut record) = moved();
        change(&mut world, &mut record);
        match (want, undo(&record, yes(), &world.inputs())) {
            (None, Ok(tested)) => {
                let back = &tested.plan().moves[0];
                let done = &record.relocation;
                assert_eq!((&back.from, &back.to), (&done.to, &done.from), "case {name}");
                assert_eq!(back.replica, SUCCESSOR.into(), "case {name}");
                assert_eq!(back.reason.cause, Cause::Undo { of: record.id.clone() }, "case {name}");
                assert_eq!(tested.approval(), Some(&yes()), "case {name}");
                // A moment later it still stands, although nobody is at risk and the workload has just moved.
                assert_eq!(revalidate(&world.inputs(), back, Mode::Approve), Ok(()), "case {name}");
                frozen(&mut world);
                assert!(
                    revalidate(&world.inputs(), back, Mode::Approve).is_err(),
                    "case {name}: frozen since"
                );
            }
            (Some(part), Err(why)) => assert!(why.to_string().contains(part), "case {name}: {why}"),
            (_, got) => panic!("case {name}: {:?}", got.map(|tested| tested.plan().clone())),
        }
    }
}
